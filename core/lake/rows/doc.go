// Package rows is the row contract of a dataset: it takes one row as JSON, as text fields or as typed values and gives typed
// values, or says why it refuses the row.
//
// Values by column type: float64 (finite; NaN counts as null), int64, boolean, string (valid UTF-8, at most MaxText bytes) and
// timestamp (RFC 3339 with any offset, "2001-01-31", "2001-01-31 23:59:59.123456" in UTC, or epoch milliseconds), kept as
// microseconds since 1970 in UTC.
package rows
