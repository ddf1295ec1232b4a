package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/internal/follow"
	"github.com/tidemill/tidemill/infra/lifecycle"
)

// Crew knows the workers that are there. It is safe for concurrent use.
type Crew struct {
	js jetstream.JetStream
	o  PresenceOptions

	mu      sync.Mutex
	here    map[string]seen // by key
	changed chan struct{}
}

// seen is a worker as it was last heard of.
type seen struct {
	Presence
	until time.Time
}

var _ lifecycle.Component = (*Crew)(nil)

// NewCrew makes a crew that knows nobody before Run.
func NewCrew(js jetstream.JetStream, o PresenceOptions) *Crew {
	return &Crew{js: js, o: o.complete(), here: map[string]seen{}, changed: make(chan struct{})}
}

// Workers are those that are there, by pool and name.
func (c *Crew) Workers() []Presence {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Presence, 0, len(c.here))
	for _, s := range c.here {
		out = append(out, s.Presence)
	}
	slices.SortFunc(out, byPool)
	return out
}

// Slots is how many jobs the workers of a pool do at once. Those that drain don't count.
func (c *Crew) Slots(pool string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := 0
	for _, s := range c.here {
		if s.Pool == pool && !s.Draining {
			total += s.Slots
		}
	}
	return total
}

// Changed is closed at the next change of what Workers says. Ask for it before you look, and nothing escapes you.
func (c *Crew) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Run follows who comes and goes until ctx ends; it is ready when it knows all who were there at the start.
func (c *Crew) Run(ctx context.Context, ready func()) error {
	if _, err := c.o.bucket(ctx, c.js); err != nil {
		return fmt.Errorf("watch workers: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { c.forget(ctx) })
	defer cancel()
	err := follow.Run(ctx, c.js, follow.Options{
		Stream: "KV_" + events.BucketWorkers, LastPerSubject: true,
		CaughtUp:     func(uint64) error { ready(); return nil },
		Disconnected: func(err error) { c.o.Logger.Warn("workers can't be watched", zap.Error(err)) },
	}, func(m jetstream.Msg, _ *jetstream.MsgMetadata) error {
		c.hear(events.LastToken(m.Subject()), m.Data())
		return nil
	})
	if err != nil {
		return fmt.Errorf("watch workers: %w", err)
	}
	return nil
}

// hear takes one message: a worker as it is now, or, when it is empty, one that left.
func (c *Crew) hear(key string, text []byte) {
	var p Presence
	here := len(text) > 0 && json.Unmarshal(text, &p) == nil
	c.mu.Lock()
	defer c.mu.Unlock()
	before, known := c.here[key]
	if here {
		c.here[key] = seen{p, time.Now().Add(c.o.TTL)}
	} else {
		delete(c.here, key)
	}
	if known != here || before.Presence != p {
		c.tell()
	}
}

// forget drops those that were not heard of for too long. The broker drops them too, but says so to nobody.
func (c *Crew) forget(ctx context.Context) {
	for lifecycle.Pause(ctx, c.o.TTL/10) == nil {
		c.mu.Lock()
		before, now := len(c.here), time.Now()
		for key, s := range c.here {
			if now.After(s.until) {
				delete(c.here, key)
			}
		}
		if len(c.here) != before {
			c.tell()
		}
		c.mu.Unlock()
	}
}

// tell wakes those who wait; the caller holds the lock.
func (c *Crew) tell() {
	close(c.changed)
	c.changed = make(chan struct{})
}
