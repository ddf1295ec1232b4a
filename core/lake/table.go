package lake

import (
	"context"
	"database/sql/driver"
	"fmt"
	"os"
	"strings"

	"github.com/tidemill/tidemill/core/resource"
)

// rfc3339 writes timestamps as rows have them.
const rfc3339 = ", TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ')"

// copyOptions are how a format is written.
func copyOptions(format string) (string, error) {
	switch format {
	case FormatParquet:
		return "(FORMAT parquet, COMPRESSION zstd)", nil
	case FormatCSV:
		return "(FORMAT csv, HEADER true" + rfc3339, nil
	case FormatNDJSON:
		return "(FORMAT json" + rfc3339, nil
	}
	return "", fmt.Errorf("write table: unknown format %q; use parquet, csv or ndjson", format)
}

// WriteTable writes n rows to a file in one of the engine's directories, as parquet, csv or ndjson. columns is the list of CREATE
// TABLE; fill sets the values of one row.
func WriteTable(ctx context.Context, e *Engine, columns []string, n int, fill func(row int, dst []driver.Value), path, format string) error {
	options, err := copyOptions(format)
	if err != nil {
		return err
	}
	err = e.WithTable(ctx, columns, n, fill, func(c driver.Conn, table string) error {
		return exec(ctx, c, "COPY "+table+" TO "+Literal(path)+" "+options)
	})
	if err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// JoinTables writes the rows of Parquet files that WriteTable made, one file after the other, as one file.
func JoinTables(ctx context.Context, e *Engine, parts []string, path, format string) error {
	options, err := copyOptions(format)
	if err != nil {
		return err
	}
	if _, err := e.DB().ExecContext(ctx, "COPY (SELECT * FROM "+ReadParquet(parts)+") TO "+Literal(path)+" "+options); err != nil {
		return fmt.Errorf("join tables: %w", err)
	}
	return nil
}

// ColumnsOf names the columns of a file with their types, of package resource, in the file's order; a CSV's are all strings. What
// the user can mend is an ErrBadFile.
func ColumnsOf(ctx context.Context, e *Engine, f File) ([]resource.Column, error) {
	found, err := sqlColumns(ctx, e, f)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	out := make([]resource.Column, len(found))
	for i, c := range found {
		t, ok := columnType(c.SQLType)
		switch {
		case !ok:
			return nil, f.bad("has the column %q of type %s; flatten it or leave it out", c.Name, c.SQLType)
		case c.Name == "":
			return nil, f.bad("has a column without a name")
		case seen[strings.ToLower(c.Name)]:
			return nil, f.bad("has the column %q twice, or two names that differ by case at most", c.Name)
		}
		seen[strings.ToLower(c.Name)] = true
		out[i] = resource.Column{Name: c.Name, Type: t}
	}
	return out, nil
}

func sqlColumns(ctx context.Context, e *Engine, f File) ([]FileColumn, error) {
	if f.Format != FormatNDJSON {
		info, err := Inspect(ctx, e, f, nil)
		return info.Columns, err
	}
	if info, err := os.Stat(f.Path); err == nil && info.Size() == 0 {
		return nil, nil
	}
	// Lines that are broken are for who reads the rows.
	q := "DESCRIBE SELECT * FROM read_json(" + Literal(f.Path) + ", format = 'newline_delimited', sample_size = -1, ignore_errors = true)"
	var columns []FileColumn
	err := e.Scan(ctx, q, func(v []driver.Value) error {
		columns = append(columns, FileColumn{v[0].(string), v[1].(string)})
		return nil
	})
	if err != nil && ctx.Err() == nil {
		return nil, f.bad("cannot be read as ndjson: %v", err)
	}
	return columns, err
}
