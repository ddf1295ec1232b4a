package evaluation

import (
	"fmt"
	"math"
)

// A measure gives a metric's value under row weights w, shape [N]. It is
// prepared once (losses, sort orders) so that a bootstrap can ask it a thousand
// times. NaN means undefined under these weights, such as an AUC of one class.
type measure func(w []float64) float64

// Compute gives every metric of the task that is defined on these rows, by
// name. A metric that is undefined (an AUC where only one class occurs) is left
// out. Errors are those of [Scored.Check].
func Compute(s *Scored) (map[string]float64, error) {
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("compute metrics: %w", err)
	}
	return compute(s), nil
}

func compute(s *Scored) map[string]float64 {
	out := map[string]float64{}
	if s.Len() == 0 {
		return out
	}
	w := s.weights()
	p := newPrepared(s)
	for _, m := range Metrics() {
		if !m.For(s.Task) {
			continue
		}
		if v := p.measure(m.Name)(w); !math.IsNaN(v) && !math.IsInf(v, 0) {
			out[m.Name] = v
		}
	}
	return out
}

// Value gives one metric. It is NaN when the metric is undefined on these rows.
func Value(name string, s *Scored) (float64, error) {
	if _, err := Lookup(name, s.Task); err != nil {
		return math.NaN(), fmt.Errorf("compute %s: %w", name, err)
	}
	if err := s.Check(); err != nil {
		return math.NaN(), fmt.Errorf("compute %s: %w", name, err)
	}
	if s.Len() == 0 {
		return math.NaN(), nil
	}
	return newPrepared(s).measure(name)(s.weights()), nil
}

// prepared shares what several measures of the same rows need.
type prepared struct {
	s     *Scored
	ranks map[int]*ranking // by class; binary uses class 1
}

func newPrepared(s *Scored) *prepared {
	return &prepared{s: s, ranks: map[int]*ranking{}}
}

// measure builds the measure of a metric that [Lookup] has found.
func (p *prepared) measure(name string) measure {
	switch p.s.Task {
	case Binary:
		return p.binary(name)
	case Multiclass:
		return p.multiclass(name)
	default:
		return p.regression(name)
	}
}

// undefined is the measure of a name that the registry lists but no task
// implements; a test walks the registry so that it is never reached.
func undefined([]float64) float64 { return math.NaN() }

// meanOf is the weighted mean of a column of losses.
func meanOf(loss []float64) measure {
	return func(w []float64) float64 {
		return dot(w, loss) / sum(w)
	}
}

func dot(a, b []float64) float64 {
	b = b[:len(a)]
	// Four running sums: the additions of one would wait for each other.
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

func sum(a []float64) float64 {
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i]
		s1 += a[i+1]
		s2 += a[i+2]
		s3 += a[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i]
	}
	return s0 + s1 + s2 + s3
}
