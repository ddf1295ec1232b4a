package training

import (
	"context"
	"fmt"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/recipe"
	"github.com/tidemill/tidemill/workers/runtime"
)

// begin plans the cycle's trials, remembers them and releases the first. A cycle that can't be trained fails with the reason.
func (s *Service) begin(ctx context.Context, f events.Fact, p events.CycleRequested) error {
	planned := &cycle{CycleRequested: p, Cause: causeOf(f)}
	reason := ""
	var err error
	if planned.Studies, err = s.plan(ctx, p); err != nil {
		if reason = recipe.Impossibility(err); reason == "" {
			return fmt.Errorf("plan trials of %s: %w", p.Cycle, err)
		}
	} else if !fits(planned, generation{}) {
		reason = "the cycle begins with more trials than training can keep track of: set search.parallel, or lower search.trials"
	}
	doc, err := s.docs.Decide(ctx, p.Model, f, s.host.Bus, func(b book, _ bool) (book, []events.Fact, error) {
		b.Cycle = planned
		if reason != "" {
			return s.fail(b, f, reason)
		}
		return b, nil, nil
	})
	s.backlog.put(doc)
	if err != nil {
		return fmt.Errorf("training of %s: %w", p.Cycle, err)
	}
	s.dispatch(ctx)
	return nil
}

// plan makes one study per candidate of the model as it was declared when the cycle was requested. The error is a
// recipe.Impossible when there can be none.
func (s *Service) plan(ctx context.Context, p events.CycleRequested) ([]study, error) {
	m, err := recipe.Model(s.host.Catalog, p)
	if err != nil {
		return nil, err
	}
	base, err := recipe.Base(s.host.Catalog, p)
	if err != nil {
		return nil, err
	}
	if p.Import != nil {
		spec := recipe.Import(base, *p.Import, m.Candidates[0].Pool)
		return []study{{Candidate: spec.Candidate.Name, Pool: spec.Candidate.Pool, Trials: []trial{{}}}}, nil
	}
	var out []study
	for _, candidate := range m.Candidates {
		code, err := recipe.Code(ctx, s.host.Blobs, candidate)
		if err != nil {
			return nil, err
		}
		g, err := first(m, p.Cycle, candidate)
		if err != nil {
			return nil, &recipe.Impossible{Reason: fmt.Sprintf("candidate %s: %v", candidate.Name, err)}
		}
		out = append(out, study{Candidate: candidate.Name, Pool: candidate.Pool, Code: code, Stop: g.stop, Trials: g.trials})
	}
	return out, nil
}

// spec is a trial of the cycle as its worker is told of it, on the rows of base.
func (c *cycle) spec(base runtime.Spec, m *resource.ModelSpec, at place) (runtime.Spec, error) {
	if c.Import != nil {
		spec := recipe.Import(base, *c.Import, m.Candidates[0].Pool)
		spec.Cause = c.Cause
		return spec, nil
	}
	st := study{}
	if at.study >= 0 {
		st = c.Studies[at.study]
	} else {
		st.Candidate, st.Code = c.Winner.Candidate, c.Winner.Code
	}
	candidate, ok := candidateOf(m, st.Candidate)
	if !ok {
		return runtime.Spec{}, &recipe.Impossible{Reason: "the model has no candidate " + st.Candidate}
	}
	candidate.Code = st.Code
	if at.study < 0 {
		base.Cause = c.Refit.Cause
		return recipe.Refit(base, candidate, c.Winner.Params, base.Reported), nil
	}
	base.Cause, base.Stop = c.Cause, st.Stop
	return recipe.Trial(base, candidate, c.at(at).Params, at.trial+1), nil
}

func causeOf(f events.Fact) runtime.Cause {
	return runtime.Cause{ID: f.ID, Seq: f.Seq, TraceParent: f.TraceParent}
}
