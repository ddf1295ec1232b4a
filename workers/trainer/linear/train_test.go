package linear_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/workers/trainer/linear"
)

var tasks = []string{resource.TaskBinary, resource.TaskMulticlass, resource.TaskRegression}

// The graph that serves must answer what the model that was trained answers, on rows that training never saw too.
func TestGraphAnswersAsTheModelDoes(t *testing.T) {
	t.Parallel()
	rt, err := model.Load("")
	require.NoError(t, err)
	for _, task := range tasks {
		for _, features := range [][]int{{0, 1, 2, 3}, {0}, {2, 0}, {1}, {3, 1}} {
			t.Run(fmt.Sprint(task, features), func(t *testing.T) {
				t.Parallel()
				d := pick(synthetic(task, 3000), features)
				m, report, err := linear.Fit(context.Background(), d, linear.Defaults(), linear.Options{})
				require.NoError(t, err)
				require.True(t, report.Converged, "%+v", report)
				s, err := rt.Open(context.Background(), m.ONNX(), d.Contract)
				require.NoError(t, err)
				defer s.Close()

				b := pick(strange(), features).Batch
				for _, batch := range []model.Batch{d.Batch, b} {
					want := m.Score(batch)
					got, err := s.Score(context.Background(), batch)
					require.NoError(t, err)
					require.Len(t, got, len(want))
					for i := range want {
						require.InDelta(t, want[i], got[i], 1e-5*math.Max(1, math.Abs(want[i])), "answer %d", i)
					}
				}
			})
		}
	}
}

// pick keeps some of the features.
func pick(d linear.Data, features []int) linear.Data {
	out := d
	out.Contract.Features, out.Batch.Columns = nil, nil
	for _, i := range features {
		out.Contract.Features = append(out.Contract.Features, d.Contract.Features[i])
		out.Batch.Columns = append(out.Batch.Columns, d.Batch.Columns[i])
	}
	return out
}

// strange is rows with nulls, infinities and unknown categories.
func strange() linear.Data {
	d := synthetic(resource.TaskRegression, 8)
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	d.Batch.Columns[0].Numeric = []float32{nan, inf, -inf, 0, 1e6, -1e6, nan, 1025}
	d.Batch.Columns[2].Numeric = []float32{nan, nan, inf, -inf, 0.1, 0.2, 0.3, 0.4}
	copy(d.Batch.Columns[1].Text, []string{"", "unknown", "c1", "Zürich ✈", "c1 ", "C1", "c2", ""})
	copy(d.Batch.Columns[3].Text, []string{"9", "", "unknown", "1", "2", "3", "\t", "6"})
	return d
}

func TestSameDataSameBytes(t *testing.T) {
	d := synthetic(resource.TaskBinary, 5000)
	var first []byte
	for _, processors := range []int{1, 2, 3, 8} {
		before := runtime.GOMAXPROCS(processors)
		m, err := linear.Train(context.Background(), d, linear.Defaults(), linear.Options{})
		runtime.GOMAXPROCS(before)
		require.NoError(t, err)
		if first == nil {
			first = append(m.ONNX, m.State...)
		}
		require.Equal(t, first, append(m.ONNX, m.State...), "%d processors", processors)
	}
}

func TestMeanAnswerIsTheBaseRate(t *testing.T) {
	t.Parallel()
	for _, task := range tasks {
		d := synthetic(task, 4000)
		m, _, err := linear.Fit(context.Background(), d, linear.Defaults(), linear.Options{})
		require.NoError(t, err)
		width := d.Contract.Width()
		want, got := make([]float64, width), make([]float64, width)
		for i, v := range m.Score(d.Batch) {
			got[i%width] += v / float64(d.Batch.N)
		}
		for _, y := range d.Label {
			if task == resource.TaskRegression {
				want[0] += y / float64(d.Batch.N)
			} else {
				want[int(y)] += 1 / float64(d.Batch.N)
			}
		}
		// The intercept is free, so at the optimum it makes these equal.
		require.InDeltaSlice(t, want, got, 1e-5*math.Max(1, want[0]), task)
	}
}

func TestProgressAndReport(t *testing.T) {
	t.Parallel()
	var seen []linear.Progress
	d := synthetic(resource.TaskBinary, 3000)
	_, report, err := linear.Fit(context.Background(), d, linear.Defaults(), linear.Options{Progress: func(p linear.Progress) { seen = append(seen, p) }})
	require.NoError(t, err)
	require.Len(t, seen, report.Iteration)
	require.Equal(t, seen[len(seen)-1], report.Progress)
	require.Less(t, seen[len(seen)-1].Loss, seen[0].Loss)
	require.Equal(t, 3000, report.Rows)
	require.Equal(t, 1+2+12+8, report.Weights)

	p := linear.Defaults()
	p.MaxIter = 3
	_, report, err = linear.Fit(context.Background(), d, p, linear.Options{})
	require.NoError(t, err)
	require.Equal(t, 3, report.Iteration)
	require.False(t, report.Converged)

	p = linear.Defaults()
	p.MinCount = 300 // the rarer cities share no column
	_, report, err = linear.Fit(context.Background(), d, p, linear.Options{})
	require.NoError(t, err)
	require.Less(t, report.Weights, 1+2+12+8)
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := linear.Defaults()
	p.Tolerance = 1e-15
	_, report, err := linear.Fit(ctx, synthetic(resource.TaskBinary, 3000), p, linear.Options{Progress: func(linear.Progress) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	require.LessOrEqual(t, report.Iteration, 2)
}

func TestRefusesDataThatTeachNothing(t *testing.T) {
	t.Parallel()
	for words, spoil := range map[string]func(*linear.Data, *linear.Params){
		"none of the 100 training rows has the label true": func(d *linear.Data, _ *linear.Params) { clear(d.Label) },
		"there are no training rows":                       func(d *linear.Data, _ *linear.Params) { d.Batch = d.Batch.Slice(0, 0); d.Label = nil },
		"100 rows need 100 labels, got 99":                 func(d *linear.Data, _ *linear.Params) { d.Label = d.Label[1:] },
		"row 3 has the label 0.5":                          func(d *linear.Data, _ *linear.Params) { d.Label[3] = 0.5 },
		"100 rows need 100 weights, got 1":                 func(d *linear.Data, _ *linear.Params) { d.Weight = []float64{1} },
		"row 2 has the weight -1":                          func(d *linear.Data, _ *linear.Params) { d.Weight = make([]float64, 100); d.Weight[2] = -1 },
		"the weights of the 100 training rows sum up to 0": func(d *linear.Data, _ *linear.Params) { d.Weight = make([]float64, 100) },
		"row 4 has the label NaN":                          func(d *linear.Data, _ *linear.Params) { d.Label[4] = math.NaN() },
		`may not be called "probabilities"`:                func(d *linear.Data, _ *linear.Params) { d.Contract.Features[0].Name = "probabilities" },
		"no feature is left": func(d *linear.Data, p *linear.Params) {
			*d, p.MinCount = pick(*d, []int{1, 3}), 1000
		},
	} {
		d, p := synthetic(resource.TaskBinary, 100), linear.Defaults()
		spoil(&d, &p)
		_, _, err := linear.Fit(context.Background(), d, p, linear.Options{})
		require.ErrorContains(t, err, words)
		require.ErrorContains(t, err, "builtin/linear")
	}
}

// Columns without variation, and a label that no feature tells anything about, are no trouble.
func TestDegenerateColumns(t *testing.T) {
	t.Parallel()
	nan := float32(math.NaN())
	d := linear.Data{Contract: model.Contract{Task: resource.TaskRegression, Features: []model.Feature{
		{Name: "constant", Kind: model.KindNumeric}, {Name: "null", Kind: model.KindNumeric}, {Name: "one", Kind: model.KindString}}},
		Batch: model.Batch{N: 3, Columns: []model.Column{{Numeric: []float32{7, 7, 7}}, {Numeric: []float32{nan, nan, nan}}, {Text: []string{"a", "a", "a"}}}},
		Label: []float64{5, 5, 5}}
	m, report, err := linear.Fit(context.Background(), d, linear.Defaults(), linear.Options{})
	require.NoError(t, err)
	require.True(t, report.Converged)
	require.InDeltaSlice(t, d.Label, m.Score(d.Batch), 1e-9)
}

func TestParams(t *testing.T) {
	t.Parallel()
	p, err := linear.ParseParams(map[string]any{"l2": 0.5, "maxIter": 100.0, "minCount": int64(3)})
	require.NoError(t, err)
	require.Equal(t, linear.Params{L2: 0.5, MaxIter: 100, Tolerance: 1e-6, MinCount: 3}, p)
	for words, given := range map[string]map[string]any{
		`has no parameter "L2"; it has l2, maxIter, minCount, tolerance`: {"L2": 1.0},
		"l2 must be greater than 0":                                      {"l2": 0.0},
		"l2 must be a number, it is big":                                 {"l2": "big"},
		"maxIter must be a whole number":                                 {"maxIter": 1.5},
		"minCount must be a whole number":                                {"minCount": -1.0},
		"tolerance must be between 0 and 1":                              {"tolerance": math.NaN()},
		"l2 must be greater than 0, it is NaN":                           {"l2": math.NaN()},
		"l2 must be greater than 0, it is +Inf":                          {"l2": math.Inf(1)},
		"tolerance must be between 0 and 1, it ":                         {"tolerance": 1.0},
	} {
		_, err := linear.ParseParams(given)
		require.ErrorContains(t, err, words)
	}
}

func BenchmarkFit(b *testing.B) {
	for _, n := range []int{46000, 290000} {
		d := synthetic(resource.TaskBinary, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				_, report, err := linear.Fit(context.Background(), d, linear.Defaults(), linear.Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(report.Evaluations), "evaluations")
			}
		})
	}
}
