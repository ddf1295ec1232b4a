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

func TestScoresEveryRow(t *testing.T) {
	t.Parallel()
	s := opened(t, answer(flightModel(1), "probabilities"), flights)
	require.Equal(t, model.InputColumns, s.Contract().Input)
	for _, n := range []int{0, 1, 2, 5, 8191, 8192, 8193, 20000} {
		b, want := flightBatch(n)
		got, err := s.Score(context.Background(), b)
		require.NoError(t, err)
		require.Len(t, got, 2*n)
		for i := range n {
			require.InDelta(t, want[i], got[2*i+1], 1e-6, "row %d of %d", i, n)
			require.InDelta(t, 1-want[i], got[2*i], 1e-6, "row %d of %d", i, n)
		}
	}
}

func TestScoresSingleRowsFromManyGoroutines(t *testing.T) {
	t.Parallel()
	s := opened(t, answer(flightModel(1), "probabilities"), flights)
	b, want := flightBatch(85)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 500 {
				row := i % b.N
				got, err := s.Score(context.Background(), b.Slice(row, row+1))
				if err != nil || math.Abs(float64(got[1])-want[row]) > 1e-6 {
					t.Errorf("row %d: %v %v, want %v", row, got, err, want[row])
					return
				}
			}
		})
	}
	group.Wait()
}

func TestScoresMatrix(t *testing.T) {
	t.Parallel()
	g := onnxgraph.New("matrix")
	g.Input("features", onnxgraph.Float, onnxgraph.Rows, 3)
	g.Floats("w", []float32{1, 10, 100}, 3, 1)
	g.Node("MatMul", []string{"features", "w"}, []string{"prediction"})
	g.Output("prediction", onnxgraph.Float, onnxgraph.Rows, 1)
	s := opened(t, g.Marshal(), model.Contract{Task: resource.TaskRegression, Features: []model.Feature{
		{Name: "a", Kind: model.KindNumeric}, {Name: "b", Kind: model.KindNumeric}, {Name: "c", Kind: model.KindNumeric}}})
	require.Equal(t, model.InputMatrix, s.Contract().Input)
	got, err := s.Score(context.Background(), model.Batch{N: 2, Columns: []model.Column{
		{Numeric: []float32{1, 2}}, {Numeric: []float32{3, 4}}, {Numeric: []float32{5, 6}}}})
	require.NoError(t, err)
	require.Equal(t, []float32{531, 642}, got)
}

func TestCloseWaitsForWhoHoldsIt(t *testing.T) {
	t.Parallel()
	s, err := loaded(t).Open(context.Background(), answer(flightModel(1), "probabilities"), flights)
	require.NoError(t, err)
	b, _ := flightBatch(3)
	require.True(t, s.Acquire())
	s.Close()
	s.Close()
	_, err = s.Score(context.Background(), b)
	require.NoError(t, err, "a request that holds the scorer still scores")
	s.Release()
	require.False(t, s.Acquire())
	_, err = s.Score(context.Background(), b)
	require.ErrorIs(t, err, model.ErrClosed)
}

func TestSwapUnderLoad(t *testing.T) {
	t.Parallel()
	r := loaded(t)
	onnx := answer(flightModel(1), "probabilities")
	open := func() *model.Scorer {
		s, err := r.Open(context.Background(), onnx, flights)
		require.NoError(t, err)
		return s
	}
	var mu sync.Mutex
	current := open()
	hold := func() *model.Scorer {
		mu.Lock()
		defer mu.Unlock()
		require.True(t, current.Acquire())
		return current
	}
	b, _ := flightBatch(1)
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := hold()
				if _, err := s.Score(context.Background(), b); err != nil {
					t.Error(err)
				}
				s.Release()
			}
		})
	}
	for range 20 {
		next := open()
		mu.Lock()
		old := current
		current = next
		mu.Unlock()
		old.Close()
	}
	close(stop)
	group.Wait()
	current.Close()
}

func TestRefusesAnswersThatAreNoNumbers(t *testing.T) {
	t.Parallel()
	s := opened(t, answer(flightModel(1), "probabilities"), flights)
	b, _ := flightBatch(4)
	b.Columns[0].Numeric[2] = float32(math.NaN())
	_, err := s.Score(context.Background(), b)
	var bad *model.NotFinite
	require.ErrorAs(t, err, &bad)
	require.Equal(t, 2, bad.Row)
	require.ErrorContains(t, err, "handle nulls")
}

func TestRefusesBatchesOfOtherShape(t *testing.T) {
	t.Parallel()
	s := opened(t, answer(flightModel(1), "probabilities"), flights)
	b, _ := flightBatch(4)
	_, err := s.Score(context.Background(), model.Batch{N: 4, Columns: b.Columns[:1]})
	require.ErrorContains(t, err, "takes 2 features (distance, origin), the batch has 1")
	_, err = s.Score(context.Background(), model.Batch{N: 5, Columns: b.Columns})
	require.ErrorContains(t, err, "feature distance needs 5 numeric values")
	_, err = s.Score(context.Background(), model.Batch{N: 4, Columns: []model.Column{b.Columns[1], b.Columns[0]}})
	require.ErrorContains(t, err, "feature distance needs 4 numeric values")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.Score(ctx, b)
	require.ErrorIs(t, err, context.Canceled)
}

// brokenModels are models that break the contract, with words that the error must have.
func brokenModels() map[string]struct {
	onnx     []byte
	contract model.Contract
	words    []string
} {
	type bad = struct {
		onnx     []byte
		contract model.Contract
		words    []string
	}
	zip := flightModel(1)
	zip.Node("Neg", []string{"z"}, []string{"nz"})
	zip.Node("Concat", []string{"nz", "z"}, []string{"both"}, onnxgraph.AttrInt("axis", 1))
	zip.NodeML("ZipMap", []string{"both"}, []string{"probabilities"}, onnxgraph.AttrInts("classlabels_int64s", []int64{0, 1}))
	zip.Output("probabilities", onnxgraph.Inferred)

	double := onnxgraph.New("double")
	double.Input("distance", onnxgraph.Double, onnxgraph.Rows, 1)
	double.Node("Identity", []string{"distance"}, []string{"prediction"})
	double.Output("prediction", onnxgraph.Double, onnxgraph.Rows, 1)

	fixed := onnxgraph.New("fixed")
	fixed.Input("distance", onnxgraph.Float, 1, 1)
	fixed.Node("Identity", []string{"distance"}, []string{"prediction"})
	fixed.Output("prediction", onnxgraph.Float, 1, 1)

	logits := flightModel(1)
	logits.Node("Neg", []string{"z"}, []string{"nz"})
	logits.Floats("three", []float32{3}, 1)
	logits.Node("Add", []string{"z", "three"}, []string{"z3"})
	logits.Node("Concat", []string{"nz", "z3"}, []string{"probabilities"}, onnxgraph.AttrInt("axis", 1))
	logits.Output("probabilities", onnxgraph.Float, onnxgraph.Rows, 2)

	one := flightModel(1)
	one.Node("Sigmoid", []string{"z"}, []string{"probabilities"})
	one.Output("probabilities", onnxgraph.Float, onnxgraph.Rows, 1)

	number := model.Contract{Task: resource.TaskRegression, Features: flights.Features[:1]}
	fewer, more, text := flights, flights, flights
	fewer.Features = flights.Features[:1]
	more.Features = append(flights.Features[:2:2], model.Feature{Name: "hour", Kind: model.KindNumeric})
	text.Features = []model.Feature{{Name: "distance", Kind: model.KindString}, flights.Features[1]}
	whole := answer(flightModel(1), "probabilities")
	return map[string]bad{
		"ZipMap":            {zip.Marshal(), flights, []string{"ZipMap", `"zipmap": False`}},
		"NaN":               {answer(flightModel(float32(math.NaN())), "probabilities"), flights, []string{"zeros and unknown categories scores NaN"}},
		"wrong output name": {answer(flightModel(1), "output_probability"), flights, []string{`no output "probabilities"`, "output_probability (float32)"}},
		"missing input":     {whole, more, []string{`no input "hour"`, "distance, origin, hour"}},
		"extra input":       {whole, fewer, []string{`input "origin" that is no feature`}},
		"wrong kind":        {whole, text, []string{`input "distance" must be a string tensor`, "float32"}},
		"double":            {double.Marshal(), number, []string{`must be a float32 tensor`, "float64 (double)"}},
		"fixed batch":       {fixed.Marshal(), number, []string{"[N,1] with N free"}},
		"logits":            {logits.Marshal(), flights, []string{"no probability"}},
		"one column":        {one.Marshal(), flights, []string{"must have the shape [N,2]"}},
		"no model":          {[]byte("not a model"), flights, []string{"not an ONNX model"}},
		"empty":             {nil, flights, []string{"not an ONNX model"}},
		"truncated":         {whole[:len(whole)/2], flights, []string{"not an ONNX model"}},
		"unknown operator":  {unknownOperator(), number, []string{"can't load it", "Frobnicate"}},
	}
}

func unknownOperator() []byte {
	g := onnxgraph.New("unknown")
	g.Input("distance", onnxgraph.Float, onnxgraph.Rows, 1)
	g.Node("Frobnicate", []string{"distance"}, []string{"prediction"})
	g.Output("prediction", onnxgraph.Float, onnxgraph.Rows, 1)
	return g.Marshal()
}

func TestRefusesModelsThatBreakTheContract(t *testing.T) {
	t.Parallel()
	r := loaded(t)
	for name, bad := range brokenModels() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := r.Open(context.Background(), bad.onnx, bad.contract)
			var broken *model.BrokenContract
			require.True(t, errors.As(err, &broken), "%v", err)
			for _, words := range bad.words {
				require.ErrorContains(t, err, words)
			}
		})
	}
}

func BenchmarkScore(b *testing.B) {
	s := opened(b, answer(flightModel(1), "probabilities"), flights)
	for _, n := range []int{1, 64, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			batch, _ := flightBatch(n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Score(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
