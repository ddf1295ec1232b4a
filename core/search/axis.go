package search

import (
	"math"
	"strconv"

	"github.com/tidemill/tidemill/core/resource"
)

// axis is one hyperparameter of a space, laid out on the unit interval. A value of finitely many has a cell of the interval
// to itself; one of a continuum has a point.
type axis struct {
	name string
	resource.Range
}

// value is what lies at u, from 0 to 1.
func (a axis) value(u float64) any {
	u = min(max(u, 0), 1)
	switch {
	case a.Float != nil && a.Step == 0:
		return tidy(a.Float[0]+u*(a.Float[1]-a.Float[0]), a.Float[1]-a.Float[0], *a.Float)
	case a.Log != nil:
		low, high := math.Log(a.Log[0]), math.Log(a.Log[1])
		return tidy(math.Exp(low+u*(high-low)), a.Log[1]-a.Log[0], *a.Log)
	case a.LogInt != nil:
		low, high := a.logEdges()
		return min(max(math.Round(math.Exp(low+u*(high-low))), float64(a.LogInt[0])), float64(a.LogInt[1]))
	}
	n := a.Size()
	return a.index(min(int64(u*float64(n)), n-1))
}

// logEdges are the logarithms of the interval that the whole numbers of LogInt are rounded from.
func (a axis) logEdges() (low, high float64) {
	return math.Log(float64(a.LogInt[0]) - 0.5), math.Log(float64(a.LogInt[1]) + 0.5)
}

// index is the i-th of finitely many values, from 0.
func (a axis) index(i int64) any {
	switch {
	case a.Int != nil:
		return float64(a.Int[0] + i*max(int64(a.Step), 1))
	case a.LogInt != nil:
		return float64(a.LogInt[0] + i)
	case a.Float != nil:
		return tidy(a.Float[0]+float64(i)*a.Step, a.Step, *a.Float)
	}
	return a.Choice[i]
}

// which is the index of a choice, or -1.
func (a axis) which(v any) int {
	for i, c := range a.Choice {
		// Not slices.Index: a list or a mapping in a result's params can't be compared.
		switch v.(type) {
		case string, float64, bool:
			if c == v {
				return i
			}
		}
	}
	return -1
}

// has tells whether v is a value of the axis.
func (a axis) has(v any) bool {
	if len(a.Choice) > 0 {
		return a.which(v) >= 0
	}
	_, _, ok := a.cell(v)
	return ok
}

// cell is the part of the unit interval that belongs to a number; low equals high in a continuum. ok is false for what isn't
// between the bounds. The axis is no choice.
func (a axis) cell(v any) (low, high float64, ok bool) {
	x, isNumber := v.(float64)
	if !isNumber || math.IsNaN(x) {
		return 0, 0, false
	}
	switch {
	case a.Float != nil && a.Step == 0:
		low = (x - a.Float[0]) / (a.Float[1] - a.Float[0])
		return low, low, low >= 0 && low <= 1
	case a.Log != nil:
		low = (math.Log(x) - math.Log(a.Log[0])) / (math.Log(a.Log[1]) - math.Log(a.Log[0]))
		return low, low, x >= a.Log[0] && x <= a.Log[1]
	case a.LogInt != nil:
		from, to := a.logEdges()
		low, high = (math.Log(x-0.5)-from)/(to-from), (math.Log(x+0.5)-from)/(to-from)
		return low, high, x >= float64(a.LogInt[0]) && x <= float64(a.LogInt[1])
	}
	var i float64
	if a.Int != nil {
		i = math.Round((x - float64(a.Int[0])) / max(math.Trunc(a.Step), 1))
	} else {
		i = math.Round((x - a.Float[0]) / a.Step)
	}
	n := float64(a.Size())
	return i / n, (i + 1) / n, i >= 0 && i < n
}

// tries are the values that a grid has of the axis, in order, each once.
func (a axis) tries() []any {
	n := int(a.Size())
	if a.Steps == 0 {
		out := make([]any, n)
		for i := range out {
			out[i] = a.index(int64(i))
		}
		return out
	}
	var out []any
	for i := range a.Steps {
		v := a.spaced(float64(i) / float64(a.Steps-1))
		if len(out) == 0 || out[len(out)-1] != v {
			out = append(out, v)
		}
	}
	return out
}

// spaced is the value at a share u of the way from the lower bound to the upper one, both of them included.
func (a axis) spaced(u float64) any {
	linear := func(low, high float64) float64 { return low + u*(high-low) }
	log := func(low, high float64) float64 { return math.Exp(linear(math.Log(low), math.Log(high))) }
	switch {
	case a.Int != nil:
		return math.Round(linear(float64(a.Int[0]), float64(a.Int[1])))
	case a.LogInt != nil:
		return math.Round(log(float64(a.LogInt[0]), float64(a.LogInt[1])))
	case a.Log != nil:
		return tidy(log(a.Log[0], a.Log[1]), a.Log[1]-a.Log[0], *a.Log)
	}
	return tidy(linear(a.Float[0], a.Float[1]), a.Float[1]-a.Float[0], *a.Float)
}

// digits that a drawn number keeps, of itself and of its range: people read them, and what differs between processors in
// the last bits of a logarithm is rounded away.
const digits = 6

// tidy rounds v for a range that is span wide, within its bounds.
func tidy(v, span float64, bounds [2]float64) float64 {
	n := digits + max(0, exponent(v)-exponent(span))
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', min(n, 17), 64), 64)
	if err != nil {
		rounded = v // beyond the largest number; the bounds take care of it
	}
	return min(max(rounded, bounds[0]), bounds[1])
}

// exponent is the power of ten of v's first digit.
func exponent(v float64) int {
	s := strconv.FormatFloat(v, 'e', -1, 64)
	for i := range s {
		if s[i] == 'e' {
			n, err := strconv.Atoi(s[i+1:])
			if err == nil {
				return n
			}
		}
	}
	return 0
}
