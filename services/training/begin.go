package training

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/services/internal/recipe"
	"github.com/tidemill/tidemill/workers/runtime"
)

// begin plans the cycle's trials, remembers them and hands them to the workers. A cycle that can't be trained fails with the
// reason.
func (s *Service) begin(ctx context.Context, f events.Fact, p events.CycleRequested) error {
	specs, reason, err := s.plan(ctx, f, p)
	if err != nil {
		return fmt.Errorf("plan trials of %s: %w", p.Cycle, err)
	}
	doc, err := s.docs.Decide(ctx, p.Model, f, s.host.Bus, func(b book, _ bool) (book, []events.Fact, error) {
		if reason != "" {
			b.Cycle = nil
			fact, err := s.failed(f, p.Cycle, p.Model, reason)
			return b, []events.Fact{fact}, err
		}
		b.Cycle = &cycle{CycleRequested: p}
		for _, spec := range specs {
			b.Cycle.Trials = append(b.Cycle.Trials, trial{ID: spec.Trial, Candidate: spec.Candidate.Name})
		}
		return b, nil, nil
	})
	if err != nil {
		return fmt.Errorf("training of %s: %w", p.Cycle, err)
	}
	if c := doc.Value.Cycle; c == nil || c.Cycle != p.Cycle || c.Published {
		return nil
	}
	for _, spec := range specs {
		if err := s.publish(ctx, spec); err != nil {
			return err
		}
	}
	s.host.Crash(CrashPublished)
	// Published twice is harmless: the queue knows the job's id, and an attempt of a finished trial gives its stored result.
	doc.Value.Cycle.Published = true
	if _, err := s.docs.Update(ctx, doc); err != nil {
		return fmt.Errorf("training of %s: %w", p.Cycle, err)
	}
	return nil
}

func (s *Service) publish(ctx context.Context, spec runtime.Spec) error {
	body, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encode trial %s: %w", spec.Trial, err)
	}
	pool := spec.Candidate.Pool
	if err := s.queue.Publish(ctx, jobs.Job{ID: spec.Trial, Kind: runtime.JobKind, Pool: pool, Payload: body}); err != nil {
		return fmt.Errorf("queue trial %s: %w", spec.Trial, err)
	}
	return nil
}

// plan makes one trial per candidate of the model as it was declared when the cycle was requested. reason says why there can be
// none.
func (s *Service) plan(ctx context.Context, f events.Fact, p events.CycleRequested) (specs []runtime.Spec, reason string, err error) {
	m, err := recipe.Model(s.host.Catalog, p)
	if err != nil {
		return nil, err.Error(), nil
	}
	base, err := recipe.Base(s.host.Catalog, p)
	if err != nil {
		return nil, err.Error(), nil
	}
	base.Cause = runtime.Cause{ID: f.ID, Seq: f.Seq, TraceParent: f.TraceParent}
	for _, candidate := range m.Candidates {
		if candidate.Code, err = recipe.Code(ctx, s.host.Blobs, candidate); err != nil {
			if reason := recipe.Impossibility(err); reason != "" {
				return nil, reason, nil
			}
			return nil, "", err
		}
		specs = append(specs, recipe.Trial(base, candidate, nil, 1))
	}
	return specs, "", nil
}
