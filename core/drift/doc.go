// Package drift tells whether two sets of rows come from the same
// distribution: on samples, on streams, and on profiles.
//
// [Compare] is the decision. For each column it takes an effect size
// (Wasserstein-1 over the reference's standard deviation for numbers, the
// Jensen-Shannon distance for categories), works out how large that effect gets
// by chance alone between sets of these sizes, and calls the column drifted
// only if the effect exceeds that floor by a minimum worth acting on and its
// p-value, adjusted over all columns, is small. The first rule keeps large
// samples from firing on trifles, the second keeps small samples and columns of
// many categories from firing on noise.
//
// The defaults are calibrated on the flights of the quickstart, whose features
// do not drift: over 21 weeks against the first four, the highest effects are
// 0.035 σ for distance (threshold 0.126) and a distance of 0.068 for the 229
// airports (threshold 0.163); of single days, 0.091 σ (0.165) and 0.185 (0.218).
//
// The rest are the statistics themselves, for samples and for streams
// ([Adwin], [PageHinkley]).
package drift
