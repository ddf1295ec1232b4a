package render_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/services/cli/render"
)

type answer struct {
	Zebra string  `json:"zebra"`
	Ant   float64 `json:"ant"`
	List  []int   `json:"list"`
}

func TestFormatsHoldTheSame(t *testing.T) {
	t.Parallel()
	v := answer{Zebra: "a < b & c", Ant: 0.25, List: []int{}}
	for f, want := range map[render.Format]string{
		render.JSON:  "{\n  \"zebra\": \"a < b & c\",\n  \"ant\": 0.25,\n  \"list\": []\n}\n",
		render.YAML:  "zebra: a < b & c\nant: 0.25\nlist: []\n",
		render.Table: "ZEBRA\na < b & c\n",
	} {
		var b strings.Builder
		require.NoError(t, render.Write(&b, f, v, func(g *render.Grid) {
			g.Head("ZEBRA")
			g.Row(v.Zebra)
		}))
		require.Equal(t, want, b.String(), string(f))
	}
	_, err := render.ParseFormat("xml")
	require.ErrorContains(t, err, `"xml"`)
	require.ErrorContains(t, err, "table, json, yaml")
}

func TestGridAligns(t *testing.T) {
	t.Parallel()
	var g render.Grid
	g.Head("NAME", "ROWS", "NOTE")
	g.Row("flights", "300,000", "")
	g.Row("a", "7", "é\nbroken over lines")
	g.Row("b", "", "x")
	g.Text("and then")
	g.Row("key", "1")
	g.Row("longer key", "text")
	require.Equal(t, `NAME        ROWS  NOTE
flights  300,000  -
a              7  é broken over lines
b              -  x
and then
key         1
longer key  text
`, g.String())
}

func TestEmptyGridSaysSo(t *testing.T) {
	t.Parallel()
	var g render.Grid
	g.Head("NAME")
	require.Equal(t, "none\n", g.String())
}

func TestTexts(t *testing.T) {
	t.Parallel()
	require.Equal(t, "300,000", render.Count(300000))
	require.Equal(t, "-1,234,567", render.Count(int64(-1234567)))
	require.Equal(t, "999", render.Count(uint64(999)))
	require.Empty(t, render.ID(uint64(0)))
	require.Equal(t, "12345", render.ID(uint64(12345)))
	require.Equal(t, "17,200", render.Figure(17200.4))
	require.Equal(t, "0.4853", render.Figure(0.48531))
	require.Equal(t, "auc 0.6, logloss 0.5, accuracy 0.8", render.Brief(map[string]float64{"accuracy": 0.8, "auc": 0.6, "brier": 0.1, "logloss": 0.5, "rmse": 1}))
	require.Equal(t, "own 1", render.Brief(map[string]float64{"own": 1}))
	require.Equal(t, "2001-03-01 07:15:00Z", render.Time(time.Date(2001, 3, 1, 8, 15, 0, 0, time.FixedZone("", 3600))))
	require.Empty(t, render.Time(time.Time{}))
	for want, d := range map[string]time.Duration{"340ms": 340 * time.Millisecond, "12.3s": 12345 * time.Millisecond,
		"4m10s": 250 * time.Second, "3h05m": 185 * time.Minute} {
		require.Equal(t, want, render.Span(d))
	}
	for want, n := range map[string]int64{"512 B": 512, "13.5 MB": 13_500_000, "1.0 MB": 999_999, "1.0 kB": 1000} {
		require.Equal(t, want, render.Bytes(n))
	}
	require.Equal(t, "logloss 0.4853, ap 0.5, auc 0.641", render.Figures(map[string]float64{"auc": 0.641, "logloss": 0.48531, "ap": 0.5}, "logloss"))
	require.Equal(t, "belowMin 1,000, a 2, b 2", render.Reasons(map[string]int64{"b": 2, "a": 2, "belowMin": 1000}))
	require.Equal(t, "plain text", render.Value("plain text"))
	require.Equal(t, `""`, render.Value(""))
	require.Equal(t, `{"a":"<"}`, render.Value(map[string]any{"a": "<"}))
	require.Equal(t, "abc…", render.Cut("abcdef", 4))
	require.Equal(t, "abcd", render.Cut("abcd", 4))
	require.Equal(t, "██░░", render.Bar(0.5, 4))
	require.Equal(t, "████", render.Bar(7, 4))
}

func TestColourOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	require.Equal(t, "x", render.Style{}.Bad("x"))
	require.Equal(t, "\x1b[31mx\x1b[0m", render.Style{Color: true}.Bad("x"))
	require.Empty(t, render.Style{Color: true}.Good(""))
}
