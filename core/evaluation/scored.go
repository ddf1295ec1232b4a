package evaluation

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tidemill/tidemill/core/resource"
)

// Task says what kind of question the scores answer: the `task` of a model.
type Task = string

// The tasks a model can have.
const (
	Binary     = resource.TaskBinary
	Multiclass = resource.TaskMulticlass
	Regression = resource.TaskRegression
)

// Scored is a set of judged rows, in columns. N rows are N entries of Label.
type Scored struct {
	Task Task

	// Label is the truth, shape [N]: 0 or 1 (binary), the index of the class
	// (multiclass), or the target (regression).
	Label []float64

	// Scores are the model's answers. Binary: the probability of class 1,
	// shape [N]. Regression: the prediction, shape [N]. Multiclass:
	// probabilities, row-major, shape [N*Classes].
	Scores []float64

	// Classes is the number of classes of a multiclass model, else 0.
	Classes int

	// Weight is each row's weight, shape [N], or nil when every row counts 1.
	Weight []float64

	// Time is each row's event time in Unix microseconds, shape [N], or nil.
	Time []int64
}

// ErrUnusable marks scores that cannot be judged at all: not a number,
// infinite, or no probability. It is the model's fault, not the caller's.
var ErrUnusable = errors.New("unusable scores")

// Len is the number of rows.
func (s *Scored) Len() int { return len(s.Label) }

// Span is the first and the last event time, zero when the rows have none.
func (s *Scored) Span() (from, to time.Time) {
	if len(s.Time) == 0 {
		return time.Time{}, time.Time{}
	}
	lo, hi := s.Time[0], s.Time[0]
	for _, t := range s.Time {
		lo, hi = min(lo, t), max(hi, t)
	}
	return time.UnixMicro(lo).UTC(), time.UnixMicro(hi).UTC()
}

// Select returns the given rows, in the given order, as a new set.
func (s *Scored) Select(rows []int) *Scored {
	width := s.width()
	out := &Scored{Task: s.Task, Classes: s.Classes}
	out.Label = pick(s.Label, rows)
	out.Weight = pick(s.Weight, rows)
	out.Time = pick(s.Time, rows)
	out.Scores = make([]float64, 0, len(rows)*width)
	for _, r := range rows {
		out.Scores = append(out.Scores, s.Scores[r*width:(r+1)*width]...)
	}
	return out
}

func pick[T any](column []T, rows []int) []T {
	if column == nil {
		return nil
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = column[r]
	}
	return out
}

// width is the number of scores per row.
func (s *Scored) width() int {
	if s.Task == Multiclass {
		return s.Classes
	}
	return 1
}

// Check tells whether the rows can be judged. An error that wraps
// [ErrUnusable] says that the model's scores are no numbers or no
// probabilities; any other says that the columns do not fit together.
func (s *Scored) Check() error {
	if err := s.checkShape(); err != nil {
		return err
	}
	for i, y := range s.Label {
		if !s.validLabel(y) {
			return fmt.Errorf("row %d has the label %v, which is no %s label", i, y, s.Task)
		}
	}
	total := 0.0
	for i, w := range s.Weight {
		if !(w >= 0) || math.IsInf(w, 0) {
			return fmt.Errorf("row %d has the weight %v; weights must be finite and not negative", i, w)
		}
		total += w
	}
	if len(s.Weight) > 0 && total == 0 {
		return errors.New("all weights are zero")
	}
	return s.checkScores()
}

func (s *Scored) checkShape() error {
	n := len(s.Label)
	switch s.Task {
	case Binary, Regression:
	case Multiclass:
		if s.Classes < 2 {
			return fmt.Errorf("a multiclass model needs at least 2 classes, got %d", s.Classes)
		}
	default:
		return fmt.Errorf("unknown task %q: use %s, %s or %s", s.Task, Binary, Multiclass, Regression)
	}
	if want := n * s.width(); len(s.Scores) != want {
		return fmt.Errorf("%d rows need %d scores, got %d", n, want, len(s.Scores))
	}
	if s.Weight != nil && len(s.Weight) != n {
		return fmt.Errorf("%d rows need %d weights, got %d", n, n, len(s.Weight))
	}
	if s.Time != nil && len(s.Time) != n {
		return fmt.Errorf("%d rows need %d event times, got %d", n, n, len(s.Time))
	}
	return nil
}

func (s *Scored) validLabel(y float64) bool {
	switch s.Task {
	case Binary:
		return y == 0 || y == 1
	case Multiclass:
		return y >= 0 && y < float64(s.Classes) && y == math.Trunc(y)
	default:
		return !math.IsNaN(y) && !math.IsInf(y, 0)
	}
}

// probabilitySlack is how far float32 rounding may carry a probability, or
// the sum of a row's probabilities, past its bound.
const probabilitySlack = 1e-4

func (s *Scored) checkScores() error {
	width := s.width()
	bad, first := 0, -1
	for i := range s.Label {
		if !s.usable(s.Scores[i*width : (i+1)*width]) {
			if bad++; first < 0 {
				first = i
			}
		}
	}
	if bad == 0 {
		return nil
	}
	what := "probabilities"
	if s.Task == Regression {
		what = "finite numbers"
	}
	return fmt.Errorf("%w: %s of %s rows have scores that are not %s (row %d: %v)",
		ErrUnusable, count(bad), count(s.Len()), what, first, s.Scores[first*width:(first+1)*width])
}

func (s *Scored) usable(row []float64) bool {
	sum := 0.0
	for _, p := range row {
		if math.IsNaN(p) || math.IsInf(p, 0) {
			return false
		}
		if s.Task != Regression && (p < -probabilitySlack || p > 1+probabilitySlack) {
			return false
		}
		sum += p
	}
	return s.Task != Multiclass || math.Abs(sum-1) <= probabilitySlack*float64(len(row))
}

// weights is the row weights with nil written out.
func (s *Scored) weights() []float64 {
	if s.Weight != nil {
		return s.Weight
	}
	w := make([]float64, s.Len())
	for i := range w {
		w[i] = 1
	}
	return w
}
