package lake

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
)

// InferredLabel is what a label's expression gives on the rows of a file.
type InferredLabel struct {
	Type     string // of package resource; "" when there is no result, or of a type that a label can't be
	Distinct int64  // different results
}

// InferLabel computes a label over a whole file: a column's name, or an SQL expression over the columns of one row. An
// expression that can't be computed is an ErrBadFile: it is for the person who wrote it.
func InferLabel(ctx context.Context, e *Engine, f File, columns []InferredColumn, label string) (InferredLabel, error) {
	from, ok := reader(f)
	if !ok {
		return InferredLabel{}, f.bad("has the unknown format %q; use parquet, csv or ndjson", f.Format)
	}
	for _, c := range columns {
		if c.Name == label {
			label = Ident(label)
		}
	}
	var out InferredLabel
	q := fmt.Sprintf("SELECT any_value(typeof(l)), count(DISTINCT l) FROM (SELECT %s AS l FROM %s) WHERE l IS NOT NULL", label, from)
	err := e.Scan(ctx, q, func(v []driver.Value) error {
		if sqlType, ok := v[0].(string); ok {
			out.Type, _ = columnType(sqlType)
		}
		out.Distinct, _ = v[1].(int64)
		return nil
	})
	if err == nil || ctx.Err() != nil {
		return out, err
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return InferredLabel{}, &badFile{fmt.Sprintf("the label %q can't be computed: %s", label, first)}
}

// reader is the table function that reads a file, by what Infer takes its types from.
func reader(f File) (from string, ok bool) {
	switch f.Format {
	case FormatParquet:
		return "read_parquet(" + Literal(f.Path) + ")", true
	case FormatCSV:
		return "read_csv(" + Literal(f.Path) + ", header = true, sample_size = -1)", true
	case FormatNDJSON:
		return "read_json(" + Literal(f.Path) + ", format = 'newline_delimited', sample_size = -1)", true
	}
	return "", false
}
