package runtime

import (
	"fmt"
	"slices"
	"sync"

	"github.com/tidemill/tidemill/core/search"
	"github.com/tidemill/tidemill/events"
)

// Stopped is a trial that early stopping ended: it did its work, and is no candidate.
type Stopped struct{ Reason string }

// Error is the reason.
func (s *Stopped) Error() string { return s.Reason }

// maxCurve is how many reports of a metric are kept while a trial runs.
const maxCurve = 4000

// curve follows the metric that early stopping watches. It is safe for concurrent use.
type curve struct {
	metric string
	rule   *search.Stop // nil: it is only followed
	watch  *search.Watch

	mu     sync.Mutex
	n      int // reports
	best   float64
	stride int // every how-manieth report is kept
	points []events.Point
	latest events.Point
}

// curveOf is the curve of a trial; nil when nothing is watched.
func curveOf(s Spec) *curve {
	c := &curve{stride: 1, rule: s.Stop}
	switch {
	case s.Stop != nil:
		c.metric, c.watch = s.Stop.Metric, s.Stop.Watch()
	case s.Candidate.Search != nil && s.Candidate.Search.EarlyStop != nil:
		c.metric = s.Candidate.Search.EarlyStop.Metric
	default:
		return nil
	}
	return c
}

// report takes what a line reported, and tells why the trial should end; nil when it should not.
func (c *curve) report(metrics map[string]float64) error {
	if c == nil {
		return nil
	}
	value, ok := metrics[c.metric]
	if !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	c.latest = events.Point{Step: c.n, Value: value}
	if c.n%c.stride == 0 {
		c.points = append(c.points, c.latest)
	}
	if len(c.points) >= maxCurve {
		c.stride *= 2
		c.points = slices.DeleteFunc(c.points, func(p events.Point) bool { return p.Step%c.stride != 0 })
	}
	if c.rule == nil {
		return nil
	}
	if c.n == 1 || c.rule.Maximize && value > c.best || !c.rule.Maximize && value < c.best {
		c.best = value
	}
	if !c.watch.Report(c.n, value) {
		return nil
	}
	return &Stopped{Reason: fmt.Sprintf("early stopping: %s %.4g at report %d is worse than the median %.4g of earlier trials", c.metric, c.best, c.n, c.median())}
}

// median is the rule's at the latest report.
func (c *curve) median() float64 {
	m := 0.0
	for _, p := range c.rule.Curve {
		if p.Step <= c.n {
			m = p.Value
		}
	}
	return m
}

// thin is the curve as a result keeps it: its last report, and others evenly spaced.
func (c *curve) thin() []events.Point {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	points := slices.Clone(c.points)
	if n := len(points); c.n > 0 && (n == 0 || points[n-1].Step != c.n) {
		points = append(points, c.latest)
	}
	return search.Thin(points)
}
