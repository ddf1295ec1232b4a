package gateway

import (
	"sync"

	"github.com/tidemill/tidemill/events"
)

// live passes progress on to everybody who watches. Who is too slow misses some: the next one tells more.
type live struct {
	mu       sync.Mutex
	watchers map[chan events.TrialProgressed]struct{}
}

func newLive() *live { return &live{watchers: map[chan events.TrialProgressed]struct{}{}} }

// join begins to watch; leave ends it.
func (l *live) join() (progress <-chan events.TrialProgressed, leave func()) {
	c := make(chan events.TrialProgressed, 64)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers[c] = struct{}{}
	return c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, c)
	}
}

func (l *live) send(p events.TrialProgressed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.watchers {
		select {
		case c <- p:
		default:
		}
	}
}
