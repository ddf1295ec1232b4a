package resource

import (
	"fmt"
	"slices"
	"strings"
)

// metric is what a declaration may say of a metric. The figures themselves are core/evaluation's, which imports this
// package; a test holds the two lists together.
type metric struct {
	name    string
	tasks   []string
	neutral bool // describes the rows, not the model: nothing can be better or worse in it
}

func metrics() []metric {
	classes, binary, numbers := []string{TaskBinary, TaskMulticlass}, []string{TaskBinary}, []string{TaskRegression}
	return []metric{
		{"auc", classes, false}, {"averagePrecision", binary, false}, {"logloss", classes, false}, {"normalizedEntropy", classes, false},
		{"accuracy", classes, false}, {"f1", classes, false}, {"precision", classes, false}, {"recall", classes, false},
		{"brier", classes, false}, {"ece", binary, false}, {"baseRate", binary, true},
		{"mae", numbers, false}, {"rmse", numbers, false}, {"mape", numbers, false}, {"wape", numbers, false}, {"r2", numbers, false},
	}
}

// metricProblem says why a task can't be judged by a metric, or "". An empty task stands for any.
func metricProblem(name, task string) (message, hint string) {
	var names []string
	known := false
	for _, m := range metrics() {
		fits := task == "" || slices.Contains(m.tasks, task)
		if m.name == name {
			if m.neutral {
				return fmt.Sprintf("%s describes the rows, not the model: nothing can be better or worse in it", name), ""
			}
			if fits {
				return "", ""
			}
			known = true
		}
		if fits && !m.neutral {
			names = append(names, m.name)
		}
	}
	if known {
		return fmt.Sprintf("%s has no metric %q", task, name), "its metrics: " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("%q is not a metric", name), suggestOr(name, names, "metrics")
}
