package evaluation

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBreastCancerReference(t *testing.T) {
	t.Parallel()
	a, b := breastCancer(t)
	require.Equal(t, 569, a.Len())
	for i, want := range []map[string]float64{
		{"auc": .9375165160, "logloss": .2924858941, "brier": .0896305926, "ece": .0321184222},
		{"auc": .9516344274, "logloss": .2610164078, "brier": .0798178450, "ece": .0357919287},
	} {
		got, err := Compute([]*Scored{a, b}[i])
		require.NoError(t, err)
		for name, v := range want {
			require.InDelta(t, v, got[name], 5e-11, "model %d, %s", i+1, name)
		}
	}
	test, err := DeLong(a, b)
	require.NoError(t, err)
	require.InDelta(t, 2.850211051043685, test.Statistic, 1e-12) // by exact rational arithmetic
	require.InDelta(t, .0043690228, test.P, 5e-11)

	m, err := McNemar(a, b, .5)
	require.NoError(t, err)
	require.Equal(t, 19, m.OnlyA)
	require.Equal(t, 16, m.OnlyB)
	require.InDelta(t, .7358788009, m.P, 5e-11)
}

// Expected values: scikit-learn 1.9.1 on the same 300 weighted rows.
func TestWeightedReference(t *testing.T) {
	t.Parallel()
	for task, want := range map[Task]map[string]float64{
		Binary: {
			"auc": .839370953790, "averagePrecision": .760757907639, "logloss": .531444992884,
			"normalizedEntropy": .790045706787, "accuracy": .699823392462, "f1": .707993145959,
			"precision": .578720901341, "recall": .911629004655, "brier": .178897057667, "baseRate": .399176276693,
		},
		Multiclass: {
			"logloss": .847164859407, "accuracy": .685004468794, "f1": .679622515476, "precision": .683246674746,
			"recall": .685106868951, "brier": .500079666642,
		},
		Regression: {
			"mae": .503574227205, "rmse": .596796860720, "mape": .122173738024, "wape": .083941024097, "r2": .956894280911,
		},
	} {
		got, err := Compute(weightedRows(task))
		require.NoError(t, err)
		for name, v := range want {
			require.InDelta(t, v, got[name], 1e-11, "%s %s", task, name)
		}
	}
	plain := weightedRows(Multiclass)
	plain.Weight = nil
	auc, err := Value("auc", plain)
	require.NoError(t, err)
	require.InDelta(t, .8323833333333335, auc, 1e-12)
}

func TestEveryRegisteredMetricIsComputed(t *testing.T) {
	t.Parallel()
	for _, task := range []Task{Binary, Multiclass, Regression} {
		got, err := Compute(weightedRows(task))
		require.NoError(t, err)
		for _, m := range Metrics() {
			v, ok := got[m.Name]
			require.Equal(t, m.For(task), ok, "%s of %s", m.Name, task)
			if ok {
				require.GreaterOrEqual(t, v, m.Min, m.Name)
				require.LessOrEqual(t, v, m.Max, m.Name)
			}
		}
	}
}

func TestUnknownMetricListsTheValidOnes(t *testing.T) {
	t.Parallel()
	_, err := Lookup("rmse", Binary)
	require.ErrorContains(t, err, `no metric "rmse"`)
	require.ErrorContains(t, err, "auc, averagePrecision, logloss")
	require.NotContains(t, err.Error(), "mae")
}

func TestUndefinedMetricsAreLeftOut(t *testing.T) {
	t.Parallel()
	got, err := Compute(&Scored{Task: Binary, Label: []float64{1, 1}, Scores: []float64{.5, .9}})
	require.NoError(t, err)
	require.NotContains(t, got, "auc")
	require.NotContains(t, got, "normalizedEntropy")
	require.Contains(t, got, "logloss")

	got, err = Compute(&Scored{Task: Regression, Label: []float64{.1, .1, .1}, Scores: []float64{1, 2, 3}})
	require.NoError(t, err)
	require.NotContains(t, got, "r2")

	got, err = Compute(&Scored{Task: Binary})
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestCertainAndWrongIsFinite(t *testing.T) {
	t.Parallel()
	v, err := Value("logloss", &Scored{Task: Binary, Label: []float64{1, 0}, Scores: []float64{0, 0}})
	require.NoError(t, err)
	require.InDelta(t, -math.Log(1e-15)/2, v, 1e-9)
}

// An integer weight means the row occurs that often, for every metric.
func TestWeightIsRepetition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		task := rapid.SampledFrom([]Task{Binary, Multiclass, Regression}).Draw(t, "task")
		s := weightedRows(task)
		s.Weight = nil
		n := rapid.IntRange(3, 60).Draw(t, "n")
		var single, repeated []int
		var weight []float64
		for range n {
			row := rapid.IntRange(0, s.Len()-1).Draw(t, "row")
			times := rapid.IntRange(1, 4).Draw(t, "times")
			single, weight = append(single, row), append(weight, float64(times))
			for range times {
				repeated = append(repeated, row)
			}
		}
		a, b := s.Select(single), s.Select(repeated)
		a.Weight = weight
		got, err := Compute(a)
		require.NoError(t, err)
		want, err := Compute(b)
		require.NoError(t, err)
		require.Equal(t, len(want), len(got))
		for name, v := range want {
			require.InDelta(t, v, got[name], 1e-9, name)
		}
	})
}

func TestCheckNamesTheRow(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		s        Scored
		message  string
		unusable bool
	}{
		"nan score":     {Scored{Task: Binary, Label: []float64{0, 1}, Scores: []float64{.5, math.NaN()}}, "1 of 2 rows", true},
		"above one":     {Scored{Task: Binary, Label: []float64{0}, Scores: []float64{1.2}}, "not probabilities", true},
		"infinite":      {Scored{Task: Regression, Label: []float64{0}, Scores: []float64{math.Inf(1)}}, "not finite numbers", true},
		"does not sum":  {Scored{Task: Multiclass, Classes: 2, Label: []float64{0}, Scores: []float64{.5, .1}}, "not probabilities", true},
		"label":         {Scored{Task: Binary, Label: []float64{2}, Scores: []float64{.5}}, "label 2", false},
		"class":         {Scored{Task: Multiclass, Classes: 2, Label: []float64{2}, Scores: []float64{.5, .5}}, "label 2", false},
		"length":        {Scored{Task: Binary, Label: []float64{1}, Scores: nil}, "need 1 scores, got 0", false},
		"weight":        {Scored{Task: Binary, Label: []float64{1}, Scores: []float64{.5}, Weight: []float64{-1}}, "weight -1", false},
		"weights zero":  {Scored{Task: Binary, Label: []float64{1}, Scores: []float64{.5}, Weight: []float64{0}}, "all weights are zero", false},
		"times":         {Scored{Task: Binary, Label: []float64{1}, Scores: []float64{.5}, Time: []int64{1, 2}}, "event times", false},
		"unknown task":  {Scored{Task: "ranking"}, "unknown task", false},
		"one class few": {Scored{Task: Multiclass, Classes: 1}, "at least 2 classes", false},
	} {
		err := tc.s.Check()
		require.ErrorContains(t, err, tc.message, name)
		if tc.unusable {
			require.ErrorIs(t, err, ErrUnusable, name)
		} else {
			require.NotErrorIs(t, err, ErrUnusable, name)
		}
	}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	origin := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(d time.Duration) int64 { return origin.Add(d).UnixMicro() }
	day := 24 * time.Hour
	s := &Scored{
		Task:   Binary,
		Label:  []float64{0, 1, 1, 0, 1},
		Scores: []float64{.2, .8, .6, .7, .9},
		Time:   []int64{at(0), at(7*day - time.Microsecond), at(7 * day), at(15 * day), at(-1)},
	}
	got, err := Windows(s, origin, 7*day)
	require.NoError(t, err)
	require.Len(t, got, 4)
	require.Equal(t, origin.Add(-7*day), got[0].From)
	require.Equal(t, origin, got[1].From)
	require.Equal(t, origin.Add(7*day), got[1].To)
	require.Equal(t, []int64{1, 2, 1, 1}, []int64{got[0].Rows, got[1].Rows, got[2].Rows, got[3].Rows})
	require.Equal(t, 1.0, got[1].Metrics["auc"])
	require.Equal(t, origin.Add(14*day), got[3].From)

	_, err = Windows(&Scored{Task: Binary, Label: []float64{1}, Scores: []float64{1}}, origin, day)
	require.ErrorContains(t, err, "no event times")
}
