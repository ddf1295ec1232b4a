// Package evaluation judges scored rows: metrics, intervals, and the gates a
// candidate must pass before it may replace the champion.
//
// Everything is values in, values out. Rows come in columns ([Scored]);
// [Compute] turns them into metrics, [Windows] into metrics per event-time
// bucket, and [Evaluate] holds a candidate against its gates and the champion
// on the same rows. Randomness comes from a seed, so a verdict can be
// recomputed to the last digit.
//
// The decision rule of a gate against the champion is non-inferiority on a
// paired bootstrap: let d be how much worse the candidate is, in the metric's
// own units. The gate passes when the whole confidence interval of d lies
// within the allowed margin, fails when the whole interval lies beyond it, and
// is inconclusive otherwise. Inconclusive rejects: a champion keeps its place
// until something is shown to be at least as good.
package evaluation
