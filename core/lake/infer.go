package lake

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/core/resource"
)

// InferredColumn is what a file says about one of its columns.
type InferredColumn struct {
	Name     string
	Type     string   // of package resource
	Nulls    int64    // rows without a value
	Distinct int64    // approximate number of distinct values (HyperLogLog)
	Min      string   // as text; "" when there is no value
	Max      string   // as text
	Values   []string // of a string column with few distinct values: all of them, sorted
}

// fewValues is up to how many distinct texts a column counts as a category whose values are worth listing.
const fewValues = 20

// Infer reads a whole file and tells its columns with their types, ranges and numbers of distinct values, and the number of
// rows. What the user can mend is an ErrBadFile.
func Infer(ctx context.Context, e *Engine, f File) (columns []InferredColumn, rows int64, err error) {
	from, ok := reader(f)
	if !ok {
		return nil, 0, f.bad("has the unknown format %q; use parquet, csv or ndjson", f.Format)
	}
	if f.Format == FormatParquet {
		if _, err := Inspect(ctx, e, f, nil); err != nil {
			return nil, 0, err
		}
	}
	q := "SELECT column_name, column_type, min, max, approx_unique, count, null_percentage::DOUBLE FROM (SUMMARIZE SELECT * FROM " + from + ")"
	err = e.Scan(ctx, q, func(v []driver.Value) error {
		t, ok := columnType(v[1].(string))
		if !ok {
			return f.bad("has the column %q of type %s, which a dataset cannot hold; flatten it or leave it out", v[0], v[1])
		}
		rows = v[5].(int64)
		columns = append(columns, InferredColumn{Name: v[0].(string), Type: t, Min: text(v[2]), Max: text(v[3]),
			Distinct: v[4].(int64), Nulls: int64(v[6].(float64)/100*float64(rows) + .5)})
		return nil
	})
	if err == nil {
		err = fewDistinct(ctx, e, from, columns)
	}
	switch {
	case err == nil || ctx.Err() != nil:
		return columns, rows, err
	case strings.HasPrefix(err.Error(), f.name()):
		return nil, 0, err
	}
	return nil, 0, f.bad("cannot be read as %s: %v", f.Format, err)
}

// fewDistinct fills in Values.
func fewDistinct(ctx context.Context, e *Engine, from string, columns []InferredColumn) error {
	for i := range columns {
		c := &columns[i]
		if c.Type != resource.TypeString || c.Distinct > fewValues*2 {
			continue
		}
		id := Ident(c.Name) + "::VARCHAR"
		q := fmt.Sprintf("SELECT DISTINCT %s AS v FROM %s WHERE v IS NOT NULL ORDER BY v LIMIT %d", id, from, fewValues+1)
		if err := e.Scan(ctx, q, func(v []driver.Value) error { c.Values = append(c.Values, v[0].(string)); return nil }); err != nil {
			return err
		}
		if len(c.Values) > fewValues {
			c.Values = nil
		}
	}
	return nil
}

// columnType is the dataset's type for a DuckDB type.
func columnType(sqlType string) (string, bool) {
	for _, t := range []string{resource.TypeBoolean, resource.TypeInt64, resource.TypeFloat64, resource.TypeTimestamp, resource.TypeString} {
		if fits(sqlType, t) && !(t == resource.TypeInt64 && !wholeNumbers(sqlType)) && !(t == resource.TypeTimestamp && sqlType == "VARCHAR") {
			return t, true
		}
	}
	return "", false
}

// wholeNumbers excludes the types of which some values are whole.
func wholeNumbers(sqlType string) bool {
	return !strings.HasPrefix(sqlType, "D") && sqlType != "FLOAT"
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}
