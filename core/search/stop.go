package search

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// minCurves is how many completed trials make a median worth the name.
const minCurves = 3

// maxPoints bounds a curve: it travels in jobs and facts.
const maxPoints = 200

// Stop is the median stopping rule as one trial's worker applies it (D. Golovin et al.: Google Vizier, KDD 2017, section 3.2): a
// trial ends at a step when its best figure so far is strictly worse than the median of the earlier trials' running
// averages at that step. Earlier trials are those that completed in the generations before.
type Stop struct {
	Metric   string         `json:"metric"` // as the trainer reports it
	Maximize bool           `json:"maximize,omitempty"`
	After    int            `json:"after"` // the first step at which it may stop
	Curve    []events.Point `json:"curve"` // the medians, by step; each holds until the next
}

// Says tells whether a trial should end whose best figure up to a step, from 1, is best. NaN, the best of a trial that
// reported no number, is worse than any number.
func (s Stop) Says(step int, best float64) bool {
	i := sort.Search(len(s.Curve), func(i int) bool { return s.Curve[i].Step > step })
	if step < s.After || i == 0 {
		return false
	}
	if s.Maximize {
		return !(best >= s.Curve[i-1].Value)
	}
	return !(best <= s.Curve[i-1].Value)
}

// Watch follows one trial's reports.
type Watch struct {
	stop Stop
	best float64
}

// Watch begins to follow a trial.
func (s Stop) Watch() *Watch { return &Watch{s, math.NaN()} }

// Report takes the trial's figure at a step, from 1, and tells whether the trial should end.
func (w *Watch) Report(step int, value float64) bool {
	if math.IsNaN(w.best) || w.stop.Maximize && value > w.best || !w.stop.Maximize && value < w.best {
		w.best = value
	}
	return w.stop.Says(step, w.best)
}

// Thin leaves at most 200 points of a curve: the last, and others evenly spaced in their order.
func Thin(curve []events.Point) []events.Point {
	if len(curve) <= maxPoints {
		return curve
	}
	out := make([]events.Point, maxPoints)
	for i := range out {
		out[i] = curve[(i+1)*len(curve)/maxPoints-1]
	}
	return out
}

// stopRule is the rule for a generation, or nil when there is too little to compare with.
func stopRule(e *resource.EarlyStop, past history) *Stop {
	if e == nil {
		return nil
	}
	var curves []average
	for _, r := range past.results {
		if c := runningAverage(r.Curve); r.usable() && len(c) > 0 {
			curves = append(curves, c)
		}
	}
	if len(curves) < minCurves {
		return nil
	}
	stop := &Stop{Metric: e.Metric, Maximize: e.Goal == resource.GoalMaximize, After: e.After}
	seen := map[int]bool{}
	for _, c := range curves {
		for _, p := range c {
			seen[p.Step] = true
		}
	}
	for _, step := range slices.Sorted(maps.Keys(seen)) {
		stop.Curve = append(stop.Curve, events.Point{Step: step})
	}
	stop.Curve = Thin(stop.Curve)
	// The steps before the third of the curves begins have no median.
	kept := stop.Curve[:0]
	for _, p := range stop.Curve {
		var values []float64
		for _, c := range curves {
			if v, ok := c.upTo(p.Step); ok {
				values = append(values, v)
			}
		}
		if len(values) >= minCurves {
			kept = append(kept, events.Point{Step: p.Step, Value: median(values)})
		}
	}
	stop.Curve = kept
	return stop
}

// average is a curve's running average: the mean of all figures up to a step.
type average []events.Point

// runningAverage leaves out what is no number.
func runningAverage(curve []events.Point) average {
	var out average
	mean, n := 0.0, 0.0
	for _, p := range slices.SortedStableFunc(slices.Values(curve), func(a, b events.Point) int { return cmp.Compare(a.Step, b.Step) }) {
		if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			continue
		}
		n++
		mean += p.Value/n - mean/n
		out = append(out, events.Point{Step: p.Step, Value: mean})
	}
	return out
}

func (a average) upTo(step int) (float64, bool) {
	i := sort.Search(len(a), func(i int) bool { return a[i].Step > step })
	if i == 0 {
		return 0, false
	}
	return a[i-1].Value, true
}

// median is the middle value, or halfway between the two in the middle.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return values[(n-1)/2] + (values[n/2]-values[(n-1)/2])/2
}
