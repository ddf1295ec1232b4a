package resource

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// defaultParallel is the size of a generation where generations matter.
const defaultParallel = 4

// maxSteps bounds the values that a step makes of a range.
const maxSteps = 1_000_000_000

// search checks how the fields of a search fit together.
func (c *checker) search(p pointer, k *Candidate) {
	s := k.Search
	if s == nil {
		return
	}
	found := len(c.errs)
	for _, name := range slices.Sorted(maps.Keys(s.Space)) {
		c.searchRange(p.with("space").with(name), s.Space[name], s.Method == SearchGrid)
	}
	if len(c.errs) == found && s.Method == SearchGrid {
		c.gridSize(p, s)
	}
	if s.Trials == 0 && s.Time == nil && (s.Method == SearchRandom || s.Method == SearchTPE) {
		c.fail(p, "for example trials: 12, or time: 30m", "%s: a %s search needs a budget: trials, time or both", p, s.Method)
	}
	if s.EarlyStop != nil && k.Trainer != TrainerProcess {
		c.fail(p.with("earlyStop"), "remove it, or write trainer: process", "%s: %s reports nothing to stop by", p.with("earlyStop"), k.Trainer)
	}
	c.halving(p, s)
	if s.Parallel == 0 && (s.Method == SearchTPE || s.Method != SearchHalving && (s.EarlyStop != nil || s.Time != nil)) {
		s.Parallel = defaultParallel
	}
}

func (c *checker) halving(p pointer, s *Search) {
	h, at := s.Halving, p.with("halving")
	if s.Method != SearchHalving {
		if h != nil {
			c.fail(at, "remove it, or write method: halving", "%s only means something with method: halving", at)
		}
		return
	}
	if s.Parallel > 0 {
		c.fail(p.with("parallel"), "remove it", "%s: the trials of a rung are tried all at once", p.with("parallel"))
	}
	if h == nil {
		c.fail(p, "for example halving: {param: epochs, min: 3, max: 81}", "%s: method: halving needs halving", p)
		return
	}
	if s.Trials <= h.Factor {
		c.fail(p, fmt.Sprintf("trials counts all rungs; for example trials: %d", h.Factor*h.Factor+h.Factor+1),
			"%s: halving by %d needs at least %d trials, for two rungs", p, h.Factor, h.Factor+1)
	}
	if _, both := s.Space[h.Param]; both {
		c.fail(p.with("space").with(h.Param), "remove it from the space", "%s is what halving raises; it can't be searched, too", p.with("space").with(h.Param))
	}
	if h.Max < h.Min*float64(h.Factor) {
		c.fail(at.with("max"), fmt.Sprintf("for example max: %s", numeral(h.Min*float64(h.Factor*h.Factor))),
			"%s is %s; it must be at least factor times min, which is %s", at.with("max"), numeral(h.Max), numeral(h.Min*float64(h.Factor)))
	}
}

// gridSize refuses a grid that nobody can mean.
func (c *checker) gridSize(p pointer, s *Search) {
	size, parts := 1.0, []string{}
	for _, name := range slices.Sorted(maps.Keys(s.Space)) {
		n := s.Space[name].Size()
		size *= float64(n)
		parts = append(parts, fmt.Sprintf("%s: %d", name, n))
	}
	if size > MaxTrials {
		c.fail(p.with("space"), "use fewer values ("+strings.Join(parts, ", ")+"), or method: random",
			"%s: the grid has %s points; at most %d are tried", p.with("space"), numeral(size), MaxTrials)
	}
}

// searchRange checks one range of a space.
func (c *checker) searchRange(p pointer, r Range, grid bool) {
	var kinds []string
	for _, name := range []string{"int", "logInt", "float", "log", "choice"} {
		if _, given := c.field(p.with(name)); given {
			kinds = append(kinds, name)
		}
	}
	if len(kinds) != 1 {
		what := "has " + strings.Join(kinds, " and ")
		if len(kinds) == 0 {
			what = "has none"
		}
		c.fail(p, "for example {int: [1, 10]} or {log: [0.001, 0.1]}", "%s must have exactly one of int, logInt, float, log and choice; it %s", p, what)
		return
	}
	at := p.with(kinds[0])
	switch {
	case r.Choice != nil:
		c.choice(at, r.Choice)
	case r.Int != nil:
		c.bounds(at, float64(r.Int[0]), float64(r.Int[1]), false)
	case r.LogInt != nil:
		c.bounds(at, float64(r.LogInt[0]), float64(r.LogInt[1]), true)
	case r.Float != nil:
		c.bounds(at, r.Float[0], r.Float[1], false)
	case r.Log != nil:
		c.bounds(at, r.Log[0], r.Log[1], true)
	}
	c.steps(p, r, kinds[0], grid)
}

func (c *checker) bounds(p pointer, low, high float64, log bool) {
	switch {
	case log && low <= 0:
		c.fail(p, "a logarithm needs bounds above 0; start higher, or use int or float", "%s begins at %s; it must be above 0", p, numeral(low))
	case low >= high:
		c.fail(p, "write [low, high]; a fixed value belongs into params", "%s: %s must be below %s", p, numeral(low), numeral(high))
	case math.IsInf(high-low, 0):
		c.fail(p, "use bounds nearer to each other, or log", "%s is too wide", p)
	}
}

func (c *checker) choice(p pointer, values []any) {
	seen := map[any]bool{}
	for i, v := range values {
		at := p.with(strconv.Itoa(i))
		if seen[v] {
			c.fail(at, "remove one", "%s: %v is here twice", at, quoted(v))
		}
		seen[v] = true
	}
}

// steps checks step and steps of a range whose kind is right.
func (c *checker) steps(p pointer, r Range, kind string, grid bool) {
	_, step := c.field(p.with("step"))
	_, steps := c.field(p.with("steps"))
	switch {
	case step && steps:
		c.fail(p.with("steps"), "keep one of them", "%s has step and steps; both say which values there are", p)
	case step && kind != "int" && kind != "float":
		c.fail(p.with("step"), "remove it; a grid takes steps", "%s: step is for int and float", p.with("step"))
	case step && kind == "int" && r.Step != math.Trunc(r.Step):
		c.fail(p.with("step"), "", "%s is %s; between whole numbers it must be whole", p.with("step"), numeral(r.Step))
	case step && kind == "int" && r.Step > float64(r.Int[1]-r.Int[0]),
		step && kind == "float" && r.Step > r.Float[1]-r.Float[0]:
		c.fail(p.with("step"), "use a smaller one", "%s is %s, which is more than the range has", p.with("step"), numeral(r.Step))
	case step && kind == "float" && (r.Float[1]-r.Float[0])/r.Step > maxSteps:
		c.fail(p.with("step"), "use a larger one, or none", "%s is %s, which makes more than %d values", p.with("step"), numeral(r.Step), maxSteps)
	case steps && kind == "choice":
		c.fail(p.with("steps"), "remove it", "%s: a choice has its values already", p.with("steps"))
	case steps && !grid:
		c.fail(p.with("steps"), "remove it, or write method: grid", "%s only means something in a grid", p.with("steps"))
	case grid && r.Size() == 0:
		c.fail(p, "add steps: 5, or list the values as a choice", "%s: a grid can't try every value of a range without steps", p)
	}
}

// numeral is a number as people write it.
func numeral(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
