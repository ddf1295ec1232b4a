package evaluation_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/core/evaluation"
)

func answers(task string, classes int, scores ...float64) *evaluation.Scored {
	n := len(scores)
	if classes > 0 {
		n /= classes
	}
	return &evaluation.Scored{Task: task, Classes: classes, Label: make([]float64, n), Scores: scores}
}

func TestRefitsOfAnotherKindAreRefused(t *testing.T) {
	t.Parallel()
	judged := answers(evaluation.Binary, 0, 0.2, 0.4, 0.6)
	for _, c := range []struct {
		name             string
		judged, refitted *evaluation.Scored
		bytes            int64
		says             string // "" passes
	}{
		{"the same", judged, judged, 1000, ""},
		{"a little off", judged, answers(evaluation.Binary, 0, 0.25, 0.45, 0.65), 1000, ""},
		{"another opinion", judged, answers(evaluation.Binary, 0, 0.8, 0.6, 0.4), 1000, "differ by 0.333 in total variation distance"},
		{"no number", judged, answers(evaluation.Binary, 0, 0.2, math.NaN(), 0.6), 1000, "the refitted version gives"},
		{"no answer", judged, answers(evaluation.Binary, 0), 1000, "no answers"},
		{"fewer rows", judged, answers(evaluation.Binary, 0, 0.2, 0.4), 1000, "can't be compared"},
		{"bloated", judged, judged, 4 << 20, "at most 1,050,576 are plausible"},
		{"a regression in its own units", answers(evaluation.Regression, 0, 1000, 2000, 3000), answers(evaluation.Regression, 0, 1050, 2050, 3050), 1000, ""},
		{"a regression that went wrong", answers(evaluation.Regression, 0, 1000, 2000, 3000), answers(evaluation.Regression, 0, 1200, 2200, 3200), 1000, "0.245 standard deviations"},
		{"a constant regression", answers(evaluation.Regression, 0, 5, 5), answers(evaluation.Regression, 0, 5, 5), 1000, ""},
		{"classes swapped", answers(evaluation.Multiclass, 3, 0.8, 0.1, 0.1), answers(evaluation.Multiclass, 3, 0.1, 0.8, 0.1), 1000, "0.700 in total variation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			gates, ok, reason := evaluation.Refit(c.judged, c.refitted, 1000, c.bytes)
			require.Equal(t, c.says == "", ok, reason)
			require.Contains(t, reason, c.says)
			require.NotEmpty(t, gates)
		})
	}
}

// The distance is a metric between answers: it is symmetric, zero for the same and at most 1 for probabilities.
func TestTheDistanceOfRefitsIsAMetric(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "n")
		draw := func(name string) *evaluation.Scored {
			return answers(evaluation.Binary, 0, rapid.SliceOfN(rapid.Float64Range(0, 1), n, n).Draw(t, name)...)
		}
		a, b, c := draw("a"), draw("b"), draw("c")
		d := func(x, y *evaluation.Scored) float64 {
			gates, _, _ := evaluation.Refit(x, y, 1, 1)
			return gates[len(gates)-1].Value
		}
		require.Zero(t, d(a, a))
		require.InDelta(t, d(a, b), d(b, a), 1e-12)
		require.LessOrEqual(t, d(a, b), 1.0)
		require.LessOrEqual(t, d(a, c), d(a, b)+d(b, c)+1e-12)
	})
}
