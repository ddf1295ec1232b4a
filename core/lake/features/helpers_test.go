package features_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake/features"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
)

type rowsValue = rows.Value

func bind(t testing.TB, o *features.Online, raw []map[string]any) (out [][]rows.Value) {
	t.Helper()
	for _, r := range raw {
		vals, bad := o.Bind(r)
		require.Nil(t, bad)
		out = append(out, vals)
	}
	return out
}

func BenchmarkExtractFlights(b *testing.B) {
	e, _ := engine(b)
	f := compile(b, e, flightsSQL, late, resource.TaskBinary)
	for b.Loop() {
		m, err := f.Extract(context.Background(), parts(real(b)), features.Options{Labels: true})
		require.NoError(b, err)
		require.Greater(b, m.Rows, 290_000)
	}
}

func BenchmarkOnlineRow(b *testing.B) {
	e, _ := engine(b)
	o, err := compile(b, e, flightsSQL, late, resource.TaskBinary).Online(context.Background())
	require.NoError(b, err)
	defer o.Close()
	for name, row := range map[string]map[string]any{
		"whole": {"date": "2001-01-01T06:30:00Z", "distance": 300.0, "origin": "SFO", "destination": "JFK"},
		"null":  {"date": "2001-01-01T06:30:00Z", "origin": "SFO", "destination": "JFK"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				vals, _ := o.Bind(row)
				if _, err := o.Compute(context.Background(), [][]rows.Value{vals}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOnlineRows tells what a row costs among others.
func BenchmarkOnlineRows(b *testing.B) {
	e, _ := engine(b)
	o, err := compile(b, e, flightsSQL, late, resource.TaskBinary).Online(context.Background())
	require.NoError(b, err)
	defer o.Close()
	vals := bind(b, o, []map[string]any{{"date": "2001-01-01T06:30:00Z", "distance": 300.0, "origin": "SFO", "destination": "JFK"}})[0]
	for _, n := range []int{1, 4, 16} {
		bound := make([][]rows.Value, n)
		for i := range bound {
			bound[i] = vals
		}
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := o.Compute(context.Background(), bound); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	e, _ := engine(b)
	for b.Loop() {
		compile(b, e, flightsSQL, late, resource.TaskBinary)
	}
}

// parts are files as the segments 1, 2, 3 …
func parts(paths []string) (out []features.File) {
	for i, p := range paths {
		out = append(out, features.File{Path: p, Ordinal: uint64(i + 1)})
	}
	return out
}
