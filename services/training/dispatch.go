package training

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/recipe"
	"github.com/tidemill/tidemill/workers/runtime"
)

// dispatchEvery is how soon a release that failed is tried again.
const dispatchEvery = 3 * time.Second

// lead reads the books that the instance before left; it runs before anything is handled.
func (s *Service) lead(ctx context.Context) error {
	docs, err := s.docs.List(ctx)
	if err != nil {
		return fmt.Errorf("read the backlog: %w", err)
	}
	s.backlog.reset(docs)
	s.wake()
	return nil
}

// while releases trials as results come and workers come and go, as long as the lease is held.
func (s *Service) while(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.crew.Run(ctx, s.wake) })
	g.Go(func() error {
		tick := time.NewTicker(dispatchEvery)
		defer tick.Stop()
		for {
			changed := s.crew.Changed()
			s.dispatch(ctx)
			select {
			case <-ctx.Done():
				return nil
			case <-s.woken:
			case <-changed:
			case <-tick.C:
			}
		}
	})
	return g.Wait()
}

// wake lets while look at the backlog.
func (s *Service) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// dispatch releases as many trials as there is room for. What fails is only logged: one model's trouble holds up neither the others
// nor the handling of facts, and the next dispatch tries again.
func (s *Service) dispatch(ctx context.Context) {
	s.dispatching.Lock()
	defer s.dispatching.Unlock()
	for _, t := range s.backlog.next(s.crew.Slots) {
		if err := s.release(ctx, t); err != nil && ctx.Err() == nil {
			s.host.Log.Warn("trials wait longer for their release", zap.String("service", Name), zap.String("model", t.model), zap.Error(err))
		}
	}
}

// release queues trials of a model and then remembers that. Queued twice is harmless: the queue knows a job's id, and an attempt at a
// finished trial gives its stored result.
func (s *Service) release(ctx context.Context, t turn) error {
	doc := s.backlog.book(t.model)
	c := doc.Value.Cycle
	if c == nil {
		return nil
	}
	places := c.waiting(t.pool)
	places = places[:min(len(places), t.trials)]
	specs, err := s.specs(ctx, c, places)
	if reason := recipe.Impossibility(err); reason != "" {
		return s.abandon(ctx, c, places, reason)
	}
	if err != nil {
		return fmt.Errorf("release trials of %s: %w", c.Cycle, err)
	}
	for i, spec := range specs {
		err := s.publish(ctx, spec)
		if errors.Is(err, nats.ErrMaxPayload) {
			return s.abandon(ctx, c, places, fmt.Sprintf("a trial that names %d segments is larger than the broker takes: "+
				"use a sliding window, or make segments larger", len(spec.Segments)))
		}
		if err != nil {
			return errors.Join(err, s.released(ctx, doc, places[:i]))
		}
	}
	s.host.Crash(CrashPublished)
	return s.released(ctx, doc, places)
}

func (s *Service) publish(ctx context.Context, spec runtime.Spec) error {
	body, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encode trial %s: %w", spec.Trial, err)
	}
	if err := s.queue.Publish(ctx, jobs.Job{ID: spec.Trial, Kind: runtime.JobKind, Pool: spec.Candidate.Pool, Payload: body}); err != nil {
		return fmt.Errorf("queue trial %s: %w", spec.Trial, err)
	}
	return nil
}

// released remembers which trials of a book are in the queue, unless the cycle has ended meanwhile.
func (s *Service) released(ctx context.Context, doc state.Document[book], places []place) error {
	if len(places) == 0 {
		return nil
	}
	id := doc.Value.Cycle.Cycle
	mark := func(b book) book {
		b = b.clone()
		for _, at := range places {
			if at.study < len(b.Cycle.Studies) && (at.study >= 0 || b.Cycle.Refit != nil) {
				b.Cycle.at(at).Released = true
			}
		}
		return b
	}
	next := doc
	next.Value = mark(doc.Value)
	next, err := s.docs.Update(ctx, next)
	if errors.Is(err, state.ErrConflict) { // a result came in between
		next, err = s.docs.Decide(ctx, doc.Key, events.Fact{}, s.host.Bus, func(b book, _ bool) (book, []events.Fact, error) {
			if b.Cycle == nil || b.Cycle.Cycle != id {
				return b, nil, state.ErrUnchanged
			}
			return mark(b), nil, nil
		})
	}
	if err != nil {
		return fmt.Errorf("release trials of %s: %w", id, err)
	}
	s.backlog.put(next)
	return nil
}

// specs are the trials at places as their workers are told of them. Those of the refit stand alone: the studies are over then.
func (s *Service) specs(ctx context.Context, c *cycle, places []place) ([]runtime.Spec, error) {
	if len(places) == 0 {
		return nil, nil
	}
	m, err := recipe.Model(s.host.Catalog, c.CycleRequested)
	if err != nil {
		return nil, err
	}
	plan := recipe.Base
	if c.Refit != nil {
		plan = recipe.RefitBase
	}
	base, err := plan(s.host.Catalog, c.CycleRequested)
	if err != nil {
		return nil, err
	}
	if c.Refit != nil {
		judged, err := s.finished(ctx, c.Winner.Seq)
		if err != nil {
			return nil, err
		}
		base.Reported = judged.Reported
	}
	out := make([]runtime.Spec, len(places))
	for i, at := range places {
		if out[i], err = c.spec(base, m, at); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// abandon fails a cycle whose trials can't be made any more: its dataset is gone, say.
func (s *Service) abandon(ctx context.Context, c *cycle, places []place, reason string) error {
	cause := events.Fact{ID: c.Cause.ID, Seq: c.Cause.Seq, TraceParent: c.Cause.TraceParent}
	if c.Refit != nil {
		cause = events.Fact{ID: c.Refit.Cause.ID, Seq: c.Refit.Cause.Seq, TraceParent: c.Refit.Cause.TraceParent}
	}
	doc, err := s.docs.Decide(ctx, c.Model, events.Fact{}, s.host.Bus, func(b book, _ bool) (book, []events.Fact, error) {
		if b.Cycle == nil || b.Cycle.Cycle != c.Cycle || len(places) == 0 {
			return b, nil, state.ErrUnchanged
		}
		b = b.clone()
		if b.Cycle.Refit == nil {
			return s.fail(b, cause, reason)
		}
		if b.Cycle.Refit.Trial.Finished != nil {
			return b, nil, state.ErrUnchanged
		}
		return s.outcome(b, cause, nil, reason)
	})
	s.backlog.put(doc)
	if err != nil {
		return fmt.Errorf("give up %s: %w", c.Cycle, err)
	}
	return nil
}
