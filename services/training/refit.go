package training

import (
	"context"
	"fmt"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/recipe"
)

// refit queues the winner's recipe for training on all rows. One refit per cycle; a request of a cycle that is over is none.
func (s *Service) refit(ctx context.Context, f events.Fact, p events.RefitRequested) error {
	doc, err := s.docs.Decide(ctx, p.Model, f, s.host.Bus, func(b book, _ bool) (book, []events.Fact, error) {
		if b.Cycle == nil || b.Cycle.Cycle != p.Cycle || b.Cycle.Winner == nil || b.Cycle.Refit != nil {
			return b, nil, state.ErrUnchanged
		}
		b = b.clone()
		b.Cycle.Refit = &refit{Cause: causeOf(f), Judged: p.Version}
		reason := ""
		if b.Cycle.Import != nil {
			reason = "a model that was imported can't be trained again"
		} else if _, err := recipe.RefitBase(s.host.Catalog, b.Cycle.CycleRequested); err != nil {
			reason = err.Error()
		}
		if reason != "" {
			return s.outcome(b, f, nil, reason)
		}
		return b, nil, nil
	})
	s.backlog.put(doc)
	if err != nil {
		return fmt.Errorf("training of %s on %s: %w", p.Cycle, f.Type.Short(), err)
	}
	s.dispatch(ctx)
	return nil
}

// refitted makes the refit's trial the next version.
func (s *Service) refitted(ctx context.Context, doc state.Document[book], f events.Fact, p events.TrialFinished) error {
	var version *events.Version
	reason := p.Reason
	if b := doc.Value; !doc.Applied.Has(f.ID) && b.Cycle.Refit.Trial.Finished == nil && p.Succeeded {
		v, why, err := s.packRefit(ctx, f, p, b)
		if err != nil {
			return fmt.Errorf("refit of %s: %w", p.Cycle, err)
		}
		if reason = why; why == "" {
			version = &v
		}
	}
	before := doc.Value
	doc, err := s.docs.Decide(ctx, p.Model, f, s.host.Bus, func(b book, _ bool) (book, []events.Fact, error) {
		if b.Cycle == nil || b.Cycle.Cycle != p.Cycle || b.Cycle.Refit == nil || b.Cycle.Refit.Trial.Finished != nil {
			return b, nil, state.ErrUnchanged
		}
		if b.Versions != before.Versions {
			return b, nil, errTwo
		}
		b = b.clone()
		b.Cycle.Refit.Trial.Finished = &result{Seq: f.Seq, OK: p.Succeeded}
		if version != nil {
			b.Versions++
		}
		return s.outcome(b, f, version, reason)
	})
	s.backlog.put(doc)
	if err != nil {
		return fmt.Errorf("refit of %s on %s: %w", p.Cycle, f.Type.Short(), err)
	}
	s.wake()
	return nil
}

func (s *Service) packRefit(ctx context.Context, f events.Fact, p events.TrialFinished, b book) (v events.Version, reason string, err error) {
	c := b.Cycle
	m, err := recipe.Model(s.host.Catalog, c.CycleRequested)
	if err != nil {
		return v, err.Error(), nil
	}
	base, err := recipe.RefitBase(s.host.Catalog, c.CycleRequested)
	if err != nil {
		return v, err.Error(), nil
	}
	ran, err := c.spec(base, m, place{study: -1})
	if err != nil {
		return v, err.Error(), nil
	}
	return s.pack(ctx, making{cycle: c.CycleRequested, spec: m, ran: ran, trial: p, number: b.Versions + 1,
		refitOf: c.Refit.Judged.Version, at: f.Time})
}

// outcome says what became of the book's refit. One that never ran counts as finished from then on.
func (s *Service) outcome(b book, cause events.Fact, v *events.Version, reason string) (book, []events.Fact, error) {
	c := b.Cycle
	p := events.CandidateRefitted{Cycle: c.Cycle, Model: c.Model, Judged: c.Refit.Judged, Refitted: v, Reason: reason}
	if c.Refit.Trial.Finished == nil {
		c.Refit.Trial.Finished = &result{}
	} else {
		p.Trial = c.refitID()
	}
	fact, err := events.NewFact(events.DeriveID(cause.ID, "refitted"), events.CandidateRefittedType, Name, c.Model, s.host.Clock(), p)
	return b, []events.Fact{fact.Caused(cause).InCycle(c.Cycle)}, err
}
