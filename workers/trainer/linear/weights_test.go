package linear_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/workers/trainer/linear"
	"pgregory.net/rapid"
)

// take makes data of some rows, each as often as it is named.
func take(d linear.Data, rows []int) linear.Data {
	out := d
	out.Batch = model.Batch{N: len(rows), Columns: make([]model.Column, len(d.Batch.Columns))}
	out.Label, out.Weight = nil, nil
	for _, i := range rows {
		out.Label = append(out.Label, d.Label[i])
		for j, c := range d.Batch.Columns {
			if c.Text != nil {
				out.Batch.Columns[j].Text = append(out.Batch.Columns[j].Text, c.Text[i])
			} else {
				out.Batch.Columns[j].Numeric = append(out.Batch.Columns[j].Numeric, c.Numeric[i])
			}
		}
	}
	return out
}

// precise is a fit of which nothing is left to find.
func precise() linear.Params {
	return linear.Params{L2: 1, MaxIter: 2000, Tolerance: 1e-9, MinCount: 1}
}

// A whole weight is what so many copies of the row are, and 0 is no row.
func TestWeightsCountLikeCopies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		task := rapid.SampledFrom(tasks).Draw(rt, "task")
		d := synthetic(task, 150)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "weights"), 1))
		var copies []int
		for i := range d.Batch.N {
			n := rng.IntN(4)
			d.Weight = append(d.Weight, float64(n))
			copies = slices.Concat(copies, slices.Repeat([]int{i}, n))
		}
		// Means and deviations are float32 values; sums in another order may round them to neighbours.
		m, _, err := linear.Fit(context.Background(), d, precise(), linear.Options{})
		require.NoError(rt, err)
		want, _, err := linear.Fit(context.Background(), take(d, copies), precise(), linear.Options{})
		require.NoError(rt, err)
		scores, expected := m.Score(d.Batch), want.Score(d.Batch)
		for i := range scores {
			require.InDelta(rt, expected[i], scores[i], 1e-6*math.Max(1, math.Abs(expected[i])))
		}
	})
}

func TestEqualWeightsChangeNothing(t *testing.T) {
	t.Parallel()
	for _, task := range tasks {
		d := synthetic(task, 2000)
		plain, _, err := linear.Fit(context.Background(), d, precise(), linear.Options{})
		require.NoError(t, err)
		d.Weight = slices.Repeat([]float64{1}, 2000)
		m, _, err := linear.Fit(context.Background(), d, precise(), linear.Options{})
		require.NoError(t, err)
		require.InDeltaSlice(t, plain.Score(d.Batch), m.Score(d.Batch), 1e-9, task)
	}
}

// A category that only rows of weight 0 have is as unknown as one that training never saw.
func TestRowsOfWeightZeroTeachNothing(t *testing.T) {
	t.Parallel()
	d := synthetic(resource.TaskBinary, 1000)
	d.Weight = slices.Repeat([]float64{1}, 1000)
	for i, city := range d.Batch.Columns[1].Text {
		if city == "c3" {
			d.Weight[i] = 0
		}
	}
	_, report, err := linear.Fit(context.Background(), d, linear.Defaults(), linear.Options{})
	require.NoError(t, err)
	require.Equal(t, 1+2+11+8, report.Weights)
}

// Starting from another model finds the same answer in fewer steps.
func TestWarmStart(t *testing.T) {
	t.Parallel()
	for _, task := range tasks {
		all := synthetic(task, 6000)
		older := make([]int, 4500)
		for i := range older {
			older[i] = i
		}
		p := linear.Defaults()
		champion, err := linear.Train(context.Background(), take(all, older), p, linear.Options{})
		require.NoError(t, err)
		require.False(t, champion.Report.Warm)
		cold, coldly, err := linear.Fit(context.Background(), all, p, linear.Options{})
		require.NoError(t, err)
		warm, warmly, err := linear.Fit(context.Background(), all, p, linear.Options{Start: champion.State})
		require.NoError(t, err)
		require.True(t, warmly.Warm)
		require.True(t, coldly.Converged && warmly.Converged)
		require.Less(t, warmly.Iteration, coldly.Iteration, task)
		unit := 1.0
		if task == resource.TaskRegression {
			unit = 40
		}
		require.InDeltaSlice(t, cold.Score(all.Batch), warm.Score(all.Batch), 2e-4*unit, task)

		// The very same rows: there is nothing left to do.
		again, err := linear.Train(context.Background(), take(all, older), p, linear.Options{Start: champion.State})
		require.NoError(t, err)
		require.LessOrEqual(t, again.Report.Iteration, 1, task)
	}
}

// Features, categories and classes are matched by name: what one of the two models lacks is no trouble.
func TestWarmStartOfAnotherShape(t *testing.T) {
	t.Parallel()
	for _, task := range tasks {
		d := synthetic(task, 3000)
		p := linear.Defaults()
		p.MinCount = 300 // some cities have no weight
		champion, err := linear.Train(context.Background(), pick(d, []int{3, 1, 0}), p, linear.Options{})
		require.NoError(t, err)
		other := pick(d, []int{0, 1, 2})
		cold, coldly, err := linear.Fit(context.Background(), other, linear.Defaults(), linear.Options{})
		require.NoError(t, err)
		warm, report, err := linear.Fit(context.Background(), other, linear.Defaults(), linear.Options{Start: champion.State})
		require.NoError(t, err)
		require.True(t, report.Warm && report.Converged && coldly.Converged)
		unit := 1.0
		if task == resource.TaskRegression {
			unit = 40
		}
		require.InDeltaSlice(t, cold.Score(other.Batch), warm.Score(other.Batch), 5e-4*unit, task)
	}
	binary, err := linear.Train(context.Background(), synthetic(resource.TaskBinary, 500), linear.Defaults(), linear.Options{})
	require.NoError(t, err)
	_, report, err := linear.Fit(context.Background(), synthetic(resource.TaskRegression, 500), linear.Defaults(), linear.Options{Start: binary.State})
	require.NoError(t, err)
	require.False(t, report.Warm, "the model's task has changed since")
}

func TestWarmStartRefusesWhatIsNoState(t *testing.T) {
	t.Parallel()
	for words, text := range map[string]string{
		"read its state":                     "pickle",
		`it is of the trainer "x"`:           `{"trainer": "x"}`,
		"has the mean 1 and the deviation 0": `{"trainer": "builtin/linear", "task": "binaryClassification", "numeric": [{"feature": "x", "mean": 1}]}`,
		"one weight per numeric feature":     `{"trainer": "builtin/linear", "numeric": [{"feature": "x", "deviation": 1}], "outputs": [{}]}`,
		"it has the weight 1e+300":           `{"trainer": "builtin/linear", "outputs": [{"intercept": 1e300}]}`,
	} {
		_, _, err := linear.Fit(context.Background(), synthetic(resource.TaskBinary, 100), linear.Defaults(), linear.Options{Start: []byte(text)})
		require.ErrorContains(t, err, words)
	}
}

func FuzzState(f *testing.F) {
	m, err := linear.Train(context.Background(), synthetic(resource.TaskBinary, 60), linear.Defaults(), linear.Options{})
	require.NoError(f, err)
	f.Add(m.State)
	f.Fuzz(func(t *testing.T, b []byte) {
		p := linear.Defaults()
		p.MaxIter = 3
		m, _, err := linear.Fit(context.Background(), synthetic(resource.TaskBinary, 60), p, linear.Options{Start: b})
		if err != nil {
			return
		}
		for _, score := range m.Score(synthetic(resource.TaskBinary, 60).Batch) {
			if math.IsNaN(score) {
				t.Fatal("a state that was taken leads nowhere")
			}
		}
	})
}
