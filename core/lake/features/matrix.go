package features

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/tidemill/tidemill/core/lake"
)

// Matrix is features by column. Rows keep the order of the files and of the rows in them.
type Matrix struct {
	Rows    int
	Columns []Column
	Times   []int64 // event times, µs since 1970, UTC; nil for rows scored online
	Labels  Labels  // empty without labels
	// Unlabelled counts the rows that were left out because their label is null.
	Unlabelled int64
}

// Column is one feature: Numbers or Texts, by Kind.
type Column struct {
	Name    string
	Kind    Kind
	Numbers []float32
	Texts   []string
}

// Labels hold one label per row: Numbers for Boolean (0, 1) and Number, Texts for Text.
type Labels struct {
	Kind    Kind
	Numbers []float64
	Texts   []string
}

// ExtractOptions say which rows to take.
type ExtractOptions struct {
	Range  lake.Range
	Labels bool // with labels; rows whose label is null are left out
}

// Extract computes the features of the rows of Parquet files (segments in order of ordinal).
func (f *Features) Extract(ctx context.Context, paths []string, o ExtractOptions) (*Matrix, error) {
	m := f.newMatrix(0)
	m.Labels.Kind = f.LabelKind
	if len(paths) == 0 || o.Range.Empty() {
		return m, nil
	}
	texts := map[string]string{} // one copy of each value: a result allocates every one
	timeAt := len(f.Names)
	err := f.engine.Scan(ctx, f.query(f.items(false), paths, o, true), func(v []driver.Value) error {
		if o.Labels {
			label := v[timeAt+1]
			if label == nil {
				m.Unlabelled++
				return nil
			}
			m.Labels.add(label, texts)
		}
		for i := range m.Columns {
			m.Columns[i].add(v[i], texts)
		}
		m.Times = append(m.Times, v[timeAt].(time.Time).UnixMicro())
		m.Rows++
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("compute features: %w", advise(err))
	}
	return m, nil
}

// ErrData marks errors that the declared expressions raise on some rows: trying again is useless.
var ErrData = errors.New("write TRY(…) or TRY_CAST(…) around what fails for some rows, it gives null there")

// advise adds what to do about errors of the data, which a guarded expression can still raise.
func advise(err error) error {
	if strings.Contains(err.Error(), "Binder Error") {
		return fmt.Errorf("%w; the column is in none of these segments, it was added to the dataset after them", err)
	}
	for _, kind := range []string{"Conversion Error", "Out of Range Error", "Invalid Input Error"} {
		if strings.Contains(err.Error(), kind) {
			return fmt.Errorf("%w; %w", err, ErrData)
		}
	}
	return err
}

func (f *Features) newMatrix(rows int) *Matrix {
	m := &Matrix{Columns: make([]Column, len(f.Names))}
	for i := range m.Columns {
		m.Columns[i] = Column{Name: f.Names[i], Kind: f.Kinds[i]}
		if f.Kinds[i] == Text {
			m.Columns[i].Texts = make([]string, 0, rows)
		} else {
			m.Columns[i].Numbers = make([]float32, 0, rows)
		}
	}
	return m
}

func (c *Column) add(v driver.Value, texts map[string]string) {
	if c.Kind == Text {
		s, _ := v.(string)
		c.Texts = append(c.Texts, intern(s, texts))
		return
	}
	x, ok := v.(float32)
	c.number(x, ok)
}

func (c *Column) number(x float32, valid bool) {
	if !valid || math.IsInf(float64(x), 0) {
		x = float32(math.NaN())
	}
	c.Numbers = append(c.Numbers, x)
}

func (l *Labels) add(v driver.Value, texts map[string]string) {
	switch v := v.(type) {
	case string:
		l.Texts = append(l.Texts, intern(v, texts))
	case float64:
		l.Numbers = append(l.Numbers, v)
	}
}

func intern(s string, texts map[string]string) string {
	if texts == nil {
		return s
	}
	if known, ok := texts[s]; ok {
		return known
	}
	if len(texts) < 1<<16 {
		texts[s] = s
	}
	return s
}

// items are the select items that give every feature its type. With finite, infinities become null in SQL already; a
// Matrix does that itself, which is cheaper for single rows.
func (f *Features) items(finite bool) []string {
	out := make([]string, len(f.Names))
	for i, kind := range f.Kinds {
		c := fmt.Sprintf("f.c%d", i)
		switch {
		case kind == Text:
			out[i] = c
		case finite:
			out[i] = fmt.Sprintf("CASE WHEN isfinite(TRY_CAST(%[1]s AS FLOAT)) THEN TRY_CAST(%[1]s AS FLOAT) END", c)
		default:
			out[i] = "TRY_CAST(" + c + " AS FLOAT)"
		}
	}
	return out
}

// inner computes the expressions over a table source, as f(c0, c1 … , extra columns).
func (f *Features) inner(source string, extra ...string) string {
	names := make([]string, 0, len(f.Names)+2)
	for i := range f.Names {
		names = append(names, fmt.Sprintf("c%d", i))
	}
	list := f.features + "\n"
	for i, x := range extra {
		list += ", " + x
		names = append(names, fmt.Sprintf("x%d", i))
	}
	return "(SELECT " + list + " FROM " + source + ") AS f(" + strings.Join(names, ", ") + ")"
}

// labelCast casts x1, the label in inner.
func (f *Features) labelCast() string {
	if f.LabelKind == Text {
		return "f.x1::VARCHAR"
	}
	return "f.x1::DOUBLE"
}

// query selects the items, then with timed the event time and with labels the label, of the rows of files.
func (f *Features) query(items []string, paths []string, o ExtractOptions, timed bool) string {
	extra := []string{"t." + lake.Ident(f.eventTime)}
	if timed {
		items = append(items, "f.x0")
	}
	if o.Labels {
		extra = append(extra, f.labelItem())
		items = append(items, f.labelCast())
	}
	return "SELECT " + strings.Join(items, ", ") + " FROM " + f.inner(f.source(paths, o.Range), extra...)
}

// source reads the columns that are used of the rows in a range.
func (f *Features) source(paths []string, r lake.Range) string {
	used := map[string]bool{f.eventTime: true}
	for _, name := range append(append([]string(nil), f.Used...), f.LabelUsed...) {
		used[name] = true
	}
	var columns, typed []string
	for _, name := range ordered(f.spec, used) {
		c, _ := f.spec.Column(name)
		columns = append(columns, lake.Ident(name))
		// A segment has these types already; files that users bring to predict get them here.
		typed = append(typed, lake.Ident(name)+"::"+lake.SQLType(c.Type)+" AS "+lake.Ident(name))
	}
	list, at := strings.Join(columns, ", "), lake.Ident(f.eventTime)
	q := "SELECT " + strings.Join(typed, ", ") + " FROM " + lake.ReadParquet(paths) + " WHERE true"
	if !r.From.IsZero() {
		q += " AND " + at + " >= " + micros(r.From)
	}
	if !r.To.IsZero() {
		q += " AND " + at + " < " + micros(r.To)
	}
	if r.Newest > 0 {
		q = fmt.Sprintf("SELECT %s FROM (SELECT * FROM (SELECT *, row_number() OVER () AS place FROM (%s)) ORDER BY %s DESC, place DESC LIMIT %d) ORDER BY place",
			list, q, at, r.Newest)
	}
	return "(" + q + ") t"
}

// micros is a timestamp literal; bounds between two microseconds round up, which keeps both ends of a half-open range right.
func micros(t time.Time) string {
	up := t.Add(time.Microsecond - time.Nanosecond).UnixMicro()
	return fmt.Sprintf("make_timestamp(%d)", up)
}
