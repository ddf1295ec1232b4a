package search_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/core/search"
	"github.com/tidemill/tidemill/events"
)

func curve(values ...float64) []events.Point {
	out := make([]events.Point, len(values))
	for i, v := range values {
		out[i] = events.Point{Step: i + 1, Value: v}
	}
	return out
}

func early(goal string, after int) *resource.Search {
	return &resource.Search{Method: resource.SearchRandom, Trials: 100, Parallel: 4, Space: map[string]resource.Range{"x": float(0, 1)},
		EarlyStop: &resource.EarlyStop{Metric: "auc", Goal: goal, After: after}}
}

// rule is the stopping rule of the generation after the curves, each of a completed trial.
func rule(t require.TestingT, s *resource.Search, results ...search.Result) *search.Stop {
	for i := range results {
		results[i].Number = i + 1
	}
	next, err := search.Next(s, 1, evaluation.LowerIsBetter, results)
	require.NoError(t, err)
	require.NotEmpty(t, next)
	for _, p := range next {
		require.Equal(t, next[0].Stop, p.Stop, "one rule for a generation")
	}
	return next[0].Stop
}

func completed(values ...float64) search.Result {
	return search.Result{OK: true, Curve: curve(values...)}
}

func TestStopIsTheMedianOfRunningAverages(t *testing.T) {
	t.Parallel()
	s := early(resource.GoalMaximize, 2)
	first, err := search.Next(s, 1, evaluation.LowerIsBetter, nil)
	require.NoError(t, err)
	require.Nil(t, first[0].Stop, "nothing to compare the first generation with")

	// Averages after three steps: 2, 3, 4 and, of the shorter one, 5.
	stop := rule(t, s, completed(1, 2, 3), completed(2, 3, 4), completed(3, 4, 5), completed(4, 6))
	require.Equal(t, &search.Stop{Metric: "auc", Maximize: true, After: 2, Curve: curve(2.5, 3, 3.5)}, stop)
	require.False(t, stop.Says(1, -9), "too early")
	require.False(t, stop.Says(2, 3), "not strictly worse")
	require.True(t, stop.Says(2, 2.99))
	require.True(t, stop.Says(99, 3.4), "the last median holds on")
	require.True(t, stop.Says(2, math.NaN()))

	b, err := json.Marshal(stop)
	require.NoError(t, err)
	var back search.Stop
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, *stop, back)

	down := rule(t, early(resource.GoalMinimize, 1), completed(1, 2, 3), completed(2, 3, 4), completed(3, 4, 5), completed(4, 6))
	require.True(t, down.Says(1, 2.6))
	require.False(t, down.Says(1, 2.4))
}

func TestOnlyCompletedTrialsMakeTheMedian(t *testing.T) {
	t.Parallel()
	s := early(resource.GoalMaximize, 1)
	stopped, failed, silent := completed(9), completed(9), completed()
	stopped.Stopped, failed.OK = true, false
	nan := completed(math.NaN(), math.Inf(1))
	require.Nil(t, rule(t, s, completed(1), completed(2), stopped, failed), "two are too few")
	require.Nil(t, rule(t, s, completed(1), completed(2), silent, nan))
	late := rule(t, s, completed(1), completed(2), completed(math.NaN(), 3), completed(math.Inf(1), 3))
	require.Equal(t, []events.Point{{Step: 2, Value: 2.5}}, late.Curve, "no median of two at the first step")
	require.Nil(t, rule(t, &resource.Search{Method: resource.SearchRandom, Trials: 9, Parallel: 4, Space: s.Space}, completed(1), completed(2), completed(3), completed(4)))
}

func TestWatchKeepsTheBest(t *testing.T) {
	t.Parallel()
	up := search.Stop{Maximize: true, After: 2, Curve: curve(0, 0.5, 0.6)}.Watch()
	require.False(t, up.Report(1, 0.55))
	require.False(t, up.Report(2, 0.1), "it was better before")
	require.True(t, up.Report(3, 0.2))
	down := search.Stop{After: 1, Curve: curve(5, 4)}.Watch()
	require.True(t, down.Report(1, math.NaN()), "it has shown nothing")
	require.False(t, down.Report(2, 3))
	require.False(t, down.Report(3, math.NaN()))
	require.False(t, search.Stop{After: 1}.Watch().Report(1, 0), "no medians")
}

// TestStopAgainstItsDefinition computes the rule as the paper words it.
func TestStopAgainstItsDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var results []search.Result
		for range 8 {
			results = append(results, completed(rapid.SliceOfN(rapid.Float64Range(-5, 5), 1, 9).Draw(rt, "curve")...))
		}
		stop := rule(rt, early(resource.GoalMaximize, 1), results...)
		step, best := rapid.IntRange(1, 12).Draw(rt, "step"), rapid.Float64Range(-5, 5).Draw(rt, "best")
		var averages []float64
		for _, r := range results {
			sum, n := 0.0, 0.0
			for _, p := range r.Curve {
				if p.Step <= step {
					sum, n = sum+p.Value, n+1
				}
			}
			averages = append(averages, sum/n)
		}
		slices.Sort(averages)
		threshold := (averages[3] + averages[4]) / 2
		if math.Abs(best-threshold) > 1e-9 {
			require.Equal(rt, best < threshold, stop.Says(step, best))
		}
	})
}

func TestThin(t *testing.T) {
	t.Parallel()
	long := make([]float64, 12345)
	for i := range long {
		long[i] = float64(i)
	}
	thin := search.Thin(curve(long...))
	require.Len(t, thin, 200)
	require.Equal(t, 12345, thin[199].Step)
	require.True(t, slices.IsSortedFunc(thin, func(a, b events.Point) int { return a.Step - b.Step }))
	require.LessOrEqual(t, thin[0].Step, 62)
	require.Equal(t, curve(1, 2), search.Thin(curve(1, 2)))

	stop := rule(t, early(resource.GoalMaximize, 1), completed(long...), completed(long...), completed(long...), completed(1))
	require.Len(t, stop.Curve, 200, "a rule stays small, however long the curves are")
}
