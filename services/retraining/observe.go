package retraining

import (
	"github.com/tidemill/tidemill/core/policy"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
)

// aimed is a fact as one model's policy sees it.
type aimed struct {
	model       string
	observation policy.Observation
	ordinal     uint64
}

// aim finds the models that a fact is about. An empty answer means that it is nobody's business here.
func (s *Service) aim(f events.Fact) ([]aimed, error) {
	switch f.Type {
	case events.SegmentObservedType:
		p, err := read[events.SegmentObserved](f)
		return one(p.Model, policy.SegmentObserved(p), p.Ordinal), err
	case events.AlertRaisedType:
		p, err := read[events.AlertRaised](f)
		return s.alert(p.Alert, policy.AlertRaised(p.Alert)), err
	case events.AlertResolvedType:
		p, err := read[events.AlertResolved](f)
		return s.alert(p.Alert, policy.AlertResolved(p.Alert)), err
	case events.RetrainAskedType:
		p, err := read[events.RetrainAsked](f)
		return one(p.Model, policy.RetrainAsked{RetrainAsked: p, FactID: f.ID}, 0), err
	case events.ModelPausedType:
		p, err := read[events.ModelPaused](f)
		return one(p.Model, policy.Paused(p), 0), err
	case events.ModelResumedType:
		p, err := read[events.ModelResumed](f)
		return one(p.Model, policy.Resumed{}, 0), err
	case events.CandidateFailedType:
		p, err := read[events.CandidateFailed](f)
		return one(p.Model, policy.CandidateFailed(p), 0), err
	case events.CandidateRejectedType:
		p, err := read[events.CandidateRejected](f)
		return one(p.Model, policy.CandidateRejected(p), 0), err
	case events.ModelReadyType:
		p, err := read[events.ModelReady](f)
		return one(p.Model, policy.ModelReady(p), 0), err
	case events.RolloutRolledBackType:
		// With a cycle it says that a candidate's rollout was void, and ends that cycle; without one a person rolled back, and
		// model.ready follows.
		p, err := read[events.RolloutRolledBack](f)
		if f.CycleID == "" {
			return nil, err
		}
		return one(p.Model, policy.RolloutRefused{Cycle: f.CycleID, Version: p.From, Reason: p.Reason}, 0), err
	case events.TimerFiredType:
		p, err := read[events.TimerFired](f)
		if p.Owner != Name {
			return nil, err
		}
		return one(p.Name, policy.TimerFired(p), 0), err
	case events.ResourceAppliedType:
		p, err := read[events.ResourceApplied](f)
		if err != nil {
			return nil, err
		}
		return s.applied(p)
	case events.ResourceDeletedType:
		p, err := read[events.ResourceDeleted](f)
		return s.deleted(p), err
	}
	return nil, nil
}

// read decodes a payload; one that can't be read will never be readable.
func read[T any](f events.Fact) (T, error) {
	p, err := events.PayloadOf[T](f)
	if err != nil {
		return p, bus.Terminal(err)
	}
	return p, nil
}

func one(model string, o policy.Observation, ordinal uint64) []aimed {
	return []aimed{{model: model, observation: o, ordinal: ordinal}}
}

// alert aims an alert at its model, or at every model of its dataset when it is about the data alone.
func (s *Service) alert(a events.Alert, o policy.Observation) []aimed {
	if a.Model != "" {
		return one(a.Model, o, a.Ordinal)
	}
	return s.modelsOf(a.Dataset, o)
}

func (s *Service) modelsOf(dataset string, o policy.Observation) []aimed {
	var out []aimed
	for _, m := range s.host.Catalog.ModelsOf(dataset) {
		out = append(out, aimed{model: m.Name(), observation: o})
	}
	return out
}

func (s *Service) applied(p events.ResourceApplied) ([]aimed, error) {
	r, err := resource.FromJSON(p.Resource)
	if err != nil {
		return nil, bus.Terminal(err)
	}
	switch p.Kind {
	case resource.KindModel:
		return one(p.Name, policy.ModelApplied{Revision: p.Revision, Spec: *r.Model}, 0), nil
	case resource.KindDataset:
		return s.modelsOf(p.Name, policy.DatasetApplied{}), nil
	}
	// A policy may move from one model to another: every model hears of it, and knows by the name whether it was its own.
	out := one(r.Policy.Model, policy.PolicyApplied{Name: p.Name, Revision: p.Revision, Spec: *r.Policy}, 0)
	for _, m := range s.host.Catalog.List(resource.KindModel) {
		if m.Name() != r.Policy.Model {
			out = append(out, aimed{model: m.Name(), observation: policy.PolicyApplied{Name: p.Name, Revision: p.Revision, Spec: *r.Policy}})
		}
	}
	return out, nil
}

func (s *Service) deleted(p events.ResourceDeleted) []aimed {
	switch p.Kind {
	case resource.KindModel:
		return one(p.Name, policy.ModelDeleted{}, 0)
	case resource.KindDataset:
		return s.modelsOf(p.Name, policy.DatasetDeleted{})
	}
	var out []aimed
	for _, m := range s.host.Catalog.List(resource.KindModel) {
		out = append(out, aimed{model: m.Name(), observation: policy.PolicyDeleted{Name: p.Name}})
	}
	return out
}
