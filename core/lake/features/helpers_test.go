package features_test

import (
	"context"
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
		m, err := f.Extract(context.Background(), real(b), features.ExtractOptions{Labels: true})
		require.NoError(b, err)
		require.Greater(b, m.Rows, 290_000)
	}
}

func BenchmarkOnlineRow(b *testing.B) {
	e, _ := engine(b)
	o, err := compile(b, e, flightsSQL, late, resource.TaskBinary).Online(context.Background())
	require.NoError(b, err)
	defer func() { require.NoError(b, o.Close()) }()
	row := map[string]any{"date": "2001-01-01T06:30:00Z", "distance": 300.0, "origin": "SFO", "destination": "JFK"}
	b.ReportAllocs()
	for b.Loop() {
		vals, _ := o.Bind(row)
		if _, err := o.Compute(context.Background(), [][]rows.Value{vals}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	e, _ := engine(b)
	for b.Loop() {
		compile(b, e, flightsSQL, late, resource.TaskBinary)
	}
}
