package search

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/core/resource"
)

// config is a value for each hyperparameter of a space.
type config = map[string]any

// space is the hyperparameters in order of their names.
type space []axis

// redraws bounds how often a configuration that was tried already is drawn again.
const redraws = 16

// newSpace refuses what has no values to draw; core/resource explains it better.
func newSpace(s *resource.Search) (space, error) {
	var sp space
	for _, name := range slices.Sorted(maps.Keys(s.Space)) {
		a := axis{name, s.Space[name]}
		if !a.drawable(s.Method == resource.SearchGrid) {
			return nil, fmt.Errorf("search: the range of %s can't be searched by %s; check its bounds", name, s.Method)
		}
		sp = append(sp, a)
	}
	switch {
	case len(sp) == 0:
		return nil, fmt.Errorf("search: the space is empty; name a hyperparameter")
	case s.Method == resource.SearchHalving && (s.Halving == nil || s.Halving.Factor < 2 || !(s.Halving.Min > 0) || !(s.Halving.Max >= s.Halving.Min)):
		return nil, fmt.Errorf("search: halving needs a hyperparameter that it raises, from min to max by a factor of at least 2")
	case !slices.Contains([]string{resource.SearchGrid, resource.SearchRandom, resource.SearchTPE, resource.SearchHalving}, s.Method):
		return nil, fmt.Errorf("search: there is no method %q; use grid, random, tpe or halving", s.Method)
	}
	if size := sp.gridSize(); s.Method == resource.SearchGrid && size > resource.MaxTrials {
		return nil, fmt.Errorf("search: the grid has more than %d points; use fewer values", resource.MaxTrials)
	}
	return sp, nil
}

func (a axis) drawable(grid bool) bool {
	switch {
	case len(a.Choice) > 0:
		return true
	case a.Int != nil:
		return a.Int[0] < a.Int[1]
	case a.LogInt != nil:
		return 0 < a.LogInt[0] && a.LogInt[0] < a.LogInt[1]
	case a.Log != nil:
		return 0 < a.Log[0] && a.Log[0] < a.Log[1] && !math.IsInf(a.Log[1], 0) && (!grid || a.Steps > 1)
	case a.Float != nil:
		return a.Float[0] < a.Float[1] && !math.IsInf(a.Float[1]-a.Float[0], 0) && (!grid || a.Size() > 1)
	}
	return false
}

// size is how many configurations there are; 0 is more than can be counted.
func (sp space) size() int64 {
	size := int64(1)
	for _, a := range sp {
		n := a.Size()
		if n == 0 || size > math.MaxInt64/n {
			return 0
		}
		size *= n
	}
	return size
}

func (sp space) gridSize() float64 {
	size := 1.0
	for _, a := range sp {
		size *= float64(a.Size())
	}
	return size
}

// trials is how many trials grid, random and tpe have: none is run twice.
func (sp space) trials(s *resource.Search) int {
	most := int64(resource.MaxTrials)
	if s.Trials > 0 {
		most = min(most, int64(s.Trials))
	}
	size := sp.size()
	if s.Method == resource.SearchGrid {
		size = int64(sp.grid().size())
	}
	if size > 0 {
		most = min(most, size)
	}
	return int(most)
}

// at is the configuration with an index of finitely many; the last axis changes fastest.
func (sp space) at(index int64) config {
	c := make(config, len(sp))
	for _, a := range slices.Backward(sp) {
		n := a.Size()
		c[a.name] = a.index(index % n)
		index /= n
	}
	return c
}

// key is equal for equal configurations.
func (sp space) key(c config) string {
	var b strings.Builder
	for _, a := range sp {
		fmt.Fprintf(&b, "%T %#v;", c[a.name], c[a.name])
	}
	return b.String()
}

// draw makes the configuration of a trial, as learned says or evenly over the space. It differs from all that are taken,
// as long as there is another.
func (sp space) draw(seed int64, number int, taken map[string]bool, learned *tpe) config {
	streams := make([]stream, len(sp))
	for i, a := range sp {
		streams[i] = newStream(seed, number, a.name)
	}
	var c config
	for try := range 2 * redraws {
		c = make(config, len(sp))
		for i, a := range sp {
			// A good region of few values is soon tried out: look elsewhere then.
			if learned != nil && learned.ready && try < redraws {
				c[a.name] = learned.axes[i].suggest(streams[i])
			} else {
				c[a.name] = a.value(streams[i].unit())
			}
		}
		if !taken[sp.key(c)] {
			return c
		}
	}
	size := sp.size()
	if size == 0 {
		return c
	}
	from := newStream(seed, number, "").below(size)
	for i := range min(size, int64(len(taken))+1) {
		if other := sp.at((from + i) % size); !taken[sp.key(other)] {
			return other
		}
	}
	return c
}
