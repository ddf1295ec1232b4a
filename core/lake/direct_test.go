package lake_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	e := openEngine(t, 2, t.TempDir())
	types := []string{resource.TypeInt64, resource.TypeBoolean, resource.TypeString, resource.TypeTimestamp, resource.TypeFloat64}
	query := func(many bool) string {
		var params []string
		for i, ty := range types {
			params = append(params, fmt.Sprintf("%s AS x%d", lake.Param(i, ty, many), i))
		}
		return "SELECT (x0 + x4)::FLOAT, x1::FLOAT, x2, year(x3)::FLOAT FROM (SELECT " + strings.Join(params, ", ") + ")"
	}
	texts := []bool{false, false, true, false}
	one, err := e.Prepare(query(false), types, texts)
	require.NoError(t, err)
	defer one.Close()
	many, err := e.PrepareMany(query(true), types, texts)
	require.NoError(t, err)
	defer many.Close()
	collect := func(s *lake.Statement, n int, vals ...rows.Value) [][]any {
		got := make([][]any, n)
		require.NoError(t, s.Run(n, vals, func(row, _ int, x float32, ok bool) { got[row] = append(got[row], any(x), ok) },
			func(row, _ int, x string, ok bool) { got[row] = append(got[row], any(x), ok) }))
		for i := range got { // one column after the other
			require.Len(t, got[i], 8)
		}
		return got
	}
	long := "a text that is longer than twelve bytes, ü"
	whole := []rows.Value{{I: 3}, {I: 1}, {S: long}, {I: jan.UnixMicro()}, {F: .5}}
	want := []any{float32(3.5), true, float32(1), true, long, true, float32(2001), true}
	require.Equal(t, [][]any{want}, collect(one, 1, whole...))
	require.Equal(t, [][]any{want}, collect(many, 1, whole...))
	null := rows.Value{Null: true}
	nulls := []rows.Value{null, null, null, null, null}
	none := []any{float32(0), false, float32(0), false, "", false, float32(0), false}
	require.Equal(t, [][]any{none}, collect(one, 1, nulls...), "slow, not wrong")
	require.Equal(t, [][]any{none}, collect(many, 1, nulls...))
	require.Equal(t, [][]any{want}, collect(one, 1, whole...))
	empty := slices.Concat(nulls[:2], []rows.Value{{S: ""}}, nulls[:2])
	require.Equal(t, []any{"", true}, collect(many, 1, empty...)[0][4:6], "an empty text is no null")
	const n = 100
	var vals []rows.Value
	for i := range n {
		whole[0].I = int64(i)
		vals = append(vals, whole...)
		if i%3 == 0 {
			copy(vals[5*i:], nulls)
		}
	}
	for i, row := range collect(many, n, vals...) {
		if i%3 == 0 {
			require.Equal(t, none, row, i)
			continue
		}
		require.Equal(t, float32(i)+.5, row[0], i)
		require.Equal(t, want[2:], row[2:], i)
	}
	require.ErrorContains(t, one.Run(1, nil, nil, nil), "0 values")
	require.ErrorContains(t, one.Run(2, slices.Concat(whole, whole), nil, nil), "10 values")
}

func TestStatementsThatCannotBe(t *testing.T) {
	t.Parallel()
	e := openEngine(t, 2, t.TempDir())
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
		nop := func(int, int, float32, bool) {}
		require.ErrorContains(t, s.Run(1, nil, nop, nil), text, q)
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
