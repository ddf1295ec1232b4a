// Package evaluation judges candidates: it scores each on held-out rows that no compared version has seen, beside the champion,
// and lets the model's gates decide.
//
// It hears candidate.trained, candidate.refitted and model.ready (so that it knows the champion). It says candidate.approved or
// candidate.rejected with the verdict; of a model that refits, refit.requested first. Its state is one document per model in the
// bucket "evaluation".
package evaluation

import (
	"context"
	"fmt"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/decider"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/internal/rows"
	"github.com/tidemill/tidemill/services/internal/scoring"
)

// Name is the service's name.
const Name = "evaluation"

// CrashJudged is the point after the scoring, before the verdict is decided.
const CrashJudged = "evaluation.judged"

// bench is what evaluation knows of one model.
type bench struct {
	Champion *events.Version `json:"champion,omitempty"`
	Judged   string          `json:"judged,omitempty"` // the last cycle that got its verdict
	Refit    *refit          `json:"refit,omitempty"`  // an approved version whose recipe is being trained again
}

// Service judges.
type Service struct {
	host     *host.Host
	docs     *state.Store[bench]
	data     *rows.Data
	versions *scoring.Versions
}

// New makes the service; it decides while it runs and holds its lease.
func New(ctx context.Context, h *host.Host) (lifecycle.Component, error) {
	docs, err := host.State[bench](ctx, h, events.BucketEvaluation)
	if err != nil {
		return nil, fmt.Errorf("start evaluation: %w", err)
	}
	s := &Service{host: h, docs: docs, data: rows.New(h.Engine, h.Blobs), versions: scoring.New(h)}
	d := decider.New(h, decider.Spec{
		Name:   Name,
		Hears:  []events.Type{events.CandidateTrainedType, events.CandidateRefittedType, events.ModelReadyType, events.ResourceDeletedType},
		Handle: s.handle,
		Outbox: docs,
	})
	return lifecycle.Func(func(ctx context.Context, ready func()) error {
		defer s.versions.Close()
		return d.Run(ctx, ready)
	}), nil
}

func (s *Service) handle(ctx context.Context, f events.Fact) error {
	switch f.Type {
	case events.CandidateTrainedType:
		p, err := events.PayloadOf[events.CandidateTrained](f)
		if err != nil {
			return bus.Terminal(err)
		}
		return s.judge(ctx, f, p)
	case events.CandidateRefittedType:
		p, err := events.PayloadOf[events.CandidateRefitted](f)
		if err != nil {
			return bus.Terminal(err)
		}
		return s.refitted(ctx, f, p)
	case events.ModelReadyType:
		p, err := events.PayloadOf[events.ModelReady](f)
		if err != nil {
			return bus.Terminal(err)
		}
		return s.note(ctx, f, p.Model, &p.Version)
	case events.ResourceDeletedType:
		p, err := events.PayloadOf[events.ResourceDeleted](f)
		if err != nil {
			return bus.Terminal(err)
		}
		if p.Kind == resource.KindModel {
			return s.note(ctx, f, p.Name, nil)
		}
	}
	return nil
}

// note remembers the champion.
func (s *Service) note(ctx context.Context, f events.Fact, model string, champion *events.Version) error {
	_, err := s.docs.Decide(ctx, model, f, s.host.Bus, func(b bench, _ bool) (bench, []events.Fact, error) {
		b.Champion = champion
		return b, nil, nil
	})
	if err != nil {
		return fmt.Errorf("evaluation of %s on %s: %w", model, f.Type.Short(), err)
	}
	return nil
}
