// Package training turns a requested cycle into a candidate: it hands one trial per declared candidate to the workers, picks the
// best by the platform's own figures, and packages it as a version.
//
// It hears cycle.requested, trial.finished and cycle.ended. It says candidate.trained or candidate.failed, and publishes jobs for
// workers. Its state is one document per model in the bucket "training".
package training

import (
	"context"
	"fmt"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/decider"
	"github.com/tidemill/tidemill/services/internal/host"
)

// Name is the service's name.
const Name = "training"

// Points at which Crash is called.
const (
	CrashPublished = "training.published" // the jobs are out, the document doesn't say so
	CrashPackaged  = "training.packaged"  // the version's package is stored, candidate.trained is not decided
)

// book is what training knows of one model.
type book struct {
	Versions int64  `json:"versions"`        // numbers given so far
	Cycle    *cycle `json:"cycle,omitempty"` // the one in training
}

// cycle is a cycle in training.
type cycle struct {
	events.CycleRequested
	Published bool    `json:"published"` // the jobs are in the queue
	Trials    []trial `json:"trials"`
}

// trial is one trial of the cycle.
type trial struct {
	ID        string                `json:"id"`
	Candidate string                `json:"candidate"`
	Finished  *events.TrialFinished `json:"finished,omitempty"`
}

// Service trains candidates.
type Service struct {
	host  *host.Host
	docs  *state.Store[book]
	queue *jobs.Queue
}

// New makes the service; it decides while it runs and holds its lease.
func New(ctx context.Context, h *host.Host) (lifecycle.Component, error) {
	docs, err := host.State[book](ctx, h, events.BucketTraining)
	if err != nil {
		return nil, fmt.Errorf("start training: %w", err)
	}
	s := &Service{host: h, docs: docs, queue: jobs.NewQueue(h.JS)}
	return decider.New(h, decider.Spec{
		Name:   Name,
		Hears:  []events.Type{events.CycleRequestedType, events.TrialFinishedType, events.CycleEndedType},
		Handle: s.handle,
		Outbox: docs,
	}), nil
}

func (s *Service) handle(ctx context.Context, f events.Fact) error {
	switch f.Type {
	case events.CycleRequestedType:
		p, err := events.PayloadOf[events.CycleRequested](f)
		if err != nil {
			return bus.Terminal(err)
		}
		return s.begin(ctx, f, p)
	case events.TrialFinishedType:
		p, err := events.PayloadOf[events.TrialFinished](f)
		if err != nil {
			return bus.Terminal(err)
		}
		return s.finish(ctx, f, p)
	case events.CycleEndedType:
		p, err := events.PayloadOf[events.CycleEnded](f)
		if err != nil {
			return bus.Terminal(err)
		}
		return s.end(ctx, f, p)
	}
	return nil
}

// end forgets the cycle. Workers hear of its end themselves, and drop its trials.
func (s *Service) end(ctx context.Context, f events.Fact, p events.CycleEnded) error {
	_, err := s.docs.Decide(ctx, p.Model, f, s.host.Bus, func(b book, _ bool) (book, []events.Fact, error) {
		if b.Cycle == nil || b.Cycle.Cycle != p.Cycle {
			return b, nil, state.ErrUnchanged
		}
		b.Cycle = nil
		return b, nil, nil
	})
	if err != nil {
		return fmt.Errorf("training of %s on %s: %w", p.Cycle, f.Type.Short(), err)
	}
	return nil
}
