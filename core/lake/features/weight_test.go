package features_test

import (
	"context"
	"database/sql/driver"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/features"
	"github.com/tidemill/tidemill/core/resource"
)

func TestWeights(t *testing.T) {
	t.Parallel()
	e, dir := engine(t)
	ctx := context.Background()
	a := write(t, e, dir, "a.parquet", "('2001-01-02', 20, 2, 'a', 'x'), ('2001-01-01', NULL, -2, 'b', 'x'), ('2001-01-03', 1, NULL, 'c', 'y'), ('2001-01-04', 30, 0.5, 'd', 'y')")
	plain := compile(t, e, "origin, 1 AS \"Weight\"", late, resource.TaskBinary)
	f, err := plain.WithWeight(ctx, "distance * 2 -- twice")
	require.NoError(t, err)
	require.Equal(t, "weight_", f.WeightName(), "the feature has its name already")
	require.Equal(t, plain.Used, f.Used, "serving does not see what weights use")

	o := features.Options{Labels: true}
	m, err := f.Extract(ctx, parts([]string{a}), o)
	require.NoError(t, err)
	require.Equal(t, []float64{4, 0, 1}, m.Weights, "null counts as 0, and rows without a label don't count at all")
	m, err = plain.Extract(ctx, parts([]string{a}), o)
	require.NoError(t, err)
	require.Nil(t, m.Weights)

	o.ClassWeight = map[string]float64{"true": 1.0 / 3}
	m, err = f.Extract(ctx, parts([]string{a}), o)
	require.NoError(t, err)
	require.Equal(t, []float64{4.0 / 3, 0, 1.0 / 3}, m.Weights)
	out := filepath.Join(dir, "train.csv")
	_, err = f.Export(ctx, parts([]string{a}), o, out, lake.FormatCSV)
	require.NoError(t, err)
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, "origin,Weight,label,weight_\na,1.0,1,1.3333333333333333\nc,1.0,0,0.0\nd,1.0,1,0.3333333333333333\n", string(b))

	m, err = plain.Extract(ctx, parts([]string{a}), features.Options{Labels: true, ClassWeight: map[string]float64{"false": 3}})
	require.NoError(t, err)
	require.Equal(t, []float64{1, 3, 1}, m.Weights)
}

func TestClassWeightsOfTexts(t *testing.T) {
	t.Parallel()
	e, dir := engine(t)
	a := write(t, e, dir, "a.parquet", "('2001-01-02', 20, 2, 'it''s', 'x'), ('2001-01-01', 3, 2, 'b', 'x')")
	f := compile(t, e, "destination", "origin", resource.TaskMulticlass)
	m, err := f.Extract(context.Background(), parts([]string{a}), features.Options{Labels: true, ClassWeight: map[string]float64{"it's": 0.25, "never seen": 9}})
	require.NoError(t, err)
	require.Equal(t, []float64{0.25, 1}, m.Weights)
}

func TestWeightsAreRefused(t *testing.T) {
	t.Parallel()
	e, dir := engine(t)
	ctx := context.Background()
	plain := compile(t, e, "origin", late, resource.TaskBinary)
	for sql, words := range map[string]string{
		"distance, delay":   "weight: one expression is needed, there are 2",
		"origin":            "weight: a number is needed, this is VARCHAR",
		"distance > 1":      "weight: a number is needed, this is BOOLEAN",
		"sum(distance)":     "weight near",
		"epoch(now())":      "depends on when",
		"(SELECT 1)":        "subqueries",
		"speed":             "the dataset has no column \"speed\"",
		"distance) OR (1=1": "weight:",
		"":                  "weight: empty",
	} {
		_, err := plain.WithWeight(ctx, sql)
		require.ErrorContains(t, err, words, sql)
	}
	a := write(t, e, dir, "a.parquet", "('2001-01-02', 20, 2, 'a', 'x')")
	b := write(t, e, dir, "b.parquet", "('2001-01-02', 20, 2, 'a', 'x'), ('2001-01-01', NULL, -3, 'b', 'x'), ('2001-01-03', 1, -1.5, 'c', 'y')")
	files := []features.File{{Path: a, Ordinal: 4}, {Path: b, Ordinal: 9}}
	for sql, words := range map[string]string{
		"distance":                    "weight: it is -1.5 in row 3 of segment 9; a weight must be a finite number of at least 0",
		"TRY(sqrt(distance)) + delay": "", // null is 0
		"CASE WHEN distance < 0 THEN 'nan'::DOUBLE ELSE delay END": "weight: it is nan in row 3 of segment 9",
		"1e308 * 10 * (delay + 1)":                                 "weight: it is inf in row 1 of segment ",
	} {
		f, err := plain.WithWeight(ctx, sql)
		require.NoError(t, err, sql)
		o := features.Options{Labels: true}
		_, extracted := f.Extract(ctx, files, o)
		_, exported := f.Export(ctx, files, o, filepath.Join(dir, "o.parquet"), lake.FormatParquet)
		if words == "" {
			require.NoError(t, extracted)
			require.NoError(t, exported)
			continue
		}
		for _, err := range []error{extracted, exported} {
			require.ErrorContains(t, err, words)
			require.ErrorIs(t, err, features.ErrData)
		}
	}
}

// What a trainer reads from its file is what a built-in trainer gets, to the bit: features, labels and weights.
func TestExportHoldsWhatExtractGives(t *testing.T) {
	t.Parallel()
	e, dir := engine(t)
	ctx := context.Background()
	odd := write(t, e, dir, "odd.parquet", "('2001-02-28 23:59:59.999999', 3, NULL, NULL, NULL), ('1969-12-31', 1, -5, 'Zürich', ''), ('2001-01-01', 16, 1e300, 'XXX', 'YYY'), ('2001-01-01', NULL, 1, 'a', 'b'), ('2001-01-01', 1, 'inf'::DOUBLE, 'O''Hare', '\"')")
	files := parts(append([]string{odd}, real(t)...))
	f, err := compile(t, e, flightsSQL+", distance / 3 AS third, TRY(ln(distance + 1)) AS log, origin = 'SFO' AS sfo", late, resource.TaskBinary).WithWeight(ctx, "1 / (1 + TRY(abs(delay)))")
	require.NoError(t, err)
	for name, r := range map[string]lake.Range{"all": {}, "newest": {Newest: 5000}, "drawn": {Draw: lake.Draw{Rows: 5000, Seed: 3}}, "balanced": {Draw: lake.Draw{Rows: 5000, Balanced: true}}} {
		o := features.Options{Range: r, Labels: true, ClassWeight: map[string]float64{"true": 0.7, "false": 1.9}}
		m, err := f.Extract(ctx, files, o)
		require.NoError(t, err)
		out := filepath.Join(dir, name+".parquet")
		n, err := f.Export(ctx, files, o, out, lake.FormatParquet)
		require.NoError(t, err)
		require.EqualValues(t, m.Rows, n, name)
		i := 0
		err = e.Scan(ctx, "SELECT * FROM "+lake.ReadParquet([]string{out}), func(v []driver.Value) error {
			for j, c := range m.Columns {
				if c.Kind == features.Text {
					if c.Texts[i] != v[j] {
						t.Fatalf("%s: row %d has %s %q, not %q", name, i, c.Name, v[j], c.Texts[i])
					}
					continue
				}
				x, known := v[j].(float32)
				if want := c.Numbers[i]; known != (want == want) || (known && x != want) {
					t.Fatalf("%s: row %d has %s %v, not %v", name, i, c.Name, v[j], want)
				}
			}
			if int32(m.Labels.Numbers[i]) != v[len(m.Columns)] || m.Weights[i] != v[len(m.Columns)+1] {
				t.Fatalf("%s: row %d has %v, not %v and %v", name, i, v[len(m.Columns):], m.Labels.Numbers[i], m.Weights[i])
			}
			i++
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, m.Rows, i)
	}
}
