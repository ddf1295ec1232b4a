package model_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/onnxgraph"
	"github.com/tidemill/tidemill/core/resource"
)

// TestRowsOfCallersGoTogether: each gets what it gets alone, to the bit, and suffers from no other's row, whether the answer to that
// is no number or the graph itself fails.
func TestRowsOfCallersGoTogether(t *testing.T) {
	t.Parallel()
	g := flightModel(0.1)
	g.Floats("far", []float32{1e9}, 1) // beyond it the graph looks up the 99th of one number
	g.Floats("table", []float32{0.25}, 1)
	g.Ints("99", []int64{99}, 1)
	g.Node("Greater", []string{"distance", "far"}, []string{"isFar"})
	g.Node("Cast", []string{"isFar"}, []string{"one"}, onnxgraph.AttrInt("to", 7))
	g.Node("Mul", []string{"one", "99"}, []string{"place"})
	g.Node("Gather", []string{"table", "place"}, []string{"found"}, onnxgraph.AttrInt("axis", 0))
	g.Node("Mul", []string{"z", "found"}, []string{"prediction"})
	g.Output("prediction", onnxgraph.Float, onnxgraph.Rows, 1)
	contract := model.Contract{Task: resource.TaskRegression, Features: flights.Features}
	s := opened(t, g.Marshal(), contract)
	require.True(t, s.Shares())
	weights := map[string]float32{"SFO": 1, "JFK": -1, "": 0, "Zürich ✈": 0}
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			for i := range 400 {
				for origin, weight := range weights {
					if err := scoreOne(s, c, i, origin, weight); err != nil {
						t.Errorf("caller %d, row %d: %v", c, i, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func scoreOne(s *model.Scorer, c, i int, origin string, weight float32) error {
	x := float32(c*1000+i) / 7
	nan, fails := c%4 == 1 && i%20 == 3, c%4 == 2 && i%20 == 3
	switch {
	case nan:
		x = float32(math.NaN())
	case fails:
		x = 2e9
	}
	got, err := s.Score(context.Background(), model.Batch{N: 1, Columns: []model.Column{{Numeric: []float32{x}}, {Text: []string{origin}}}})
	var notFinite *model.NotFinite
	switch {
	case nan && !errors.As(err, &notFinite), fails && (err == nil || errors.As(err, &notFinite)):
		return fmt.Errorf("a bad row gave %v, %w", got, err)
	case nan || fails:
		return nil
	case err != nil:
		return err
	}
	if want := (x*0.1 + weight) * 0.25; math.Float32bits(got[0]) != math.Float32bits(want) {
		return fmt.Errorf("%v, not %v", got[0], want)
	}
	return nil
}

// TestWhatIsNotShared keeps its rows apart.
func TestWhatIsNotShared(t *testing.T) {
	t.Parallel()
	mixes := flightModel(1)
	mixes.Node("ReduceMean", []string{"distance"}, []string{"mean"}, onnxgraph.AttrInt("keepdims", 1))
	mixes.Node("Sub", []string{"z", "mean"}, []string{"prediction"})
	constant := flightModel(0)
	constant.Node("Identity", []string{"z"}, []string{"prediction"})
	large := flightModel(1)
	large.Floats("pad", make([]float32, 1<<19), 1<<19)
	large.Node("ReduceMax", []string{"pad"}, []string{"none"}, onnxgraph.AttrInt("keepdims", 0))
	large.Node("Add", []string{"z", "none"}, []string{"prediction"})
	contract := model.Contract{Task: resource.TaskRegression, Features: flights.Features}
	for name, g := range map[string]*onnxgraph.Graph{"mixes its rows": mixes, "shows nothing": constant, "is large": large} {
		g.Output("prediction", onnxgraph.Float, onnxgraph.Rows, 1)
		s := opened(t, g.Marshal(), contract)
		require.False(t, s.Shares(), name)
		_, err := s.Score(context.Background(), model.Batch{N: 1, Columns: []model.Column{{Numeric: []float32{1}}, {Text: []string{"SFO"}}}})
		require.NoError(t, err, name)
	}
}

func BenchmarkScoreFromManySides(b *testing.B) {
	s := opened(b, answer(flightModel(1), "probabilities"), flights)
	batch, _ := flightBatch(1)
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Score(context.Background(), batch); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
