package search

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// Proposal is one trial that should be run.
type Proposal struct {
	Number     int            // of the trial within its candidate's search, from 1
	Generation int            // from 1; a rung of halving
	Params     map[string]any // of the space, and what halving raises: string, float64 or bool. They beat the candidate's own
	Stop       *Stop          // ends the trial early; nil when nothing does
}

// Result is how a trial ended.
type Result struct {
	Number  int
	Params  map[string]any // as proposed, or as JSON decodes them; others than those of the space don't matter
	Value   float64        // primary metric on the validation rows
	OK      bool           // it left a model and Value is its figure
	Stopped bool           // early stopping ended it
	Curve   []events.Point // what it reported of the early-stopping metric
}

// usable results can win: there is a model, trained to its end, and a figure to compare it by.
func (r Result) usable() bool {
	return r.OK && !r.Stopped && !math.IsNaN(r.Value) && !math.IsInf(r.Value, 0)
}

// Next gives the first generation of which a result is missing in done, or none when the search is over. The results may be
// in any order; those of the generation itself don't change it, so that asking again while it runs gives the same trials.
// Time is for the caller to watch. better is the direction of the primary metric. The error is that of a declaration
// that core/resource refuses, of two results for one trial, or of a metric that has no better.
func Next(s *resource.Search, seed int64, better evaluation.Direction, done []Result) ([]Proposal, error) {
	h, err := remember(better, done)
	if err != nil {
		return nil, err
	}
	sp, err := newSpace(s)
	if err != nil {
		return nil, err
	}
	if s.Method == resource.SearchHalving {
		return nextRung(s, sp, seed, h), nil
	}
	total := sp.trials(s)
	for generation, first := 1, 1; first <= total; generation++ {
		last := total
		if s.Parallel > 0 {
			last = min(total, first+s.Parallel-1)
		}
		if !h.has(first, last) {
			return number(sp.propose(s, seed, h.before(first), first, last), generation, first, stopRule(s.EarlyStop, h.before(first))), nil
		}
		first = last + 1
	}
	return nil, nil
}

// number makes proposals of configurations.
func number(configs []config, generation, first int, stop *Stop) []Proposal {
	out := make([]Proposal, len(configs))
	for i, c := range configs {
		out[i] = Proposal{Number: first + i, Generation: generation, Params: c, Stop: stop}
	}
	return out
}

// propose draws the configurations of the trials first to last; past are the results of the generations before.
func (sp space) propose(s *resource.Search, seed int64, past history, first, last int) []config {
	var out []config
	if s.Method == resource.SearchGrid {
		g := sp.grid()
		for _, point := range g.pick(seed, s.Trials)[first-1 : last] {
			out = append(out, g.point(point))
		}
		return out
	}
	taken := map[string]bool{}
	for _, r := range past.results {
		taken[sp.key(r.Params)] = true
	}
	var learned *tpe
	if s.Method == resource.SearchTPE {
		learned = learn(sp, past, s)
	}
	for n := first; n <= last; n++ {
		c := sp.draw(seed, n, taken, learned)
		if learned != nil {
			learned.pending(c)
		}
		taken[sp.key(c)] = true
		out = append(out, c)
	}
	return out
}

// history is a set of results, in order of their numbers, and which way they get better.
type history struct {
	results []Result
	better  evaluation.Direction
}

func remember(better evaluation.Direction, done []Result) (history, error) {
	if better == evaluation.Neutral {
		return history{}, errors.New("search: the primary metric describes the rows, so that no trial is better than another; choose another metric")
	}
	h := history{slices.SortedFunc(slices.Values(done), func(a, b Result) int { return cmp.Compare(a.Number, b.Number) }), better}
	for i := 1; i < len(h.results); i++ {
		if h.results[i].Number == h.results[i-1].Number {
			return history{}, fmt.Errorf("search: trial %d has two results", h.results[i].Number)
		}
	}
	return h, nil
}

func (h history) at(number int) int {
	i, _ := slices.BinarySearchFunc(h.results, number, func(r Result, n int) int { return cmp.Compare(r.Number, n) })
	return i
}

// has tells whether all trials from first to last have ended.
func (h history) has(first, last int) bool { return h.at(last+1)-h.at(first) == last-first+1 }

// before are the trials with lower numbers.
func (h history) before(first int) history { return h.between(1, first-1) }

func (h history) between(first, last int) history {
	return history{h.results[h.at(first):h.at(last+1)], h.better}
}

// ranked are the usable results, the best first; the lower number goes first among equals.
func (h history) ranked() []Result {
	var out []Result
	for _, r := range h.results {
		if r.usable() {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b Result) int {
		if h.better == evaluation.HigherIsBetter {
			a, b = b, a
		}
		return cmp.Compare(a.Value, b.Value)
	})
	return out
}

// Winner is the number of the trial that the candidate stands for: the best by Value, the earliest among equals. Trials that
// failed, were stopped or have no finite figure never win. Of halving, only the highest completed rung with a usable
// result competes: figures after different trainings don't compare. ok is false when there is none.
func Winner(s *resource.Search, better evaluation.Direction, done []Result) (number int, ok bool) {
	h, err := remember(better, done)
	if err != nil {
		return 0, false
	}
	competing := []history{h}
	if s.Method == resource.SearchHalving {
		competing = completed(s, h)
	}
	for _, h := range slices.Backward(competing) {
		if best := h.ranked(); len(best) > 0 {
			return best[0].Number, true
		}
	}
	return 0, false
}
