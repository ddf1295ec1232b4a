// Package deployment decides which version of a model takes traffic.
//
// It hears candidate.approved, rollback.asked and resource.deleted. It says rollout.started, rollout.rolled_back and model.ready.
// Its state is one document per model in the bucket "deployments", which serving follows: a decision, what serving needs and the
// facts still to be said are one write, so a version serves before model.ready is heard.
package deployment

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/core/rollout"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/decider"
	"github.com/tidemill/tidemill/services/internal/host"
)

// Name is the service's name.
const Name = "deployment"

// Service decides about rollouts.
type Service struct {
	host *host.Host
	docs *state.Store[rollout.State]
}

// New makes the service; it decides while it runs and holds its lease.
func New(ctx context.Context, h *host.Host) (lifecycle.Component, error) {
	docs, err := host.State[rollout.State](ctx, h, events.BucketDeployments)
	if err != nil {
		return nil, fmt.Errorf("start deployment: %w", err)
	}
	s := &Service{host: h, docs: docs}
	return decider.New(h, decider.Spec{
		Name:   Name,
		Hears:  []events.Type{events.CandidateApprovedType, events.RollbackAskedType, events.ResourceDeletedType},
		Handle: s.handle,
		Outbox: docs,
	}), nil
}

func (s *Service) handle(ctx context.Context, f events.Fact) error {
	model, in, err := read(f)
	if err != nil {
		return bus.Terminal(err)
	}
	if in == nil {
		return nil
	}
	_, err = s.docs.Decide(ctx, model, f, s.host.Bus, func(st rollout.State, exists bool) (rollout.State, []events.Fact, error) {
		if !exists {
			st = rollout.New(model)
		}
		next, d := rollout.Decide(st, in)
		if d.Refused != "" {
			s.host.Log.Info("rollout refused", zap.String("model", model), zap.String("event_id", f.ID), zap.String("reason", d.Refused))
		}
		facts, err := s.says(model, f, d)
		return next, facts, err
	})
	if err != nil {
		return fmt.Errorf("deployment of %s on %s: %w", model, f.Type.Short(), err)
	}
	return nil
}

// read turns a fact into what the rollout hears; nil when it is about something else.
func read(f events.Fact) (model string, in rollout.Input, err error) {
	switch f.Type {
	case events.CandidateApprovedType:
		p, err := events.PayloadOf[events.CandidateApproved](f)
		return p.Model, rollout.Approved(p), err
	case events.RollbackAskedType:
		p, err := events.PayloadOf[events.RollbackAsked](f)
		return p.Model, rollout.RollbackAsked(p), err
	case events.ResourceDeletedType:
		p, err := events.PayloadOf[events.ResourceDeleted](f)
		if err != nil || p.Kind != resource.KindModel {
			return "", nil, err
		}
		return p.Name, rollout.Deleted{}, nil
	}
	return "", nil, nil
}

func (s *Service) says(model string, cause events.Fact, d rollout.Decision) ([]events.Fact, error) {
	var facts []events.Fact
	var errs []error
	add := func(t events.Type, step string, payload any) {
		f, err := events.NewFact(events.DeriveID(cause.ID, step), t, Name, model, s.host.Clock(), payload)
		errs = append(errs, err)
		facts = append(facts, f.Caused(cause))
	}
	if d.Started != nil {
		add(events.RolloutStartedType, "started", *d.Started)
	}
	if d.RolledBack != nil {
		add(events.RolloutRolledBackType, "rolled_back", *d.RolledBack)
	}
	if d.Ready != nil {
		add(events.ModelReadyType, "ready", *d.Ready)
	}
	return facts, errors.Join(errs...)
}
