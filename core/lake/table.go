package lake

import (
	"context"
	"database/sql/driver"
	"fmt"
)

// WriteTable writes n rows to a file in one of the engine's directories, as parquet, csv or ndjson. columns is the list of CREATE
// TABLE; fill sets the values of one row.
func WriteTable(ctx context.Context, e *Engine, columns []string, n int, fill func(row int, dst []driver.Value), path, format string) error {
	options, ok := map[string]string{FormatParquet: "(FORMAT parquet, COMPRESSION zstd)", FormatCSV: "(FORMAT csv, HEADER true)",
		FormatNDJSON: "(FORMAT json)"}[format]
	if !ok {
		return fmt.Errorf("write table: unknown format %q; use parquet, csv or ndjson", format)
	}
	err := e.WithTable(ctx, columns, n, fill, func(c driver.Conn, table string) error {
		return exec(ctx, c, "COPY "+table+" TO "+Literal(path)+" "+options)
	})
	if err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}
