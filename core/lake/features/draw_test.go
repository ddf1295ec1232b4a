package features_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/features"
	"github.com/tidemill/tidemill/core/resource"
)

// sampled is a row that may be drawn: its distance tells it from all others.
type sampled struct {
	id    float32
	at    time.Time
	class string // "" has no label
	key   uint64
}

// segments writes random rows with so many classes.
func segments(t testing.TB, e *lake.Engine, dir string, rng *rand.Rand, seed int64, classes int) (files []features.File, all []sampled) {
	t.Helper()
	for i := range 1 + rng.IntN(5) {
		var values []string
		ordinal := uint64(i*7 + 1)
		for row := range 1 + rng.IntN(60) {
			s := sampled{id: float32(len(all)), at: time.Date(2001, 1, 1+rng.IntN(20), rng.IntN(24), 0, 0, 0, time.UTC), key: features.Key(seed, ordinal, uint32(row))}
			class, label := rng.IntN(2*classes), "NULL"
			if class >= classes { // the first class is as frequent as all others together
				class = 0
			}
			if rng.IntN(10) > 0 {
				s.class = fmt.Sprintf("c%d", class)
				label = fmt.Sprint(class)
			}
			all = append(all, s)
			values = append(values, fmt.Sprintf("('%s', %s, %v, 'x', 'y')", s.at.Format("2006-01-02 15:04:05"), label, s.id))
		}
		path := write(t, e, dir, fmt.Sprintf("%d-%d.parquet", rng.Uint64(), i), strings.Join(values, ", "))
		files = append(files, features.File{Path: path, Ordinal: ordinal})
	}
	return files, all
}

// drawn says in Go which rows are drawn.
func drawn(all []sampled, r lake.Range) (ids []float32) {
	byClass := map[string][]sampled{}
	for _, s := range all {
		if s.class == "" || !r.Contains(s.at) {
			continue
		}
		class := s.class
		if !r.Draw.Balanced {
			class = "all"
		}
		byClass[class] = append(byClass[class], s)
	}
	var names []string
	var have []int64
	for name := range byClass {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		have = append(have, int64(len(byClass[name])))
	}
	for i, quota := range lake.Quotas(r.Draw.Rows, have) {
		rows := byClass[names[i]]
		slices.SortFunc(rows, func(a, b sampled) int { return cmp.Compare(a.key, b.key) })
		for _, s := range rows[:quota] {
			ids = append(ids, s.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// A draw takes the rows with the lowest keys, of all or of each class, whatever the order of the files and however many threads
// there are; and every way to read rows takes the same.
func TestDraw(t *testing.T) {
	t.Parallel()
	e, dir := engine(t)
	single, err := lake.OpenEngine(context.Background(), lake.EngineOptions{Threads: 1, Dirs: []string{dir}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, single.Close()) })
	ctx := context.Background()
	compiled := map[*lake.Engine]*features.Features{}
	for _, e := range []*lake.Engine{e, single} {
		compiled[e] = compile(t, e, "distance", "CASE WHEN t.delay IS NOT NULL THEN 'c' || delay::INTEGER END", resource.TaskMulticlass)
	}
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "rows"), 1))
		r := lake.Range{To: time.Date(2001, 1, 15, 0, 0, 0, 0, time.UTC), Draw: lake.Draw{Rows: rapid.Int64Range(1, 120).Draw(rt, "n"),
			Balanced: rapid.Bool().Draw(rt, "balanced"), Seed: rapid.Int64().Draw(rt, "seed")}}
		files, all := segments(t, e, dir, rng, r.Draw.Seed, rapid.IntRange(1, 4).Draw(rt, "classes"))
		want := drawn(all, r)
		backwards := slices.Clone(files)
		slices.Reverse(backwards)
		for engine, order := range map[*lake.Engine][]features.File{e: files, single: backwards} {
			f := compiled[engine]
			m, err := f.Extract(ctx, order, features.Options{Range: r, Labels: true})
			require.NoError(rt, err)
			got := append([]float32(nil), m.Columns[0].Numbers...) // nil, as want is, when no row was drawn
			if engine == e {
				require.True(rt, slices.IsSorted(got), "rows keep their order")
			}
			slices.Sort(got)
			require.Equal(rt, want, got)
			sum, err := f.Summarize(ctx, order, r)
			require.NoError(rt, err)
			require.Equal(rt, int64(len(want)), sum.Rows)
			if len(want) > 0 {
				require.Equal(rt, slices.Max(m.Times), sum.Newest)
			}
			n, err := f.Export(ctx, order, features.Options{Range: r, Labels: true}, filepath.Join(dir, "drawn.csv"), lake.FormatCSV)
			require.NoError(rt, err)
			require.Equal(rt, int64(len(want)), n)
		}
	})
}

// Each row is as likely as any other: over many seeds, each of 60 rows is drawn about as often.
func TestDrawIsFair(t *testing.T) {
	t.Parallel()
	const rows, n, seeds = 60, 20, 3000
	counts := make([]int, rows)
	for seed := range int64(seeds) {
		type row struct {
			i   int
			key uint64
		}
		var all []row
		for i := range rows {
			all = append(all, row{i, features.Key(seed, uint64(i/20+1), uint32(i%20))})
		}
		slices.SortFunc(all, func(a, b row) int { return cmp.Compare(a.key, b.key) })
		for _, r := range all[:n] {
			counts[r.i]++
		}
	}
	chi := 0.0
	for _, c := range counts {
		d := float64(c) - seeds*n/rows
		chi += d * d / (seeds * n / rows)
	}
	require.Less(t, chi/(1-float64(n)/rows), 98.3, "χ² with 59 degrees of freedom passes 98.3 once in a thousand times")
	require.NotEqual(t, slices.Min(counts), slices.Max(counts))
}

func TestDrawRefusesClassesOfARegression(t *testing.T) {
	t.Parallel()
	e, _ := engine(t)
	f := compile(t, e, "distance", "delay", resource.TaskRegression)
	o := features.Options{Labels: true, Range: lake.Range{Draw: lake.Draw{Rows: 100, Balanced: true}}}
	_, err := f.Extract(context.Background(), parts(real(t)), o)
	require.ErrorContains(t, err, "a balanced sample needs classes, and a regression has none")
	require.ErrorIs(t, err, features.ErrData)
	o.Range.Draw.Balanced = false
	m, err := f.Extract(context.Background(), parts(real(t)), o)
	require.NoError(t, err)
	require.Equal(t, 100, m.Rows)
}
