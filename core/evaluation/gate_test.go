package evaluation

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
)

var againstChampion = []resource.Gate{{Metric: "logloss", Versus: VersusChampion, NonInferiority: .002, Confidence: .95}}

func TestGatesAgainstTheChampion(t *testing.T) {
	t.Parallel()
	champion := synthetic(11_400, 7, .3)
	for name, tc := range map[string]struct {
		noise   float64
		outcome string
		says    string
	}{
		"clearly worse":  {1.0, Fail, "; the most allowed is 0.0020"},
		"the same model": {.3, Pass, "equals the champion's"},
		"clearly better": {0, Pass, "is better than the champion's"},
	} {
		v, err := Evaluate(synthetic(11_400, 7, tc.noise), champion, againstChampion, Options{Seed: 1})
		require.NoError(t, err, name)
		require.Len(t, v.Gates, 1)
		g := v.Gates[0]
		require.Equal(t, tc.outcome, g.Outcome, "%s: %s", name, g.Text)
		require.Contains(t, g.Text, tc.says)
		require.Contains(t, g.Text, "95 % interval")
		require.Contains(t, g.Text, "n=11,400")
		require.Equal(t, tc.outcome == Pass, v.Approved)
		require.InDelta(t, g.Value-*g.Champion, *g.Difference, 1e-15)
		require.LessOrEqual(t, *g.Lower, *g.Difference)
		require.GreaterOrEqual(t, *g.Upper, *g.Difference)
		require.EqualValues(t, 11_400, v.Rows)
		require.Contains(t, v.ChampionMetrics, "auc")
		require.False(t, v.To.Before(v.From))
	}
}

func TestTooFewRowsCannotTell(t *testing.T) {
	t.Parallel()
	// The same two models on 300 rows: the interval is far wider than the margin.
	v, err := Evaluate(synthetic(300, 7, .4), synthetic(300, 7, .3), againstChampion, Options{})
	require.NoError(t, err)
	require.Equal(t, Inconclusive, v.Gates[0].Outcome, v.Gates[0].Text)
	require.Contains(t, v.Gates[0].Text, "cannot rule out")
	require.False(t, v.Approved)
	require.Equal(t, v.Gates[0].Text, v.Reason)

	gates := append([]resource.Gate{{Metric: "auc", Min: ptr(.6)}}, againstChampion...)
	v, err = Evaluate(synthetic(199, 7, 0), synthetic(199, 7, 1), gates, Options{})
	require.NoError(t, err)
	require.False(t, v.Approved)
	for _, g := range v.Gates {
		require.Equal(t, Inconclusive, g.Outcome)
		require.Contains(t, g.Text, "only 199 rows")
	}
}

func TestFirstVersionSkipsTheChampion(t *testing.T) {
	t.Parallel()
	gates := append([]resource.Gate{{Metric: "auc", Min: ptr(.6), Max: ptr(.99)}}, againstChampion...)
	v, err := Evaluate(synthetic(2000, 3, 0), nil, gates, Options{})
	require.NoError(t, err)
	require.True(t, v.Approved, v.Reason)
	require.Len(t, v.Gates, 3)
	require.Equal(t, []string{Pass, Pass, Skipped}, []string{v.Gates[0].Outcome, v.Gates[1].Outcome, v.Gates[2].Outcome})
	require.Contains(t, v.Gates[2].Text, "first version")
	require.NotNil(t, v.Gates[0].Lower)
	require.Equal(t, "passes all 2 gates", v.Reason)
}

func TestAbsoluteBounds(t *testing.T) {
	t.Parallel()
	s := synthetic(2000, 3, 0)
	v, err := Evaluate(s, nil, []resource.Gate{{Metric: "auc", Min: ptr(.9)}, {Metric: "brier", Max: ptr(.01)}}, Options{})
	require.NoError(t, err)
	require.False(t, v.Approved)
	require.Contains(t, v.Reason, "is below the least allowed, 0.900")
	require.Contains(t, v.Reason, "is above the most allowed, 0.010")
}

func TestHigherIsBetterTurnsRound(t *testing.T) {
	t.Parallel()
	gates := []resource.Gate{{Metric: "auc", Versus: VersusChampion, NonInferiority: .01}}
	good, bad := synthetic(5000, 9, 0), synthetic(5000, 9, 1.5)
	v, err := Evaluate(bad, good, gates, Options{})
	require.NoError(t, err)
	require.Equal(t, Fail, v.Gates[0].Outcome, v.Gates[0].Text)
	require.Negative(t, *v.Gates[0].Upper)
	require.Contains(t, v.Gates[0].Text, "is worse than the champion's")
	v, err = Evaluate(good, bad, gates, Options{})
	require.NoError(t, err)
	require.True(t, v.Approved)
	require.Positive(t, *v.Gates[0].Lower)
}

func TestBrokenScoresRejectWithAReason(t *testing.T) {
	t.Parallel()
	broken, fine := synthetic(1000, 3, 0), synthetic(1000, 3, 0)
	broken.Scores[17] = math.NaN()
	v, err := Evaluate(broken, fine, againstChampion, Options{})
	require.NoError(t, err)
	require.False(t, v.Approved)
	require.Equal(t, Fail, v.Gates[0].Outcome)
	require.Contains(t, v.Reason, "1 of 1,000 rows")
	require.Contains(t, v.Reason, "row 17")
	_, err = json.Marshal(v)
	require.NoError(t, err)

	v, err = Evaluate(fine, broken, againstChampion, Options{})
	require.NoError(t, err)
	require.Equal(t, Inconclusive, v.Gates[0].Outcome)
	require.Contains(t, v.Reason, "the champion gives")
}

func TestOneClassIsInconclusive(t *testing.T) {
	t.Parallel()
	s := synthetic(500, 3, 0)
	clear(s.Label)
	v, err := Evaluate(s, nil, []resource.Gate{{Metric: "auc", Min: ptr(.6)}}, Options{})
	require.NoError(t, err)
	require.Equal(t, Inconclusive, v.Gates[0].Outcome)
	require.Contains(t, v.Gates[0].Text, "undefined")
	_, err = json.Marshal(v)
	require.NoError(t, err)
}

func TestNoRowsIsInconclusive(t *testing.T) {
	t.Parallel()
	v, err := Evaluate(&Scored{Task: Binary}, &Scored{Task: Binary}, againstChampion, Options{})
	require.NoError(t, err)
	require.Equal(t, Inconclusive, v.Gates[0].Outcome)
}

func TestWrongQuestions(t *testing.T) {
	t.Parallel()
	s := synthetic(300, 3, 0)
	for name, tc := range map[string]struct {
		gate    resource.Gate
		message string
	}{
		"unknown metric":  {resource.Gate{Metric: "gini", Min: ptr(0)}, "use one of auc"},
		"no condition":    {resource.Gate{Metric: "auc"}, "give min, max or versus"},
		"versus whom":     {resource.Gate{Metric: "auc", Versus: "baseline"}, "use versus: champion"},
		"negative margin": {resource.Gate{Metric: "auc", Versus: "champion", NonInferiority: -1}, "negative"},
		"confidence":      {resource.Gate{Metric: "auc", Min: ptr(0), Confidence: 95}, "write 0.95"},
		"neutral":         {resource.Gate{Metric: "baseRate", Versus: "champion"}, "describes the rows"},
	} {
		_, err := Evaluate(s, nil, []resource.Gate{tc.gate}, Options{})
		require.ErrorContains(t, err, tc.message, name)
	}
	_, err := Evaluate(s, synthetic(301, 3, 0), againstChampion, Options{})
	require.ErrorContains(t, err, "same rows")
	other := synthetic(300, 3, 0)
	other.Label[0] = 1 - other.Label[0]
	_, err = Evaluate(s, other, againstChampion, Options{})
	require.ErrorContains(t, err, "same rows")
	_, err = Evaluate(nil, nil, nil, Options{})
	require.Error(t, err)
}

func TestSeedDecidesTheInterval(t *testing.T) {
	t.Parallel()
	a, b := synthetic(1000, 3, 0), synthetic(1000, 3, .5)
	first, err := Evaluate(a, b, againstChampion, Options{Seed: 5})
	require.NoError(t, err)
	again, err := Evaluate(a, b, againstChampion, Options{Seed: 5})
	require.NoError(t, err)
	other, err := Evaluate(a, b, againstChampion, Options{Seed: 6})
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.NotEqual(t, *first.Gates[0].Lower, *other.Gates[0].Lower)
}

// The paired interval must be the normal theory's: mean ± 1.96 standard errors
// of the row-wise loss differences.
func TestIntervalAgreesWithTheory(t *testing.T) {
	t.Parallel()
	a, b := synthetic(5000, 21, 0), synthetic(5000, 21, .5)
	la, lb := binaryLoss(a), binaryLoss(b)
	n, mean, square := float64(len(la)), 0.0, 0.0
	for i := range la {
		mean += (la[i] - lb[i]) / n
	}
	for i := range la {
		square += math.Pow(la[i]-lb[i]-mean, 2) / (n - 1)
	}
	se := math.Sqrt(square / n)
	v, err := Evaluate(a, b, againstChampion, Options{Resamples: 4000})
	require.NoError(t, err)
	require.InDelta(t, mean-1.96*se, *v.Gates[0].Lower, .15*se)
	require.InDelta(t, mean+1.96*se, *v.Gates[0].Upper, .15*se)
}

// The same holds for AUC, against DeLong's variance, and with weights that
// bootstrap and point value must share.
func TestAUCIntervalAgreesWithDeLong(t *testing.T) {
	t.Parallel()
	a, b := breastCancer(t)
	test, err := DeLong(a, b)
	require.NoError(t, err)
	v, err := Evaluate(b, a, []resource.Gate{{Metric: "auc", Versus: "champion", NonInferiority: .01}}, Options{Resamples: 4000})
	require.NoError(t, err)
	g := v.Gates[0]
	require.Equal(t, Pass, g.Outcome)
	se := *g.Difference / test.Statistic
	require.InDelta(t, 2*1.96*se, *g.Upper-*g.Lower, .5*se)
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0", .531: "0.531", .002: "0.0020", -.00042: "-0.00042", 12.3456: "12.346", 12345.67: "12345.7", 3e-9: "3.0e-09", .0099: "0.010",
	} {
		require.Equal(t, want, number(v))
	}
	require.Equal(t, "1,234,567", count(1234567))
	require.Equal(t, "-200", count(-200))
}

func BenchmarkEvaluateLogloss(b *testing.B) {
	benchmarkGate(b, "logloss", 11_400)
}

func BenchmarkEvaluateAUC(b *testing.B) {
	benchmarkGate(b, "auc", 11_400)
}

func benchmarkGate(b *testing.B, metric string, n int) {
	candidate, champion := synthetic(n, 7, .1), synthetic(n, 7, .3)
	gates := []resource.Gate{{Metric: metric, Versus: VersusChampion, NonInferiority: .002}}
	for b.Loop() {
		_, err := Evaluate(candidate, champion, gates, Options{Seed: 1})
		require.NoError(b, err)
	}
}
