// Package features computes a model's features and label: row-wise SQL over the columns of a dataset, run by the same DuckDB
// for training, evaluation and serving, so that there is no skew between them.
//
// Compile guards the SQL: columns of the dataset, constants, casts, CASE, comparisons, operators, and functions that give
// the same result for the same arguments at any time. Subqueries, aggregates, windows, the clock, random numbers, files and
// settings are refused, and so are label columns inside features.
//
// A feature is a number (float32, null as NaN; booleans are 0 and 1; what float32 cannot hold is NaN) or a text (null as "").
package features
