package search

import (
	"math"

	"github.com/tidemill/tidemill/core/resource"
)

// The tree-structured Parzen estimator (J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl: Algorithms for Hyper-Parameter
// Optimization, NIPS 2011, section 4): l(x) is a density over the best trials, g(x) over all others, and of some draws from l
// the one with the highest l(x)/g(x) has the highest expected improvement.

const (
	goodShare  = 0.25 // of the completed trials are good: γ. A larger one than the paper's, for budgets of dozens of trials
	maxGood    = 25
	draws      = 24 // from l
	maxStartup = 10 // completed trials before anything is learned
)

// tpe is what the earlier generations taught, for each axis of a space.
type tpe struct {
	ready bool // there are enough trials to learn from
	axes  []estimator
}

// estimator suggests values of one axis.
type estimator struct {
	axis
	good, bad []any
}

// learn divides the earlier trials into good and bad ones. Trials that failed or were stopped are bad.
func learn(sp space, past history, s *resource.Search) *tpe {
	best := past.ranked()
	t := &tpe{ready: len(best) >= startup(s), axes: make([]estimator, len(sp))}
	isGood := map[int]bool{}
	for _, r := range best[:min(len(best), maxGood, int(math.Ceil(goodShare*float64(len(best)))))] {
		isGood[r.Number] = true
	}
	for i, a := range sp {
		t.axes[i].axis = a
		for _, r := range past.results {
			t.axes[i].add(r.Params[a.name], isGood[r.Number])
		}
	}
	return t
}

// startup is how many completed trials come before anything is learned: a third of a small budget.
func startup(s *resource.Search) int {
	if s.Trials == 0 {
		return maxStartup
	}
	return min(maxStartup, max(3, s.Trials/3))
}

// pending counts a trial of this generation as bad, so that the others look elsewhere.
func (t *tpe) pending(c config) {
	for i := range t.axes {
		t.axes[i].add(c[t.axes[i].name], false)
	}
}

func (e *estimator) add(v any, good bool) {
	if !e.has(v) {
		return // a trial of another space
	}
	if good {
		e.good = append(e.good, v)
	} else {
		e.bad = append(e.bad, v)
	}
}

// suggest draws a value.
func (e *estimator) suggest(s stream) any {
	l, g := e.density(e.good), e.density(e.bad)
	var best any
	top := math.Inf(-1)
	for range draws {
		v := l.draw(s)
		if ratio := math.Log(l.at(v)) - math.Log(g.at(v)); best == nil || ratio > top {
			best, top = v, ratio
		}
	}
	return best
}

func (e *estimator) density(values []any) density {
	if len(e.Choice) > 0 {
		return newCounts(e.axis, values)
	}
	return newParzen(e.axis, values)
}

// density is a distribution over the values of an axis.
type density interface {
	draw(s stream) any
	at(v any) float64 // of a continuum, a density on the unit interval; a probability otherwise
}
