package features

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/core/lake"
)

// Matrix is features by column. Rows keep the order of the files and of the rows in them.
type Matrix struct {
	Rows    int
	Columns []Column
	Times   []int64   // event times, µs since 1970, UTC; nil for rows scored online
	Labels  Labels    // empty without labels
	Weights []float64 // how much each row counts in training; nil when all count the same
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

// Options say which rows to take, and what of them.
type Options struct {
	Range  lake.Range
	Labels bool // with labels; rows whose label is null are left out
	// ClassWeight multiplies the weights of the rows of a class; a class that is not named counts 1. Weights need labels.
	ClassWeight map[string]float64
}

// Extract computes the features of the rows of Parquet files (segments in order of ordinal).
func (f *Features) Extract(ctx context.Context, files []File, o Options) (*Matrix, error) {
	m := f.newMatrix(0)
	m.Labels.Kind = f.LabelKind
	if len(files) == 0 || o.Range.Empty() {
		return m, nil
	}
	c, err := f.draw(ctx, files, o.Range)
	if err != nil {
		return nil, fmt.Errorf("draw rows: %w", advise(err))
	}
	texts := map[string]string{} // one copy of each value: a result allocates every one
	timeAt := len(f.Names)
	weighted := f.weighted(o)
	err = f.engine.Scan(ctx, f.query(f.items(false), files, o, c, true), func(v []driver.Value) error {
		if o.Labels {
			label := v[timeAt+1]
			if label == nil {
				m.Unlabelled++
				return nil
			}
			m.Labels.add(label, texts)
		}
		if weighted {
			m.Weights = append(m.Weights, v[timeAt+2].(float64))
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
	if w := weightError(err); w != nil {
		return w
	}
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

// labelCast casts a label to what it is read as.
func (f *Features) labelCast(label string) string {
	if f.LabelKind == Text {
		return label + "::VARCHAR"
	}
	return label + "::DOUBLE"
}

// query selects the items, then with timed the event time, with labels the label and with weights the weight, of the rows of
// files.
func (f *Features) query(items []string, files []File, o Options, c cut, timed bool) string {
	extra := []string{"t." + lake.Ident(f.eventTime)}
	if timed {
		items = append(items, "f.x0")
	}
	if o.Labels {
		extra = append(extra, f.labelItem())
		items = append(items, f.labelCast("f.x1"))
	}
	if f.weighted(o) {
		extra = append(extra, f.weightItems()...)
		items = append(items, f.weightCast(o))
	}
	return "SELECT " + strings.Join(items, ", ") + " FROM " + f.inner(f.source(files, o.Range, c), extra...)
}

// source reads the columns that are used of the rows in a range that meet the cut. With a draw, their keys come along; with
// weights, what names a row.
func (f *Features) source(files []File, r lake.Range, c cut) string {
	used := map[string]bool{f.eventTime: true}
	for _, name := range slices.Concat(f.Used, f.LabelUsed, f.weightUsed) {
		used[name] = true
	}
	var columns, typed []string
	for _, name := range ordered(f.spec, used) {
		c, _ := f.spec.Column(name)
		columns = append(columns, lake.Ident(name))
		// A segment has these types already; files that users bring to predict get them here.
		typed = append(typed, lake.Ident(name)+"::"+lake.SQLType(c.Type)+" AS "+lake.Ident(name))
	}
	if f.weight != "" {
		columns, typed = append(columns, rowColumn, segmentColumn), append(typed, rowNames(files)...)
	}
	at, where := lake.Ident(f.eventTime), " WHERE true"
	if !r.From.IsZero() {
		where += " AND " + at + " >= " + micros(r.From)
	}
	if !r.To.IsZero() {
		where += " AND " + at + " < " + micros(r.To)
	}
	var q string
	if r.Draw.Rows > 0 {
		q = keyed(files, r.Draw.Seed, strings.Join(typed, ", "), where)
		columns = append(columns, keyColumn)
	} else {
		q = "SELECT " + strings.Join(typed, ", ") + " FROM " + lake.ReadParquet(paths(files)) + where
	}
	list := strings.Join(columns, ", ")
	if r.Newest > 0 {
		q = fmt.Sprintf("SELECT %[1]s FROM (SELECT * FROM (SELECT *, row_number() OVER () AS %[4]s FROM (%[2]s)) ORDER BY %[3]s DESC, %[4]s DESC LIMIT %[5]d) ORDER BY %[4]s",
			list, q, at, placeColumn, r.Newest)
	}
	if c != "" {
		q = "SELECT " + list + " FROM (" + q + ") t WHERE " + string(c)
	}
	return "(" + q + ") t"
}

// micros is a timestamp literal; bounds between two microseconds round up, which keeps both ends of a half-open range right.
func micros(t time.Time) string {
	up := t.Add(time.Microsecond - time.Nanosecond).UnixMicro()
	return fmt.Sprintf("make_timestamp(%d)", up)
}
