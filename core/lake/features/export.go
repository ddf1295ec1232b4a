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
// The columns are the features (FLOAT, null when unknown; VARCHAR, "" when unknown), LabelName (INTEGER 0 or 1 for a binary
// task, VARCHAR for multiclass, DOUBLE for regression) and, where there are weights, WeightName (DOUBLE). Rows without a label
// are left out. format is parquet or csv; the file must be in a directory of the engine. With no rows the file has its columns
// all the same.
func (f *Features) Export(ctx context.Context, files []File, o Options, file, format string) (int64, error) {
	if len(files) == 0 {
		return 0, errors.New("export features: there are no segments to read")
	}
	// Snappy is what every reader of Parquet has. Better compression would take longer than reading what it saves.
	options := "(FORMAT parquet, COMPRESSION snappy)"
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
	c, err := f.draw(ctx, files, o.Range)
	if err != nil {
		return 0, fmt.Errorf("draw rows: %w", advise(err))
	}
	items := f.items(true)
	for i := range items {
		if f.Kinds[i] == Text {
			items[i] = "coalesce(" + items[i] + ", '')"
		}
		items[i] += " AS " + lake.Ident(f.Names[i])
	}
	label := f.labelCast("f.x1")
	if f.LabelKind == Boolean {
		label = "f.x1::INTEGER"
	}
	items, extra := append(items, label+" AS "+LabelName), []string{"t." + lake.Ident(f.eventTime), f.labelItem()}
	if f.weighted(o) {
		items, extra = append(items, f.weightCast(o)+" AS "+lake.Ident(f.WeightName())), append(extra, f.weightItems()...)
	}
	q := "SELECT " + strings.Join(items, ", ") + " FROM " + f.inner(f.source(files, o.Range, c), extra...) + " WHERE f.x1 IS NOT NULL"
	res, err := f.engine.DB().ExecContext(ctx, "COPY ("+q+") TO "+lake.Literal(abs)+" "+options)
	if err != nil {
		return 0, fmt.Errorf("export features: %w", advise(err))
	}
	return res.RowsAffected()
}

// Summary is what there is to know about rows with a label without reading their features.
type Summary struct {
	Rows    int64
	Newest  int64   // event time in Unix microseconds; 0 without rows
	Classes []Class // those that occur, sorted by name; none for a regression
}

// Summarize counts the rows that have a label, all in all and by class.
func (f *Features) Summarize(ctx context.Context, files []File, r lake.Range) (Summary, error) {
	if len(files) == 0 || r.Empty() {
		return Summary{}, nil
	}
	c, err := f.draw(ctx, files, r)
	if err != nil {
		return Summary{}, fmt.Errorf("draw rows: %w", advise(err))
	}
	label, group := "0", ""
	if f.LabelKind != Number {
		label, group = f.labelCast("f.x1"), " GROUP BY 1"
	}
	q := "SELECT " + label + ", count(*), epoch_us(max(f.x0)) FROM " + f.inner(f.source(files, r, c), "t."+lake.Ident(f.eventTime), f.labelItem()) +
		" WHERE f.x1 IS NOT NULL" + group
	classes, err := f.classes(ctx, q)
	if err != nil {
		return Summary{}, fmt.Errorf("count labels: %w", advise(err))
	}
	var out Summary
	for _, c := range classes {
		if c.Rows > 0 && (out.Rows == 0 || c.Newest > out.Newest) {
			out.Newest = c.Newest
		}
		out.Rows += c.Rows
	}
	if f.LabelKind != Number {
		out.Classes = classes
	}
	return out, nil
}
