package training

import (
	"maps"
	"slices"
	"sync"

	"github.com/tidemill/tidemill/infra/state"
)

// backlog is an index over all books: who waits for which pool, and how many trials are out. It holds nothing that the books don't
// say, so that an instance which takes over makes its own by reading them once. It is safe for concurrent use.
type backlog struct {
	mu     sync.Mutex
	models map[string]entry
}

type entry struct {
	doc     state.Document[book]
	demands map[string]demand // by pool
}

// reset makes the index anew from all books.
func (l *backlog) reset(docs []state.Document[book]) {
	l.mu.Lock()
	l.models = map[string]entry{}
	l.mu.Unlock()
	for _, doc := range docs {
		l.put(doc)
	}
}

// put takes a book as it is now. An older one than is known changes nothing: whoever writes may be late to tell.
func (l *backlog) put(doc state.Document[book]) {
	demands := demandsOf(doc.Key, doc.Value.Cycle)
	l.mu.Lock()
	defer l.mu.Unlock()
	if doc.Revision >= l.models[doc.Key].doc.Revision {
		l.models[doc.Key] = entry{doc, demands}
	}
}

// book is the newest book of a model that was put. It must not be changed.
func (l *backlog) book(model string) state.Document[book] {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.models[model].doc
}

func demandsOf(model string, c *cycle) map[string]demand {
	if c == nil {
		return nil
	}
	out := map[string]demand{}
	count := func(pool string, t trial) {
		d, ok := out[pool]
		if !ok {
			d = demand{Model: model, Manual: c.Manual, Since: c.Cause.Seq}
		}
		switch {
		case t.Released && t.Finished == nil:
			d.Out++
			d.Served++
		case t.Released:
			d.Served++
		case t.Finished == nil:
			d.Waiting++
		}
		out[pool] = d
	}
	for _, s := range c.Studies {
		for _, t := range s.Trials {
			count(s.Pool, t)
		}
	}
	if c.Refit != nil {
		count(c.Winner.Pool, c.Refit.Trial)
	}
	return out
}

// turn is so many trials of a model that are to be released to a pool.
type turn struct {
	model, pool string
	trials      int
}

// next chooses what to release now: about two trials per slot are out, so that no slot waits for the next one, and yet hardly any
// trial that was released stands before one that should go first. A pool without a worker gets two, for whoever starts
// workers by the length of the queue.
func (l *backlog) next(slots func(pool string) int) []turn {
	l.mu.Lock()
	defer l.mu.Unlock()
	pools := map[string][]demand{}
	for _, e := range l.models {
		for pool, d := range e.demands {
			pools[pool] = append(pools[pool], d)
		}
	}
	var out []turn
	for _, pool := range slices.Sorted(maps.Keys(pools)) {
		room := perSlot * max(slots(pool), 1)
		for _, d := range pools[pool] {
			room -= d.Out
		}
		out = append(out, turnsOf(pool, choose(pools[pool], room))...)
	}
	return out
}

// turnsOf gathers the turns of each model, the first served first.
func turnsOf(pool string, models []string) []turn {
	var out []turn
	at := map[string]int{}
	for _, m := range models {
		i, ok := at[m]
		if !ok {
			i = len(out)
			at[m] = i
			out = append(out, turn{model: m, pool: pool})
		}
		out[i].trials++
	}
	return out
}

// perSlot is how many trials are out per slot of a pool's workers.
const perSlot = 2
