package search_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/core/search"
)

var mixed = map[string]resource.Range{
	"leaves": whole(15, 127), "rate": logs(0.01, 0.3), "share": stepped(float(0.5, 1), 0.1), "depth": logInt(1, 64), "booster": choice("gbdt", "dart"),
}

// TestDrawsAreForEver pins what a seed gives: a release that changed it would give another winner to the same cycle.
func TestDrawsAreForEver(t *testing.T) {
	t.Parallel()
	for method, want := range map[string][]map[string]any{
		resource.SearchRandom: {
			{"booster": "gbdt", "depth": 4.0, "leaves": 82.0, "rate": 0.0218483, "share": 0.8},
			{"booster": "dart", "depth": 25.0, "leaves": 107.0, "rate": 0.108404, "share": 0.7},
		},
		resource.SearchTPE: {
			{"booster": "gbdt", "depth": 4.0, "leaves": 82.0, "rate": 0.0218483, "share": 0.8},
			{"booster": "gbdt", "depth": 2.0, "leaves": 84.0, "rate": 0.0238123, "share": 0.5},
		},
	} {
		s := &resource.Search{Method: method, Trials: 12, Parallel: 4, Space: mixed}
		all, _ := run(t, s, 42, evaluation.LowerIsBetter, scored(landscapes()[2].height))
		got := []map[string]any{all[0].Params, all[11].Params}
		require.Equal(t, want, got, method)
	}
}

func TestAHyperparameterMoreChangesNoOther(t *testing.T) {
	t.Parallel()
	draw := func(space map[string]resource.Range, seed int64) []search.Proposal {
		all, _ := run(t, &resource.Search{Method: resource.SearchRandom, Trials: 9, Space: space}, seed, evaluation.LowerIsBetter, ending(1))
		return all
	}
	two := draw(map[string]resource.Range{"x": float(0, 1), "z": logs(1, 9)}, 7)
	for i, p := range draw(map[string]resource.Range{"x": float(0, 1), "y": whole(1, 9), "z": logs(1, 9)}, 7) {
		require.Equal(t, two[i].Params["x"], p.Params["x"])
		require.Equal(t, two[i].Params["z"], p.Params["z"])
		require.NotEqual(t, two[i].Params["x"], p.Params["z"])
	}
	require.NotEqual(t, two, draw(map[string]resource.Range{"x": float(0, 1), "z": logs(1, 9)}, 8))
	require.NotEqual(t, search.Seed(1, "m-1", "a"), search.Seed(1, "m-1", "b"))
	require.NotEqual(t, search.Seed(1, "m-1", "a"), search.Seed(1, "m-2", "a"))
	require.NotEqual(t, search.Seed(1, "m-1", "a"), search.Seed(2, "m-1", "a"))
}

// TestRandomIsSpreadAsDeclared bins many draws.
func TestRandomIsSpreadAsDeclared(t *testing.T) {
	t.Parallel()
	s := &resource.Search{Method: resource.SearchRandom, Trials: 4000, Space: mixed}
	all, err := search.Next(s, 3, evaluation.LowerIsBetter, nil)
	require.NoError(t, err)
	count := map[string]int{}
	for _, p := range all {
		if num(p.Params["leaves"]) <= 71 {
			count["leaves"]++
		}
		if num(p.Params["rate"]) < math.Sqrt(0.01*0.3) {
			count["rate"]++
		}
		if num(p.Params["share"]) <= 0.7 {
			count["share"]++
		}
		if num(p.Params["depth"]) < 8 {
			count["depth"]++
		}
		if p.Params["booster"] == "dart" {
			count["booster"]++
		}
	}
	low, high := math.Log(0.5), math.Log(64.5)
	for name, share := range map[string]float64{"leaves": 57. / 113, "rate": 0.5, "share": 0.5, "depth": (math.Log(7.5) - low) / (high - low), "booster": 0.5} {
		require.InDelta(t, share, float64(count[name])/4000, 0.035, name)
	}
}

func TestGridByHand(t *testing.T) {
	t.Parallel()
	s := &resource.Search{Method: resource.SearchGrid, Space: map[string]resource.Range{
		"a": steps(logs(0.01, 1), 3), "b": choice("x", true), "c": steps(logInt(1, 3), 9), "d": stepped(float(0.5, 1), 0.25)}}
	all, err := search.Next(s, 3, evaluation.LowerIsBetter, nil)
	require.NoError(t, err)
	require.Len(t, all, 3*2*3*3)
	require.Equal(t, map[string]any{"a": 0.01, "b": "x", "c": 1.0, "d": 0.5}, all[0].Params)
	require.Equal(t, map[string]any{"a": 0.01, "b": "x", "c": 1.0, "d": 0.75}, all[1].Params)
	require.Equal(t, map[string]any{"a": 0.1, "b": true, "c": 2.0, "d": 0.5}, all[30].Params)
	require.Equal(t, map[string]any{"a": 1.0, "b": true, "c": 3.0, "d": 1.0}, all[53].Params)
}

func halving(trials int) *resource.Search {
	return &resource.Search{Method: resource.SearchHalving, Trials: trials, Space: map[string]resource.Range{"x": float(0, 1)},
		Halving: &resource.Halving{Param: "epochs", Min: 3, Max: 81, Factor: 3}}
}

func TestHalvingByHand(t *testing.T) {
	t.Parallel()
	for trials, want := range map[int]map[float64]int{
		40: {3: 27, 9: 9, 27: 3, 81: 1},
		39: {3: 26, 9: 8, 27: 2, 81: 1},
		12: {3: 8, 9: 2, 81: 1}, // the one that is left has nothing to be compared with at 27
		4:  {3: 3, 81: 1},
	} {
		all, done := run(t, halving(trials), 5, evaluation.LowerIsBetter, scored(func(p map[string]any) float64 { return num(p["x"]) }))
		got, lowest := map[float64]int{}, 1.0
		for _, p := range all {
			got[num(p.Params["epochs"])]++
			lowest = min(lowest, num(p.Params["x"]))
		}
		require.Equal(t, want, got, trials)
		require.Equal(t, lowest, all[len(all)-1].Params["x"], "the best goes up")
		at := map[any]int{}
		for i, p := range all {
			if p.Generation == 1 {
				at[p.Params["x"]] = i
			} else if all[i-1].Generation == p.Generation {
				require.Less(t, at[all[i-1].Params["x"]], at[p.Params["x"]], "in the order of the first rung")
			}
		}
		winner, ok := search.Winner(halving(trials), evaluation.LowerIsBetter, done)
		require.True(t, ok)
		require.Equal(t, len(all), winner)
	}
}

func TestHalvingWithFailures(t *testing.T) {
	t.Parallel()
	all, done := run(t, halving(40), 5, evaluation.LowerIsBetter, func(p search.Proposal) search.Result {
		ok := p.Generation == 1 && p.Number <= 4 || p.Generation == 2
		return search.Result{Number: p.Number, Params: p.Params, Value: -float64(p.Number), OK: ok}
	})
	require.Len(t, all, 27+4+1, "only four go on, and of those one")
	require.Equal(t, 81.0, all[31].Params["epochs"])
	require.Equal(t, all[3].Params["x"], all[30].Params["x"])
	winner, ok := search.Winner(halving(40), evaluation.LowerIsBetter, done)
	require.True(t, ok)
	require.Equal(t, 31, winner, "the last rung has no result: the one before it does")

	winner, ok = search.Winner(halving(40), evaluation.LowerIsBetter, done[:30])
	require.True(t, ok)
	require.Equal(t, 4, winner, "a rung that was cut short doesn't compete")
	_, ok = search.Winner(halving(40), evaluation.LowerIsBetter, done[:3])
	require.False(t, ok)

	all, done = run(t, halving(40), 5, evaluation.LowerIsBetter, func(p search.Proposal) search.Result { return search.Result{Number: p.Number} })
	require.Len(t, all, 27, "nothing is left")
	_, ok = search.Winner(halving(40), evaluation.LowerIsBetter, done)
	require.False(t, ok)
}

func TestNextRefuses(t *testing.T) {
	t.Parallel()
	space := map[string]resource.Range{"x": float(0, 1)}
	for what, s := range map[string]*resource.Search{
		"no method":           {Method: "bayes", Trials: 3, Space: space},
		"space is empty":      {Method: resource.SearchTPE, Trials: 3},
		"can't be searched":   {Method: resource.SearchGrid, Space: space},
		"range of y":          {Method: resource.SearchTPE, Trials: 3, Space: map[string]resource.Range{"y": {}}},
		"range of z":          {Method: resource.SearchTPE, Trials: 3, Space: map[string]resource.Range{"z": logs(0, 1)}},
		"halving needs":       {Method: resource.SearchHalving, Trials: 3, Space: space},
		"more than 10000 poi": {Method: resource.SearchGrid, Space: map[string]resource.Range{"x": whole(1, 101), "y": whole(1, 100)}},
	} {
		_, err := search.Next(s, 1, evaluation.LowerIsBetter, nil)
		require.ErrorContains(t, err, what)
		_, ok := search.Winner(s, evaluation.LowerIsBetter, nil)
		require.False(t, ok)
	}
	ok := &resource.Search{Method: resource.SearchRandom, Trials: 3, Space: space}
	_, err := search.Next(ok, 1, evaluation.Neutral, nil)
	require.ErrorContains(t, err, "choose another metric")
	_, err = search.Next(ok, 1, evaluation.LowerIsBetter, []search.Result{{Number: 1}, {Number: 2}, {Number: 1}})
	require.ErrorContains(t, err, "trial 1 has two results")
}

func TestWithoutABudgetOfTrialsTheTimeDecides(t *testing.T) {
	t.Parallel()
	s := &resource.Search{Method: resource.SearchRandom, Parallel: 1000, Space: map[string]resource.Range{"x": float(0, 1)}}
	all, _ := run(t, s, 1, evaluation.LowerIsBetter, ending(1))
	require.Len(t, all, resource.MaxTrials)
}

// FuzzNext reads results from bytes: whatever a trial answered, the next generation is a generation.
func FuzzNext(f *testing.F) {
	f.Add(uint8(2), int64(1), []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 7})
	f.Add(uint8(3), int64(9), []byte("0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Fuzz(func(t *testing.T, method uint8, seed int64, raw []byte) {
		s := &resource.Search{Method: everyMethod[int(method)%4], Trials: 20, Space: mixed}
		switch s.Method {
		case resource.SearchHalving:
			s.Halving = &resource.Halving{Param: "epochs", Min: 1, Max: 9, Factor: 3}
		case resource.SearchGrid:
			s.Space = map[string]resource.Range{"leaves": whole(1, 5), "rate": steps(logs(1, 9), 4)}
		default:
			s.Parallel = 3
			s.EarlyStop = &resource.EarlyStop{Metric: "m", Goal: resource.GoalMinimize, After: 1}
		}
		var done []search.Result
		numbers := map[int]bool{}
		for len(raw) >= 10 {
			v := math.Float64frombits(binary.LittleEndian.Uint64(raw[1:9]))
			r := search.Result{Number: int(int8(raw[0])), Value: v, OK: raw[9]&1 > 0, Stopped: raw[9]&6 == 6, Curve: curve(v, v/2, -v)}
			if raw[9]&8 > 0 {
				r.Params = map[string]any{"leaves": v, "rate": raw[9:], "booster": "gbdt", "depth": math.Trunc(v), "share": nil}
			}
			if !numbers[r.Number] {
				done = append(done, r)
			}
			numbers[r.Number] = true
			raw = raw[10:]
		}
		next, err := search.Next(s, seed, evaluation.HigherIsBetter, done)
		require.NoError(t, err)
		unknown := len(next) == 0
		for i, p := range next {
			require.Equal(t, next[0].Number+i, p.Number)
			unknown = unknown || !numbers[p.Number]
			for name, r := range s.Space {
				inside(t, r, p.Params[name], name)
			}
		}
		require.True(t, unknown, "a generation that ended isn't proposed again")
		if winner, ok := search.Winner(s, evaluation.HigherIsBetter, done); ok {
			require.True(t, numbers[winner])
		}
	})
}
