package search_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/core/search"
	"github.com/tidemill/tidemill/events"
)

func drawRange(t *rapid.T, grid bool) resource.Range {
	var r resource.Range
	low := float64(rapid.IntRange(-50, 50).Draw(t, "low"))
	width := rapid.Float64Range(0.001, 1e4).Draw(t, "width")
	n := rapid.Int64Range(1, 6).Draw(t, "n")
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0:
		return choice([]any{"a", "1", 1.0, 0.5, true, false, "true"}[:n]...)
	case 1:
		r = whole(int64(low), int64(low)+n)
	case 2:
		r = stepped(whole(int64(low), int64(low)+3*n), float64(rapid.IntRange(1, 3).Draw(t, "step")))
	case 3:
		r = logInt(n, n+int64(width)+1)
	case 4:
		r = stepped(float(low, low+width), width/float64(n))
	case 5:
		r = float(low, low+width)
	case 6:
		r = logs(width, width*(1+rapid.Float64Range(1e-6, 1e6).Draw(t, "ratio")))
	}
	if grid && (r.Step == 0 && (r.Float != nil || rapid.Bool().Draw(t, "steps")) || r.Log != nil || r.LogInt != nil) {
		r.Steps = rapid.IntRange(2, 6).Draw(t, "steps")
	}
	return r
}

func drawSearch(t *rapid.T, methods ...string) *resource.Search {
	s := &resource.Search{Method: rapid.SampledFrom(methods).Draw(t, "method"), Space: map[string]resource.Range{}}
	s.Trials = rapid.IntRange(1, 20).Draw(t, "trials")
	points := int64(1)
	for i := range rapid.IntRange(1, 4).Draw(t, "axes") {
		r := drawRange(t, s.Method == resource.SearchGrid)
		if points *= max(r.Size(), 1); s.Method == resource.SearchGrid && points > 500 {
			break
		}
		s.Space[string(rune('a'+i))] = r
	}
	if s.Method == resource.SearchHalving {
		f := rapid.IntRange(2, 4).Draw(t, "factor")
		low := rapid.SampledFrom([]float64{1, 3, 0.1}).Draw(t, "min")
		s.Halving = &resource.Halving{Param: "epochs", Min: low, Max: low * float64(f) * rapid.Float64Range(1, 50).Draw(t, "more"), Factor: f}
		s.Trials = max(s.Trials, f+1)
	} else {
		s.Parallel = rapid.IntRange(0, 5).Draw(t, "parallel")
	}
	if rapid.Bool().Draw(t, "early") {
		s.EarlyStop = &resource.EarlyStop{Metric: "loss", Goal: resource.GoalMinimize, After: 2}
	}
	return s
}

var everyMethod = []string{resource.SearchGrid, resource.SearchRandom, resource.SearchTPE, resource.SearchHalving}

// ending is an arbitrary end of a trial, the same every time for one seed.
func ending(seed uint64) trial {
	return func(p search.Proposal) search.Result {
		r := rand.New(rand.NewPCG(seed, uint64(p.Number)))
		out := search.Result{Number: p.Number, Params: p.Params, Value: math.Round(r.Float64() * 8), OK: r.IntN(5) > 0, Stopped: r.IntN(6) == 0}
		if r.IntN(10) == 0 {
			out.Value = []float64{math.NaN(), math.Inf(1), math.Inf(-1)}[r.IntN(3)]
		}
		for step := range r.IntN(6) {
			out.Curve = append(out.Curve, events.Point{Step: step + 1, Value: r.Float64()})
		}
		return out
	}
}

func inside(t require.TestingT, r resource.Range, v any, msg string) {
	x, isNumber := v.(float64)
	switch {
	case r.Choice != nil:
		require.Contains(t, r.Choice, v, msg)
		return
	case r.Int != nil || r.LogInt != nil:
		bounds := r.Int
		if bounds == nil {
			bounds = r.LogInt
		}
		require.True(t, isNumber && x == math.Trunc(x) && x >= float64(bounds[0]) && x <= float64(bounds[1]), "%s: %v", msg, v)
		if r.Step > 0 {
			require.Zero(t, math.Mod(x-float64(bounds[0]), r.Step), msg)
		}
		return
	}
	bounds := r.Float
	if bounds == nil {
		bounds = r.Log
	}
	require.True(t, isNumber && x >= bounds[0] && x <= bounds[1], "%s: %v", msg, v)
	if r.Step > 0 {
		i := (x - bounds[0]) / r.Step
		require.InDelta(t, math.Round(i), i, 1e-3, msg)
	}
}

func TestProposalsLieInTheSpace(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSearch(rt, everyMethod...)
		proposed, _ := run(t, s, rapid.Int64().Draw(rt, "seed"), evaluation.LowerIsBetter, ending(rapid.Uint64().Draw(rt, "ends")))
		seen := map[string]bool{}
		size, endless := int64(1), false
		for _, r := range s.Space {
			size *= r.Size()
			endless = endless || r.Size() == 0
		}
		for i, p := range proposed {
			for name, r := range s.Space {
				inside(rt, r, p.Params[name], name)
			}
			require.False(rt, seen[fmt.Sprintf("%#v", p.Params)], "%v is tried twice", p.Params)
			seen[fmt.Sprintf("%#v", p.Params)] = true
			if s.Method == resource.SearchHalving {
				require.Len(rt, p.Params, len(s.Space)+1)
				continue
			}
			require.Len(rt, p.Params, len(s.Space))
			generation := 1
			if s.Parallel > 0 {
				generation = i/s.Parallel + 1
			}
			require.Equal(rt, generation, p.Generation)
		}
		require.LessOrEqual(rt, len(proposed), s.Trials)
		switch {
		case s.Method == resource.SearchHalving || s.Method == resource.SearchGrid:
		case endless:
			require.Len(rt, proposed, s.Trials)
		default:
			require.Len(rt, proposed, int(min(size, int64(s.Trials))), "a finite space is tried out, once")
		}
	})
}

// TestTimingChangesNothing asks again at every moment of a search: with the results in another order, as JSON keeps them,
// and with some of the generation that is being run.
func TestTimingChangesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSearch(rt, everyMethod...)
		seed, f := rapid.Int64().Draw(rt, "seed"), ending(rapid.Uint64().Draw(rt, "ends"))
		var done []search.Result
		for {
			want, err := search.Next(s, seed, evaluation.HigherIsBetter, done)
			require.NoError(rt, err)
			if len(want) == 0 {
				break
			}
			var generation []search.Result
			for _, p := range want {
				generation = append(generation, f(p))
			}
			some := slices.Clone(done)
			for i, r := range generation {
				if i != len(generation)/2 && rapid.Bool().Draw(rt, "ended") {
					some = append(some, r)
				}
			}
			for i := range some {
				some[i].Params = asStored(rt, some[i].Params)
			}
			again, err := search.Next(s, seed, evaluation.HigherIsBetter, rapid.Permutation(some).Draw(rt, "order"))
			require.NoError(rt, err)
			require.Equal(rt, want, again)
			done = append(done, generation...)
		}
		winner, ok := search.Winner(s, evaluation.HigherIsBetter, done)
		again, okAgain := search.Winner(s, evaluation.HigherIsBetter, rapid.Permutation(done).Draw(rt, "order"))
		require.Equal(rt, winner, again)
		require.Equal(rt, ok, okAgain)
	})
}

func asStored(t require.TestingT, params map[string]any) map[string]any {
	b, err := json.Marshal(params)
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal(b, &out))
	out["l2"] = []any{"the candidate's own"}
	return out
}

func TestGridIsTheProduct(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSearch(rt, resource.SearchGrid)
		s.Trials = 0
		all, _ := run(t, s, 1, evaluation.LowerIsBetter, ending(1))
		values, seen, product := map[string]map[any]bool{}, map[string]bool{}, 1
		for _, p := range all {
			for name, v := range p.Params {
				if values[name] == nil {
					values[name] = map[any]bool{}
				}
				values[name][v] = true
			}
			seen[fmt.Sprintf("%#v", p.Params)] = true
		}
		for name, r := range s.Space {
			product *= len(values[name])
			require.LessOrEqual(rt, int64(len(values[name])), r.Size())
			if r.Steps == 0 {
				require.Len(rt, values[name], int(r.Size()), name)
			}
		}
		require.Len(rt, all, product)
		require.Len(rt, seen, product, "each point once")

		s.Trials = rapid.IntRange(1, product).Draw(rt, "trials")
		some, _ := run(t, s, rapid.Int64().Draw(rt, "seed"), evaluation.LowerIsBetter, ending(1))
		require.Len(rt, some, s.Trials)
		for _, p := range some {
			key := fmt.Sprintf("%#v", p.Params)
			require.True(rt, seen[key], "a point of the grid, once")
			delete(seen, key)
		}
	})
}

func TestHalvingKeepsItsBudget(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSearch(rt, resource.SearchHalving)
		proposed, done := run(t, s, 1, evaluation.LowerIsBetter, scored(func(p map[string]any) float64 { return num(p["epochs"]) }))
		require.LessOrEqual(rt, len(proposed), s.Trials)
		require.Equal(rt, s.Halving.Max, proposed[len(proposed)-1].Params["epochs"], "the last rung has all of it")
		var sizes []int
		previous := 0.0
		for i, p := range proposed {
			if i == 0 || proposed[i-1].Generation != p.Generation {
				require.Greater(rt, num(p.Params["epochs"]), previous)
				previous = num(p.Params["epochs"])
				sizes = append(sizes, 0)
			}
			require.Equal(rt, previous, p.Params["epochs"], "one value on a rung")
			sizes[len(sizes)-1]++
		}
		for i := 1; i < len(sizes); i++ {
			require.Equal(rt, max(1, sizes[i-1]/s.Halving.Factor), sizes[i])
		}
		winner, ok := search.Winner(s, evaluation.LowerIsBetter, done)
		require.True(rt, ok)
		require.Equal(rt, len(sizes), proposed[winner-1].Generation, "though its figure is the worst")
	})
}

func TestWinner(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSearch(rt, resource.SearchGrid, resource.SearchRandom, resource.SearchTPE)
		_, done := run(t, s, 1, evaluation.HigherIsBetter, ending(rapid.Uint64().Draw(rt, "ends")))
		winner, ok := search.Winner(s, evaluation.HigherIsBetter, done)
		for _, r := range done {
			if !r.OK || r.Stopped || math.IsNaN(r.Value) || math.IsInf(r.Value, 0) {
				require.False(rt, ok && winner == r.Number)
				continue
			}
			require.True(rt, ok)
			best := done[winner-1].Value
			require.True(rt, best > r.Value || best == r.Value && winner <= r.Number)
		}
		for i := range done {
			done[i].Value = -done[i].Value
		}
		mirrored, okMirrored := search.Winner(s, evaluation.LowerIsBetter, done)
		require.Equal(rt, winner, mirrored)
		require.Equal(rt, ok, okMirrored)
	})
}
