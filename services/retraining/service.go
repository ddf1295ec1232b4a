// Package retraining decides when a model is retrained. It is the only service that requests cycles, and it owns each cycle
// and its deadline until its one outcome.
//
// It hears segment.observed (its only data input), alert.*, retrain.asked, model.paused, model.resumed, resource.*,
// candidate.failed, candidate.rejected, rollout.rolled_back, model.ready and its own timer.fired. It says policy.evaluated, cycle.requested and
// cycle.ended. Its state is one document per model in the bucket "retraining": the policy engine's state.
package retraining

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/core/policy"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/decider"
	"github.com/tidemill/tidemill/services/internal/host"
)

// Name is the service's name: of its target, its lease, its consumer and its timers.
const Name = "retraining"

// Service decides about cycles.
type Service struct {
	host *host.Host
	docs *state.Store[policy.State]
}

// New makes the service; it decides while it runs and holds its lease.
func New(ctx context.Context, h *host.Host) (lifecycle.Component, error) {
	docs, err := host.State[policy.State](ctx, h, events.BucketRetraining)
	if err != nil {
		return nil, fmt.Errorf("start retraining: %w", err)
	}
	s := &Service{host: h, docs: docs}
	return decider.New(h, decider.Spec{
		Name: Name,
		Hears: []events.Type{events.SegmentObservedType, events.AlertRaisedType, events.AlertResolvedType, events.RetrainAskedType,
			events.ModelPausedType, events.ModelResumedType, events.ResourceAppliedType, events.ResourceDeletedType,
			events.CandidateFailedType, events.CandidateRejectedType, events.RolloutRolledBackType, events.ModelReadyType,
			events.TimerFiredType},
		Handle: s.handle,
		Outbox: docs,
		Timers: s.timers,
	}), nil
}

// handle folds one fact into the document of every model it is about.
func (s *Service) handle(ctx context.Context, f events.Fact) error {
	aimed, err := s.aim(f)
	if err != nil {
		return err
	}
	for _, a := range aimed {
		if err := s.decide(ctx, a.model, f, a.observation, a.ordinal); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) decide(ctx context.Context, model string, f events.Fact, o policy.Observation, ordinal uint64) error {
	_, err := s.docs.Decide(ctx, model, f, s.host.Bus, func(st policy.State, exists bool) (policy.State, []events.Fact, error) {
		if !exists {
			st = policy.New(model)
		}
		now := s.host.Clock()
		next, d := policy.Evaluate(st, o, now)
		facts, err := says(next, d, f, ordinal, now)
		return next, facts, err
	})
	if err != nil {
		return fmt.Errorf("retraining of %s on %s: %w", model, f.Type.Short(), err)
	}
	return nil
}

// says turns a decision into facts: the end of a cycle, the evaluation, the next cycle.
func says(st policy.State, d policy.Decision, cause events.Fact, ordinal uint64, now time.Time) ([]events.Fact, error) {
	var facts []events.Fact
	var errs []error
	add := func(t events.Type, step, cycle string, payload any) {
		f, err := events.NewFact(events.DeriveID(cause.ID, step, st.Model), t, Name, st.Model, now, payload)
		errs = append(errs, err)
		f = f.Caused(cause)
		f.CycleID = cycle
		facts = append(facts, f)
	}
	if d.End != nil {
		add(events.CycleEndedType, "ended", d.End.Cycle, *d.End)
	}
	evaluated := d.Evaluated(st, cause.Type.Short(), ordinal)
	add(events.PolicyEvaluatedType, "evaluated", evaluated.Cycle, evaluated)
	if d.Request != nil {
		request := *d.Request
		for i := range request.Causes {
			if request.Causes[i].FactID == "" {
				request.Causes[i].FactID = cause.ID
			}
		}
		add(events.CycleRequestedType, "requested", request.Cycle, request)
	}
	return facts, errors.Join(errs...)
}

// timers lists what the wall clock must say next for every model.
func (s *Service) timers(ctx context.Context, now time.Time) ([]decider.Timer, error) {
	docs, err := s.docs.List(ctx)
	if err != nil {
		return nil, err
	}
	var out []decider.Timer
	for _, doc := range docs {
		for _, t := range policy.Timers(doc.Value, now) {
			out = append(out, decider.Timer{Kind: t.Kind, Name: doc.Key, Key: t.Key, Due: t.Due})
		}
	}
	return out, nil
}
