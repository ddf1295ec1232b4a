package training

import (
	"cmp"
	"container/heap"
)

// demand is what a cycle wants of a pool.
type demand struct {
	Model   string
	Manual  bool   // a person asked for the cycle
	Since   uint64 // when, as the ledger's sequence
	Out     int    // trials that were released and have no result
	Served  int    // trials that were released
	Waiting int    // trials that wait for their release
}

// choose says whose trials are released next, in this order and one at a time, when there is room for so many more. Cycles that a
// person asked for go first. Otherwise, and among those, shares are fair: whoever has fewest trials out is next, then whoever
// was served least, then who waits longest.
//
// It is a pure function; n releases among m demands cost O(m + n log m).
func choose(demands []demand, room int) []string {
	var q turns
	for _, d := range demands {
		if d.Waiting > 0 {
			q = append(q, d)
		}
	}
	heap.Init(&q)
	var out []string
	for len(q) > 0 && len(out) < room {
		d := &q[0]
		out = append(out, d.Model)
		d.Out++
		d.Served++
		if d.Waiting--; d.Waiting == 0 {
			heap.Pop(&q)
		} else {
			heap.Fix(&q, 0)
		}
	}
	return out
}

// before tells whose turn comes first.
func (d demand) before(e demand) bool {
	if d.Manual != e.Manual {
		return d.Manual
	}
	return cmp.Or(cmp.Compare(d.Out, e.Out), cmp.Compare(d.Served, e.Served), cmp.Compare(d.Since, e.Since), cmp.Compare(d.Model, e.Model)) < 0
}

// turns is a heap of demands: the first has the next turn.
type turns []demand

func (q turns) Len() int           { return len(q) }
func (q turns) Less(i, j int) bool { return q[i].before(q[j]) }
func (q turns) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *turns) Push(x any)        { *q = append(*q, x.(demand)) }
func (q *turns) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
