// Package lake holds data at rest: blobs in object storage, segments of accepted rows as Parquet, the rows that were refused,
// and the files users bring. With its sub-packages it is the only room that knows DuckDB and object storage.
//
//   - Store puts and gets immutable objects by key and gives DuckDB a local file for each.
//   - Engine is a locked-down DuckDB: UTC, no extensions loaded, no files outside the directories it was opened with.
//   - SegmentWriter and QuarantineWriter turn rows into content-addressed Parquet: the same rows in the same order have the
//     same bytes, however they were batched, within one DuckDB version.
//   - FileReader reads Parquet, CSV and NDJSON through the row contract (package rows), from any row on.
//   - Plan says which rows of which segments a snapshot trains, validates and tests on.
package lake
