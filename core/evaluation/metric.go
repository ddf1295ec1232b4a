package evaluation

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Direction says which way a metric improves.
type Direction int

// The directions. Neutral metrics describe the rows, not the model.
const (
	Neutral Direction = iota
	HigherIsBetter
	LowerIsBetter
)

// Metric describes a metric: which tasks have it, which way it improves, and
// between which values it can lie.
type Metric struct {
	Name      string
	Title     string // for a person
	Direction Direction
	Tasks     []Task
	Min, Max  float64 // may be infinite
}

// Better tells whether value a is better than b.
func (m Metric) Better(a, b float64) bool {
	if m.Direction == HigherIsBetter {
		return a > b
	}
	return m.Direction == LowerIsBetter && a < b
}

// For tells whether the metric is defined for a task.
func (m Metric) For(t Task) bool { return slices.Contains(m.Tasks, t) }

// Metrics lists every metric, in the order in which people read them. A name
// means the same idea in each of its tasks; for multiclass models auc, f1,
// precision and recall are unweighted means over the classes (one against the
// rest), and brier is the squared distance summed over classes, so up to 2.
func Metrics() []Metric {
	classes := []Task{Binary, Multiclass}
	binary := []Task{Binary}
	numbers := []Task{Regression}
	inf := math.Inf(1)
	return []Metric{
		{"auc", "area under the ROC curve", HigherIsBetter, classes, 0, 1},
		{"averagePrecision", "average precision", HigherIsBetter, binary, 0, 1},
		{"logloss", "logarithmic loss", LowerIsBetter, classes, 0, inf},
		{"normalizedEntropy", "logloss divided by the entropy of the base rate", LowerIsBetter, classes, 0, inf},
		{"accuracy", "share of right answers", HigherIsBetter, classes, 0, 1},
		{"f1", "F1", HigherIsBetter, classes, 0, 1},
		{"precision", "precision", HigherIsBetter, classes, 0, 1},
		{"recall", "recall", HigherIsBetter, classes, 0, 1},
		{"brier", "Brier score", LowerIsBetter, classes, 0, 2},
		{"ece", "expected calibration error, 10 bins of equal width", LowerIsBetter, binary, 0, 1},
		{"baseRate", "share of positive labels", Neutral, binary, 0, 1},
		{"mae", "mean absolute error", LowerIsBetter, numbers, 0, inf},
		{"rmse", "root mean squared error", LowerIsBetter, numbers, 0, inf},
		{"mape", "mean absolute percentage error, as a fraction", LowerIsBetter, numbers, 0, inf},
		{"wape", "absolute error as a fraction of absolute labels", LowerIsBetter, numbers, 0, inf},
		{"r2", "share of variance explained", HigherIsBetter, numbers, math.Inf(-1), 1},
	}
}

// Lookup finds a metric by name for a task. The error of an unknown name, or of
// one that the task does not have, lists the names that would do.
func Lookup(name string, task Task) (Metric, error) {
	var names []string
	for _, m := range Metrics() {
		if !m.For(task) {
			continue
		}
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return Metric{}, fmt.Errorf("%s has no metric %q: use one of %s", task, name, strings.Join(names, ", "))
}
