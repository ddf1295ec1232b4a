package lake_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
)

var (
	streamNames = []string{"n", "flag", "a text", "seen", "x"}
	streamTypes = []string{resource.TypeInt64, resource.TypeBoolean, resource.TypeString, resource.TypeTimestamp, resource.TypeFloat64}
	streamTexts = []bool{false, false, true, false, true}
)

// items are a projection of the columns; the last fails for texts that begin with "!".
const items = `(n + x)::FLOAT, flag::FLOAT, "a text", epoch_us(seen)::FLOAT, CASE WHEN "a text" LIKE '!%' THEN substr("a text", 2)::INTEGER::VARCHAR ELSE 'const' END`

func streamed(rest string) func(string) string {
	return func(source string) string {
		return "SELECT " + items + ", " + lake.Tag + " FROM " + source + " " + rest
	}
}

// result holds what a run gives, row by row.
func results(n int, run func(number func(int, int, float32, bool), text func(int, int, string, bool)) error) ([][]any, error) {
	got := make([][]any, n)
	err := run(func(row, _ int, x float32, ok bool) { got[row] = append(got[row], any(x), ok) },
		func(row, _ int, x string, ok bool) { got[row] = append(got[row], any(x), ok) })
	return got, err
}

// TestStreamsGiveWhatStatementsGive sends random rows, some of them broken, through streams that are used by turns, and through
// a statement.
func TestStreamsGiveWhatStatementsGive(t *testing.T) {
	t.Parallel()
	e := openEngine(t, 2, t.TempDir())
	var params []string
	for i, ty := range streamTypes {
		params = append(params, lake.Param(i, ty, true)+" AS "+lake.Ident(streamNames[i]))
	}
	statement, err := e.PrepareMany("SELECT "+items+" FROM (SELECT "+strings.Join(params, ", ")+")", streamTypes, streamTexts)
	require.NoError(t, err)
	defer statement.Close()
	var streams []*lake.Stream
	for range 3 {
		s, err := e.Stream(streamed(""), streamNames, streamTypes, streamTexts)
		require.NoError(t, err)
		defer s.Close()
		streams = append(streams, s)
	}
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 8).Draw(rt, "runs") {
			n := rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(60, 70)).Draw(rt, "rows")
			var vals []rows.Value
			for range n {
				vals = append(vals, drawRow(rt)...)
			}
			want, wantErr := results(n, func(number func(int, int, float32, bool), text func(int, int, string, bool)) error {
				return statement.Run(n, vals, number, text)
			})
			got, err := results(n, func(number func(int, int, float32, bool), text func(int, int, string, bool)) error {
				return rapid.SampledFrom(streams).Draw(rt, "stream").Run(n, vals, number, text)
			})
			if wantErr != nil {
				what, _, _ := strings.Cut(wantErr.Error(), "LINE 1") // and where in the SQL
				require.ErrorContains(rt, err, what)
				require.Equal(rt, make([][]any, n), got, "an error gives nothing")
				continue
			}
			require.NoError(rt, err)
			require.Equal(rt, want, got)
		}
	})
}

func drawRow(rt *rapid.T) []rows.Value {
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "!7", "!x", "a text that is longer than twelve bytes, ü"}), rapid.StringOf(rapid.RuneFrom([]rune("añ☂😀 \t\"'")))).Draw(rt, "text")
	if strings.HasPrefix(text, "!") && rapid.IntRange(0, 3).Draw(rt, "rarely") > 0 {
		text = "fine"
	}
	row := []rows.Value{{I: rapid.Int64().Draw(rt, "n")}, {I: rapid.Int64Range(0, 1).Draw(rt, "flag")}, {S: text},
		{I: jan.UnixMicro() + rapid.Int64Range(-1e15, 1e15).Draw(rt, "at")},
		{F: rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.Inf(1), 1e300})).Draw(rt, "x")}}
	for i := range row {
		if rapid.IntRange(0, 4).Draw(rt, "null") == 0 {
			row[i] = rows.Value{Null: true}
		}
	}
	return row
}

func TestStreamsLast(t *testing.T) {
	t.Parallel()
	e := openEngine(t, 2, t.TempDir())
	s, err := e.Stream(streamed(""), streamNames, streamTypes, streamTexts)
	require.NoError(t, err)
	defer s.Close()
	for i := range 3000 {
		n := 1 + i*i%7
		if i%1000 == 0 {
			n = lake.MaxStream
		}
		text := fmt.Sprint("the text of run ", i)
		broken := i%100 == 99
		if broken {
			text = "!" + text
		}
		vals := slices.Repeat([]rows.Value{{I: int64(i)}, {I: 1}, {S: text}, {I: 5}, {Null: i%2 == 0}}, n)
		got, err := results(n, func(number func(int, int, float32, bool), text func(int, int, string, bool)) error {
			return s.Run(n, vals, number, text)
		})
		if broken {
			require.ErrorContains(t, err, "Conversion Error")
			continue
		}
		require.NoError(t, err)
		want := []any{float32(i), true, float32(1), true, text, true, float32(5), true, "const", true}
		if i%2 == 0 {
			want[0], want[1] = float32(0), false
		}
		for _, row := range got {
			require.Equal(t, want, row, i)
		}
	}
	require.ErrorContains(t, s.Run(2, make([]rows.Value, 5), nil, nil), "5 values for 2 rows")
	require.ErrorContains(t, s.Run(0, nil, nil, nil), "0 rows")
}

// TestWhatDoesNotStream must never wait for rows, mix rows up or give them out.
func TestWhatDoesNotStream(t *testing.T) {
	t.Parallel()
	e := openEngine(t, 2, t.TempDir())
	one := func(list string) func(string) string {
		return func(source string) string { return "SELECT " + list + " FROM " + source }
	}
	row := []rows.Value{{I: 1}, {I: 1}, {S: "x"}, {I: 5}, {F: 2}}
	for name, query := range map[string]func(string) string{
		"filter": streamed("WHERE n < 0"),
		"sort":   streamed("ORDER BY x"),
		"limit":  streamed("LIMIT 1"),
		"double": streamed(", range(2)"),
		"group":  one(`sum(n)::FLOAT, 1::FLOAT, '', 1::FLOAT, '', max("#tag")`),
		"shift":  one(`n::FLOAT, 1::FLOAT, '', 1::FLOAT, '', "#tag" + 1`),
		"twice":  one(`n::FLOAT, 1::FLOAT, '', 1::FLOAT, unnest(['a', 'b']), "#tag"`),
	} {
		s, err := e.Stream(query, streamNames, streamTypes, streamTexts)
		require.NoError(t, err, name)
		for n := range 4 {
			got, err := results(n+1, func(number func(int, int, float32, bool), text func(int, int, string, bool)) error {
				return s.Run(n+1, slices.Repeat(row, n+1), number, text)
			})
			if name == "limit" && n == 0 && err == nil {
				continue // the one row that it lets through
			}
			require.ErrorIs(t, err, lake.ErrNoStream, "%s of %d", name, n+1)
			require.Equal(t, make([][]any, n+1), got, name)
		}
		s.Close()
	}
}

func TestStreamsThatCannotBe(t *testing.T) {
	t.Parallel()
	e := openEngine(t, 2, t.TempDir())
	for list, text := range map[string]string{
		`n::FLOAT, "#tag"`:                            "result columns",
		`n, 1::FLOAT, '', 1::FLOAT, '', "#tag"`:       "type",
		`nothing, 1::FLOAT, '', 1::FLOAT, '', "#tag"`: "nothing",
	} {
		_, err := e.Stream(func(source string) string { return "SELECT " + list + " FROM " + source }, streamNames, streamTypes, streamTexts)
		require.ErrorContains(t, err, text, list)
	}
	// What failed is not left behind: the engine closes without a word.
}

func TestEngineTellsOpenStreams(t *testing.T) {
	t.Parallel()
	e, err := lake.OpenEngine(context.Background(), lake.EngineOptions{Threads: 1})
	require.NoError(t, err)
	s, err := e.Stream(streamed(""), streamNames, streamTypes, streamTexts)
	require.NoError(t, err)
	require.NoError(t, s.Run(1, make([]rows.Value, 5), func(int, int, float32, bool) {}, func(int, int, string, bool) {}))
	require.ErrorContains(t, e.Close(), "still open")
	s.Close() // in the middle of its query
	require.NoError(t, e.Close())
}
