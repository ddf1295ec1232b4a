package lake_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
)

func TestStatementOfOneRow(t *testing.T) {
	t.Parallel()
	e := openEngine(t, 2, t.TempDir())
	types := []string{resource.TypeInt64, resource.TypeBoolean, resource.TypeString, resource.TypeTimestamp, resource.TypeFloat64}
	s, err := e.Prepare("SELECT ($1::BIGINT + $5::DOUBLE)::FLOAT, $2::BOOLEAN::FLOAT, $3::VARCHAR, year($4::TIMESTAMP)::FLOAT", types, []bool{false, false, true, false})
	require.NoError(t, err)
	var got []any
	collect := func(vals ...rows.Value) []any {
		got = nil
		require.NoError(t, s.Run(vals, func(_ int, x float32, ok bool) { got = append(got, x, ok) }, func(_ int, x string, ok bool) { got = append(got, x, ok) }))
		return got
	}
	require.Equal(t, []any{float32(3.5), true, float32(1), true, "a text that is longer than twelve bytes, ü", true, float32(2001), true},
		collect(rows.Value{I: 3}, rows.Value{I: 1}, rows.Value{S: "a text that is longer than twelve bytes, ü"}, rows.Value{I: jan.UnixMicro()}, rows.Value{F: .5}))
	null := rows.Value{Null: true}
	require.Equal(t, []any{float32(0), false, float32(0), false, "", false, float32(0), false}, collect(null, null, null, null, null))
	require.Equal(t, "", collect(null, null, rows.Value{}, null, null)[4])
	require.Equal(t, true, got[5], "an empty text is no null")
	require.ErrorContains(t, s.Run(nil, nil, nil), "0 values")
	s.Close()

	for q, text := range map[string]string{
		"SELECT 1":                         "not", // INTEGER, not FLOAT
		"SELECT 1::FLOAT, 2::FLOAT":        "2 result columns",
		"SELECT nothing":                   "nothing",
		"SELECT 1::FLOAT FROM 'x.parquet'": "",
	} {
		_, err := e.Prepare(q, nil, []bool{false})
		require.ErrorContains(t, err, text, q)
	}
	for q, text := range map[string]string{
		"SELECT 1::FLOAT WHERE false":        "no row",
		"SELECT 1::FLOAT FROM range(3)":      "3 rows",
		"SELECT error('no')::VARCHAR::FLOAT": "no",
		"SELECT current_setting('threads')::FLOAT WHERE current_setting('TimeZone') <> 'UTC' OR NOT current_setting('lock_configuration')": "no row",
	} {
		s, err := e.Prepare(q, nil, []bool{false})
		require.NoError(t, err, q)
		nop := func(int, float32, bool) {}
		require.ErrorContains(t, s.Run(nil, nop, nil), text, q)
		s.Close()
	}
}

func TestEngineTellsOpenStatements(t *testing.T) {
	t.Parallel()
	e, err := lake.OpenEngine(context.Background(), lake.EngineOptions{Threads: 1})
	require.NoError(t, err)
	s, err := e.Prepare("SELECT 1::FLOAT", nil, []bool{false})
	require.NoError(t, err)
	require.ErrorContains(t, e.Close(), "1 statements are still open")
	s.Close()
	require.NoError(t, e.Close())
}
