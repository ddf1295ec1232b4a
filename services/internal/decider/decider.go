// Package decider runs a deciding service: one active instance at a time, which folds its facts in the ledger's order.
//
// While an instance holds the service's lease it says what crashed decisions left in outboxes, handles facts one at a time from the
// service's durable consumer, and lets the service's timers fire as facts. A standby waits for the lease.
package decider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/host"
)

// Every is how often outboxes are swept and, at most, how late a timer fires.
const (
	sweepEvery = 30 * time.Second
	timerEvery = time.Second
)

// Timer is a moment on the wall clock for which a service wants a timer.fired fact.
type Timer struct {
	Kind, Name, Key string
	Due             time.Time
}

// Outbox is a bucket of documents with facts still to be said.
type Outbox interface {
	Sweep(ctx context.Context, sayer state.Sayer) (int, error)
}

// Spec is what a service decides on, and how.
type Spec struct {
	Name   string
	Hears  []events.Type
	Handle func(ctx context.Context, f events.Fact) error
	// Outbox holds the facts that crashed decisions left unsaid: the service's documents. Optional.
	Outbox Outbox
	// Timers lists the service's open timers. A timer that has fired must be gone from the list once its fact is handled. Optional.
	Timers func(ctx context.Context, now time.Time) ([]Timer, error)
	// Lead runs when the lease is had, before the first fact is handled. Optional.
	Lead func(ctx context.Context) error
	// While runs as long as the lease is held, beside the handling of facts. Optional.
	While func(ctx context.Context) error
}

// Decider is the component.
type Decider struct {
	host *host.Host
	spec Spec
}

// New makes the component of a service.
func New(h *host.Host, spec Spec) *Decider { return &Decider{host: h, spec: spec} }

var _ lifecycle.Component = (*Decider)(nil)

// Run waits for the lease and decides while it has it, again and again until ctx ends. It is ready at once: a standby is as
// ready as it can be.
func (d *Decider) Run(ctx context.Context, ready func()) error {
	ready()
	log := d.host.Log.With(zap.String("service", d.spec.Name))
	for {
		err := d.host.Lease(d.spec.Name).Keep(ctx, func(ctx context.Context, epoch uint64) error {
			log.Debug("deciding", zap.Uint64("epoch", epoch))
			return d.decide(ctx)
		})
		if ctx.Err() != nil {
			return nil
		}
		// The broker may be away; another instance may take over meanwhile.
		log.Warn("deciding was interrupted; trying again", zap.Error(err))
		if err := lifecycle.Pause(ctx, time.Second); err != nil {
			return nil
		}
	}
}

func (d *Decider) decide(ctx context.Context) error {
	if err := d.sweep(ctx); err != nil {
		return err
	}
	if d.spec.Lead != nil {
		if err := d.spec.Lead(ctx); err != nil {
			return fmt.Errorf("begin to decide for %s: %w", d.spec.Name, err)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	if len(d.spec.Hears) > 0 {
		g.Go(func() error {
			handlers := d.host.Bus.Handlers(bus.Subscription{Name: d.spec.Name, Subjects: events.FactFilters(d.spec.Hears...), Handler: d.handle})
			return handlers.Run(ctx, func() {})
		})
	}
	if d.spec.Outbox != nil {
		g.Go(func() error { return d.every(ctx, sweepEvery, d.sweep) })
	}
	if d.spec.Timers != nil {
		fired := map[string]bool{}
		g.Go(func() error {
			return d.every(ctx, timerEvery, func(ctx context.Context) error { return d.fire(ctx, fired) })
		})
	}
	if d.spec.While != nil {
		g.Go(func() error { return d.spec.While(ctx) })
	}
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return context.Cause(ctx)
	}
	return err
}

// handle lets the catalog catch up with the fact first: what the service then reads from it is the same on every try.
func (d *Decider) handle(ctx context.Context, f events.Fact) error {
	if err := d.host.Catalog.WaitFor(ctx, f.Seq); err != nil {
		return err
	}
	return d.spec.Handle(ctx, f)
}

func (d *Decider) sweep(ctx context.Context) error {
	if d.spec.Outbox == nil {
		return nil
	}
	if _, err := d.spec.Outbox.Sweep(ctx, d.host.Bus); err != nil {
		return fmt.Errorf("sweep outboxes of %s: %w", d.spec.Name, err)
	}
	return nil
}

// fire says timer.fired for each timer that is due. The id is derived from the timer, so that it is one fact however often it
// is said; fired keeps this instance from repeating itself until the fact is handled.
func (d *Decider) fire(ctx context.Context, fired map[string]bool) error {
	now := d.host.Clock()
	timers, err := d.spec.Timers(ctx, now)
	if err != nil {
		return fmt.Errorf("timers of %s: %w", d.spec.Name, err)
	}
	open := map[string]bool{}
	for _, t := range timers {
		if t.Due.After(now) {
			continue
		}
		due := t.Due.UTC()
		id := events.DeriveID("timer", d.spec.Name, t.Kind, t.Name, t.Key, due.Format(time.RFC3339Nano))
		open[id] = true
		if fired[id] {
			continue
		}
		f, err := events.NewFact(id, events.TimerFiredType, d.spec.Name, t.Name, now,
			events.TimerFired{Owner: d.spec.Name, Kind: t.Kind, Name: t.Name, Due: due, Key: t.Key})
		if err != nil {
			return err
		}
		if _, err := d.host.Bus.Say(ctx, f); err != nil {
			return fmt.Errorf("say timer of %s: %w", d.spec.Name, err)
		}
		fired[id] = true
	}
	for id := range fired {
		if !open[id] {
			delete(fired, id)
		}
	}
	return nil
}

func (d *Decider) every(ctx context.Context, period time.Duration, do func(context.Context) error) error {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := do(ctx); err != nil {
				return err
			}
		}
	}
}
