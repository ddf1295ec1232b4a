package features

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/tidemill/tidemill/core/lake"
)

// Export writes features and labels of rows to a file for a trainer, in one pass of DuckDB, and returns the number of rows.
// The columns are the features (FLOAT, null when unknown; VARCHAR, "" when unknown) and LabelName (INTEGER 0 or 1 for a binary
// task, VARCHAR for multiclass, DOUBLE for regression). Rows without a label are left out. format is parquet or csv; the
// file must be in a directory of the engine. With no rows the file has its columns all the same.
func (f *Features) Export(ctx context.Context, paths []string, r lake.Range, file, format string) (int64, error) {
	if len(paths) == 0 {
		return 0, errors.New("export features: there are no segments to read")
	}
	options := "(FORMAT parquet, COMPRESSION zstd)"
	switch format {
	case lake.FormatParquet:
	case lake.FormatCSV:
		options = "(FORMAT csv, HEADER true)"
	default:
		return 0, fmt.Errorf("export features: unknown format %q; use parquet or csv", format)
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return 0, fmt.Errorf("export features: %w", err)
	}
	items := f.items(true)
	for i := range items {
		if f.Kinds[i] == Text {
			items[i] = "coalesce(" + items[i] + ", '')"
		}
		items[i] += " AS " + lake.Ident(f.Names[i])
	}
	label := f.labelCast()
	if f.LabelKind == Boolean {
		label = "f.x1::INTEGER"
	}
	items = append(items, label+" AS "+LabelName)
	q := "SELECT " + strings.Join(items, ", ") + " FROM " + f.inner(f.source(paths, r), "t."+lake.Ident(f.eventTime), f.labelItem()) + " WHERE f.x1 IS NOT NULL"
	res, err := f.engine.DB().ExecContext(ctx, "COPY ("+q+") TO "+lake.Literal(abs)+" "+options)
	if err != nil {
		return 0, fmt.Errorf("export features: %w", advise(err))
	}
	return res.RowsAffected()
}

// Count counts the rows that have a label.
func (f *Features) Count(ctx context.Context, paths []string, r lake.Range) (int64, error) {
	if len(paths) == 0 || r.Empty() {
		return 0, nil
	}
	var n int64
	q := "SELECT count(f.x1) FROM " + f.inner(f.source(paths, r), "t."+lake.Ident(f.eventTime), f.labelItem())
	if err := f.engine.DB().QueryRowContext(ctx, q).Scan(&n); err != nil {
		return 0, fmt.Errorf("count labels: %w", advise(err))
	}
	return n, nil
}
