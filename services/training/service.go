// Package training turns a requested cycle into a candidate: it plans trials, for each declared candidate one or those of its search,
// hands them to the workers a few at a time, picks the best by the platform's own figures, and packages it as a version. When the
// recipe of a judged version is to be trained again on all rows, it does that, too.
//
// It hears cycle.requested, trial.finished, refit.requested and cycle.ended. It says candidate.trained or candidate.failed, and
// candidate.refitted, and publishes jobs for workers. Its state is one document per model in the bucket "training": from a
// cycle's request to its end it holds the trials, with those that wait for their release. The backlog is an index over these documents.
package training

import (
	"context"
	"fmt"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

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

// curvesKept bounds the curves of trials that are kept in memory: 200 points of 16 bytes each, at most.
const curvesKept = 4096

// Service trains candidates.
type Service struct {
	host   *host.Host
	docs   *state.Store[book]
	queue  *jobs.Queue
	crew   *jobs.Crew
	curves *lru.Cache[uint64, []events.Point] // by sequence of trial.finished

	backlog     backlog
	dispatching sync.Mutex // one dispatch at a time
	woken       chan struct{}
}

// New makes the service; it decides while it runs and holds its lease.
func New(ctx context.Context, h *host.Host) (lifecycle.Component, error) {
	docs, err := host.State[book](ctx, h, events.BucketTraining)
	if err != nil {
		return nil, fmt.Errorf("start training: %w", err)
	}
	curves, err := lru.New[uint64, []events.Point](curvesKept)
	if err != nil {
		return nil, fmt.Errorf("start training: %w", err)
	}
	s := &Service{host: h, docs: docs, queue: jobs.NewQueue(h.JS), curves: curves, woken: make(chan struct{}, 1),
		crew: jobs.NewCrew(h.JS, jobs.PresenceOptions{Replicas: h.Replicas, Logger: h.Log})}
	s.backlog.reset(nil)
	return decider.New(h, decider.Spec{
		Name:   Name,
		Hears:  []events.Type{events.CycleRequestedType, events.TrialFinishedType, events.RefitRequestedType, events.CycleEndedType},
		Handle: s.handle,
		Outbox: docs,
		Lead:   s.lead,
		While:  s.while,
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
	case events.RefitRequestedType:
		p, err := events.PayloadOf[events.RefitRequested](f)
		if err != nil {
			return bus.Terminal(err)
		}
		return s.refit(ctx, f, p)
	case events.CycleEndedType:
		p, err := events.PayloadOf[events.CycleEnded](f)
		if err != nil {
			return bus.Terminal(err)
		}
		return s.end(ctx, f, p)
	}
	return nil
}

// end forgets the cycle, and the trials that wait. Workers hear of its end themselves, and drop those that they have.
func (s *Service) end(ctx context.Context, f events.Fact, p events.CycleEnded) error {
	doc, err := s.docs.Decide(ctx, p.Model, f, s.host.Bus, func(b book, _ bool) (book, []events.Fact, error) {
		if b.Cycle == nil || b.Cycle.Cycle != p.Cycle {
			return b, nil, state.ErrUnchanged
		}
		b.Cycle = nil
		return b, nil, nil
	})
	s.backlog.put(doc)
	if err != nil {
		return fmt.Errorf("training of %s on %s: %w", p.Cycle, f.Type.Short(), err)
	}
	s.wake()
	return nil
}
