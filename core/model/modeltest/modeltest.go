// Package modeltest is the suite that every [model.Predictor] passes, whatever answers behind it.
package modeltest

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
)

// Features of every model of the suite: a number and a string.
var Features = []model.Feature{{Name: "distance", Kind: model.KindNumeric}, {Name: "origin", Kind: model.KindString}}

// Contracts of the models that a predictor is opened for. With z = distance + 1 for the origin SFO, − 1 for JFK, + 0 for all others,
// they answer σ(−z), σ(z); the softmax of −z, z, 0; and z, where an unknown distance makes no number.
var (
	Binary     = model.Contract{Task: resource.TaskBinary, Features: Features, Classes: []string{"false", "true"}}
	Multiclass = model.Contract{Task: resource.TaskMulticlass, Features: Features, Classes: []string{"early", "late", "on time"}}
	Regression = model.Contract{Task: resource.TaskRegression, Features: Features}
)

// Open opens one of the models. The suite closes it.
type Open func(t testing.TB, c model.Contract) model.Predictor

// tolerance is the parity that any two runtimes must have.
const tolerance = 1e-5

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"answers": testAnswers, "no numbers": testNotFinite, "other shapes": testShapes, "at once": testConcurrent,
		"given up": testGivenUp, "closing": testClosing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

// Batch is n rows, and z of each.
func Batch(n int) (b model.Batch, z []float64) {
	origins, weights := []string{"SFO", "JFK", "", "unheard of", "Zürich ✈ \"\\\n"}, []float64{1, -1, 0, 0, 0}
	b = model.Batch{N: n, Columns: []model.Column{{Numeric: make([]float32, n)}, {Text: make([]string, n)}}}
	for i := range n {
		b.Columns[0].Numeric[i], b.Columns[1].Text[i] = float32(i%17)/2-4, origins[i%5]
		z = append(z, float64(i%17)/2-4+weights[i%5])
	}
	return b, z
}

func want(c model.Contract, z float64) []float64 {
	switch c.Task {
	case resource.TaskBinary:
		return []float64{1 / (1 + math.Exp(z)), 1 / (1 + math.Exp(-z))}
	case resource.TaskMulticlass:
		sum := math.Exp(-z) + math.Exp(z) + 1
		return []float64{math.Exp(-z) / sum, math.Exp(z) / sum, 1 / sum}
	}
	return []float64{z}
}

// check compares answers with what they must be.
func check(t testing.TB, c model.Contract, z []float64, got []float32) {
	t.Helper()
	if !assert.Len(t, got, len(z)*c.Width()) {
		return
	}
	for i := range z {
		for k, v := range want(c, z[i]) {
			if !assert.InDelta(t, v, float64(got[i*c.Width()+k]), tolerance, "row %d, value %d", i, k) {
				return
			}
		}
	}
}

func opened(t testing.TB, open Open, c model.Contract) model.Predictor {
	t.Helper()
	p := open(t, c)
	t.Cleanup(p.Close)
	return p
}

// testAnswers scores nothing, single rows and more than any predictor takes at once.
func testAnswers(t *testing.T, open Open) {
	for _, c := range []model.Contract{Binary, Multiclass, Regression} {
		p := opened(t, open, c)
		require.Equal(t, c.Width(), p.Width())
		require.Equal(t, c.Classes, p.Contract().Classes)
		require.NoError(t, p.Await(t.Context()))
		for _, n := range []int{0, 1, 2, 9001} {
			b, z := Batch(n)
			got, err := p.Score(t.Context(), b)
			require.NoError(t, err)
			check(t, c, z, got)
		}
	}
}

func testNotFinite(t *testing.T, open Open) {
	p := opened(t, open, Regression)
	b, _ := Batch(9001)
	b.Columns[0].Numeric[9000] = float32(math.NaN())
	_, err := p.Score(t.Context(), b)
	var nan *model.NotFinite
	require.ErrorAs(t, err, &nan)
	require.Equal(t, 9000, nan.Row)
	b, z := Batch(3)
	got, err := p.Score(t.Context(), b)
	require.NoError(t, err, "it answers on")
	check(t, Regression, z, got)
}

func testShapes(t *testing.T, open Open) {
	p := opened(t, open, Binary)
	whole, _ := Batch(2)
	for name, b := range map[string]model.Batch{
		"no columns": {N: 2}, "short": {N: 3, Columns: whole.Columns}, "turned": {N: 2, Columns: []model.Column{whole.Columns[1], whole.Columns[0]}},
	} {
		_, err := p.Score(t.Context(), b)
		require.Error(t, err, name)
	}
}

func testConcurrent(t *testing.T, open Open) {
	p := opened(t, open, Binary)
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			for range 10 {
				b, z := Batch(n + 1)
				got, err := p.Score(t.Context(), b)
				if assert.NoError(t, err) {
					check(t, Binary, z, got)
				}
			}
		})
	}
	group.Wait()
}

func testGivenUp(t *testing.T, open Open) {
	p := opened(t, open, Binary)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b, z := Batch(3)
	_, err := p.Score(ctx, b)
	require.ErrorIs(t, err, context.Canceled)
	got, err := p.Score(t.Context(), b)
	require.NoError(t, err, "the next one is answered, and with its own answer")
	check(t, Binary, z, got)
}

func testClosing(t *testing.T, open Open) {
	p := open(t, Binary)
	require.True(t, p.Acquire())
	p.Close()
	p.Close()
	b, z := Batch(3)
	got, err := p.Score(t.Context(), b)
	require.NoError(t, err, "who holds it can score")
	check(t, Binary, z, got)
	p.Release()
	require.False(t, p.Acquire())
	_, err = p.Score(t.Context(), b)
	require.True(t, errors.Is(err, model.ErrClosed), "%v", err)
}
