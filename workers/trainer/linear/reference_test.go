package linear_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/workers/trainer/linear"
)

// The answers are those of scikit-learn 1.9.1 on the same 1,000 rows: LogisticRegression(C=1/2) with the newton-cholesky
// and newton-cg solvers at tolerance 1e-12, Ridge(alpha=2), over StandardScaler-like numbers (nulls are the mean) and
// OneHotEncoder.
func TestAgreesWithScikitLearn(t *testing.T) {
	t.Parallel()
	rows := []int{0, 1, 2, 11, 13}
	want := map[string][]float64{
		resource.TaskBinary:     {0.433852929, 0.050589584, 0.057885821, 0.921770801, 0.211763376},
		resource.TaskRegression: {515.177983, 458.177564, 470.512271, 578.53795, 495.95484},
	}
	p := linear.Params{L2: 2, MaxIter: 1000, Tolerance: 1e-10, MinCount: 1}
	for task, answers := range want {
		d := synthetic(task, 1000)
		m, _, err := linear.Fit(context.Background(), d, p, linear.Options{})
		require.NoError(t, err)
		scores := m.Score(d.Batch)
		for i, row := range rows {
			w := d.Contract.Width()
			require.InEpsilon(t, answers[i], scores[row*w+w-1], 1e-6, "%s row %d", task, row)
		}
	}
	d := synthetic(resource.TaskMulticlass, 1000)
	m, _, err := linear.Fit(context.Background(), d, p, linear.Options{})
	require.NoError(t, err)
	scores := m.Score(d.Batch)
	for row, answers := range map[int][]float64{
		0: {0.167235742, 0.074677469, 0.75808679}, 1: {0.006998047, 0.73811624, 0.254885713}, 13: {0.133827042, 0.303615692, 0.562557265},
	} {
		require.InDeltaSlice(t, answers, scores[3*row:3*row+3], 2e-6, "row %d", row)
	}
}
