// Package together serves callers that come at the same time at the same time: where a call costs much and a row of it little, those
// that wait for the one at work go next as one.
package together

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// alone is how often a caller goes alone before the next no longer looks for company.
const alone = 16

// Group is such a place. Who comes when fewer than the limit are at work serves itself; the others wait, and the first of them
// serves all. It starts no goroutine, and nobody waits who would find room.
type Group[J any] struct {
	limit  int
	most   int
	weight func(J) int
	serve  func([]J)
	calls  sync.Pool

	company atomic.Int32 // above 0 when some went together lately: else nobody is waited for, since giving way costs a wake-up

	mu      sync.Mutex
	running int
	waiting []*call[J] // in the order of their coming, while the limit is at work
}

// call is one caller.
type call[J any] struct {
	job   J
	turn  chan bool  // true: serve, yourself and who waits; false: you are served
	along []*call[J] // when it serves: whom
	batch []J
}

// New makes a group in which up to limit callers are at work at once. Jobs go together while their weights add up to most; one that
// is heavier goes alone. serve does the jobs it is given, of which there is one at least, and keeps none; what comes of a job is
// for serve to put into it.
func New[J any](limit, most int, weight func(J) int, serve func(jobs []J)) *Group[J] {
	return &Group[J]{limit: limit, most: most, weight: weight, serve: serve,
		calls: sync.Pool{New: func() any { return &call[J]{turn: make(chan bool, 1)} }}}
}

// Do returns when the job is done, by this caller or by another.
func (g *Group[J]) Do(j J) {
	c := g.calls.Get().(*call[J])
	c.job = j
	g.mu.Lock()
	lead := g.running < g.limit
	if lead {
		g.running++
	} else {
		g.waiting = append(g.waiting, c)
	}
	g.mu.Unlock()
	if lead || <-c.turn {
		g.lead(c)
	}
	var none J
	c.job = none
	g.calls.Put(c)
}

// lead serves a caller and those that wait, and hands the lead on.
func (g *Group[J]) lead(own *call[J]) {
	if g.company.Load() > 0 {
		runtime.Gosched() // who is about to ask asks now, and goes along
	}
	g.gather(own)
	served := false
	defer func() { g.hand(own, served) }()
	g.serve(own.batch)
	served = true
}

// gather takes those who wait as far as they fit.
func (g *Group[J]) gather(own *call[J]) {
	own.batch = append(own.batch[:0], own.job)
	sum := g.weight(own.job)
	g.mu.Lock()
	for _, c := range g.waiting {
		if sum += g.weight(c.job); sum > g.most {
			break
		}
		own.along, own.batch = append(own.along, c), append(own.batch, c.job)
	}
	g.waiting = drop(g.waiting, len(own.along))
	g.mu.Unlock()
	if len(own.along) > 0 {
		g.company.Store(alone)
	} else if left := g.company.Load(); left > 0 {
		g.company.Store(left - 1)
	}
}

// hand ends the lead of a caller. When serving panicked, those who went along wait again: the panic is its caller's alone.
func (g *Group[J]) hand(own *call[J], served bool) {
	clear(own.batch)
	if served {
		for _, c := range own.along {
			c.turn <- false
		}
	}
	g.mu.Lock()
	if !served {
		g.waiting = slices.Concat(own.along, g.waiting)
	}
	var next *call[J]
	if len(g.waiting) > 0 {
		next = g.waiting[0]
		g.waiting = drop(g.waiting, 1)
	} else {
		g.running--
	}
	g.mu.Unlock()
	clear(own.along)
	own.along = own.along[:0]
	if next != nil {
		next.turn <- true
	}
}

// drop removes the first n.
func drop[T any](list []T, n int) []T {
	rest := copy(list, list[n:])
	clear(list[rest:])
	return list[:rest]
}
