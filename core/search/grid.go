package search

import "slices"

// grid is every combination of the values to try, once.
type grid struct {
	space
	tries [][]any // by axis
}

func (sp space) grid() grid {
	g := grid{space: sp}
	for _, a := range sp {
		g.tries = append(g.tries, a.tries())
	}
	return g
}

// size is how many points there are.
func (g grid) size() int {
	n := 1
	for _, t := range g.tries {
		n *= len(t)
	}
	return n
}

// point is one of them, from 0; the last axis changes fastest.
func (g grid) point(index int) config {
	c := make(config, len(g.space))
	for i, a := range slices.Backward(g.space) {
		n := len(g.tries[i])
		c[a.name] = g.tries[i][index%n]
		index /= n
	}
	return c
}

// pick is so many points in their order, all with 0. The seed picks them: the first ones would leave the same corner out
// every time.
func (g grid) pick(seed int64, most int) []int {
	points := make([]int, g.size())
	for i := range points {
		points[i] = i
	}
	if most == 0 || most >= len(points) {
		return points
	}
	s := newStream(seed, 0, "")
	for i := range most {
		j := i + int(s.below(int64(len(points)-i)))
		points[i], points[j] = points[j], points[i]
	}
	slices.Sort(points[:most])
	return points[:most]
}
