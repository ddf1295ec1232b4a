package search

import (
	"maps"
	"math"
	"slices"

	"github.com/tidemill/tidemill/core/resource"
)

// Successive halving (K. Jamieson, A. Talwalkar: Non-stochastic Best Arm Identification and Hyperparameter Optimization,
// AISTATS 2016): many configurations with little of a resource, then the best of each Factor with Factor times as much.

// rung is the trials with one value of the resource.
type rung struct {
	first   int     // number of its first trial
	configs []int   // which configurations of the first rung it trains
	value   float64 // of the resource
	ended   bool    // all trials have a result
}

func (r rung) last() int { return r.first + len(r.configs) - 1 }

// climb lists the rungs that are decided: all that ended, and the one to run next if there is one.
func climb(s *resource.Search, sp space, h history) []rung {
	configs := make([]int, firstRung(s, sp))
	for i := range configs {
		configs[i] = i
	}
	var rungs []rung
	for first, level := 1, 0; len(configs) > 0; level++ {
		value, top := resourceAt(s.Halving, level, len(configs))
		r := rung{first: first, configs: configs, value: value}
		r.ended = h.has(r.first, r.last())
		rungs = append(rungs, r)
		if top || !r.ended {
			break
		}
		best := h.between(r.first, r.last()).ranked()
		configs = nil
		for _, b := range best[:min(len(best), fewer(len(r.configs), s.Halving.Factor))] {
			configs = append(configs, r.configs[b.Number-r.first])
		}
		// The numbers within a rung follow those of the first one, not the figures: people find a configuration again.
		slices.Sort(configs)
		first = r.last() + 1
	}
	return rungs
}

// fewer is how many of n configurations go on.
func fewer(n, factor int) int { return max(1, n/factor) }

// resourceAt is the value of the resource on a level, from 0, with n configurations; top says that it is the last. The only
// one that is left gets all at once: there is nothing to compare it with on the way.
func resourceAt(h *resource.Halving, level, n int) (value float64, top bool) {
	value = h.Min * math.Pow(float64(h.Factor), float64(level))
	if n == 1 || value*float64(h.Factor) > h.Max*(1+1e-9) {
		return h.Max, true
	}
	if value != math.Trunc(value) {
		value = tidy(value, value, [2]float64{h.Min, h.Max})
	}
	return value, false
}

// firstRung is the largest number of configurations with which all rungs stay within the budget.
func firstRung(s *resource.Search, sp space) int {
	n := 1
	for ; n < resource.MaxTrials; n++ {
		if planned(s.Halving, n+1) > s.Trials {
			break
		}
	}
	if size := sp.size(); size > 0 {
		n = int(min(int64(n), size))
	}
	return n
}

// planned is how many trials all rungs have when the first has n.
func planned(h *resource.Halving, n int) int {
	sum := 0
	for level := 0; ; level++ {
		sum += n
		if _, top := resourceAt(h, level, n); top {
			return sum
		}
		n = fewer(n, h.Factor)
	}
}

// nextRung proposes the rung that is to be run.
func nextRung(s *resource.Search, sp space, seed int64, h history) []Proposal {
	rungs := climb(s, sp, h)
	r := rungs[len(rungs)-1]
	if r.ended {
		return nil
	}
	all := sp.propose(s, seed, history{}, 1, len(rungs[0].configs))
	var configs []config
	for _, i := range r.configs {
		c := maps.Clone(all[i])
		c[s.Halving.Param] = r.value
		configs = append(configs, c)
	}
	return number(configs, len(rungs), r.first, stopRule(s.EarlyStop, h.before(r.first)))
}

// completed are the results of the rungs that ended, the lowest first.
func completed(s *resource.Search, h history) []history {
	sp, err := newSpace(s)
	if err != nil {
		return nil
	}
	var out []history
	for _, r := range climb(s, sp, h) {
		if r.ended {
			out = append(out, h.between(r.first, r.last()))
		}
	}
	return out
}
