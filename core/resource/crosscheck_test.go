package resource_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/resource"
)

func TestCrossCheck(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile(flights)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		old, new string
		want     []string
	}{
		"dataset":           {"dataset: flights", "dataset: flihgts", []string{`27:12: Model flight-delay: there is no Dataset "flihgts"`, `did you mean "flights"?`}},
		"model":             {"model: flight-delay", "model: trains", []string{`49:10: RetrainingPolicy flight-delay: there is no Model "trains"`, "there are: flight-delay"}},
		"drift column":      {"columns: [distance, origin", "columns: [distanz, origin", []string{`57:27: spec.when.any[2].drift.columns[0]: the dataset flights has no column "distanz"`, `did you mean "distance"?`}},
		"drift of the time": {"columns: [distance, origin", "columns: [date, origin", []string{"date is the event time"}},
		"metric of a task":  {"metric: normalizedEntropy", "metric: rmse", []string{`56:31: spec.when.any[1].performance.metric: the model flight-delay: binaryClassification has no metric "rmse"`, "its metrics: auc,"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, string(src), c.old)
			rs, err := resource.Parse([]byte(strings.Replace(string(src), c.old, c.new, 1)), "f.yaml")
			require.NoError(t, err)
			err = resource.CrossCheck(rs)
			for _, w := range c.want {
				require.ErrorContains(t, err, w)
			}
		})
	}
	rs := load(t, flights)
	require.ErrorContains(t, resource.CrossCheck(append(rs, rs[0])), "Dataset flights is declared twice")
	require.ErrorContains(t, resource.CrossCheck(rs[1:2]), "declare it in the same file, or apply the Dataset first")

	second, err := resource.Parse([]byte(strings.NewReplacer("WINDOW", "{expanding: {}}", "model: m", "model: flight-delay", "name: m", "name: other").Replace(policy)), "p.yaml")
	require.NoError(t, err)
	require.ErrorContains(t, resource.CrossCheck(append(rs, second...)), "p.yaml:5:15: the model flight-delay has a policy already: flight-delay")
}

func TestBalancedSampleNeedsClasses(t *testing.T) {
	t.Parallel()
	rs := load(t, flights)
	for i := range rs {
		if rs[i].Policy != nil {
			rs[i].Policy.Window = resource.Window{Sample: 1000, Method: "balanced"}
		}
	}
	require.NoError(t, resource.CrossCheck(rs))
	for i := range rs {
		if rs[i].Model != nil {
			rs[i].Model.Task = resource.TaskRegression
		}
	}
	err := resource.CrossCheck(rs)
	require.ErrorContains(t, err, "spec.window.sample.method: the model flight-delay is a regression, which has no classes to balance")
	require.ErrorContains(t, err, "use method: reservoir")
}

func TestCheckDelete(t *testing.T) {
	t.Parallel()
	rs := load(t, flights)
	require.NoError(t, resource.CheckDelete(rs, resource.KindRetrainingPolicy, "flight-delay"))
	require.ErrorContains(t, resource.CheckDelete(rs, resource.KindDataset, "flights"), "Dataset flights can't be deleted: Model flight-delay uses it")
	require.ErrorContains(t, resource.CheckDelete(rs, resource.KindModel, "flight-delay"), "RetrainingPolicy flight-delay uses it")
	require.ErrorContains(t, resource.CheckDelete(rs, resource.KindModel, "flight-dela"), `did you mean "flight-delay"?`)
	require.ErrorContains(t, resource.CheckDelete(rs, "model", "flight-delay"), `did you mean "Model"?`)
}

// TestMetricsAreEvaluations: what may be declared is what can be computed, task by task.
func TestMetricsAreEvaluations(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile(flights)
	require.NoError(t, err)
	declared := func(metric, task string) bool {
		_, err := resource.Parse([]byte(strings.NewReplacer("primary: logloss", "primary: "+metric, "task: binaryClassification", "task: "+task,
			"{metric: auc, min: 0.55}", "{metric: "+metric+", min: 0.60}", "metric: logloss, versus", "metric: "+metric+", versus").Replace(string(src))), "f")
		return err == nil
	}
	for _, m := range evaluation.Metrics() {
		for _, task := range []string{resource.TaskBinary, resource.TaskMulticlass, resource.TaskRegression} {
			require.Equal(t, m.For(task) && m.Direction != evaluation.Neutral, declared(m.Name, task), "%s of %s", m.Name, task)
		}
	}
	require.False(t, declared("gini", resource.TaskBinary))
}
