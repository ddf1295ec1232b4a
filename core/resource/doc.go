// Package resource holds what users declare: Dataset, Model and RetrainingPolicy, read from YAML, checked against the
// JSON Schemas of package schemas and against each other, with errors that name file, line and remedy.
package resource
