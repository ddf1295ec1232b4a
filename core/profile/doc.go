// Package profile summarises columns in mergeable sketches: what a segment of
// rows looked like, small enough to keep for ever and to compare later.
//
// Merging the profiles of any split of rows equals profiling the rows together:
// exactly for counts, minimum, maximum, sketch buckets, category counts up to
// [CategoryCap] and distinct counts; up to rounding for mean and variance;
// within a stated undercount for the categories of columns with more.
//
// Numbers go to a DDSketch (Masson, Rim and Lee, VLDB 2019) of one relative
// accuracy for all profiles, so buckets of any two profiles are the same
// buckets. Strings are counted exactly up to the cap, and beyond it by
// Misra-Gries heavy hitters (Agarwal et al., Mergeable Summaries, PODS 2012)
// with a HyperLogLog for the number of distinct values.
//
// A Profile does not change once built and may be read by many goroutines.
package profile
