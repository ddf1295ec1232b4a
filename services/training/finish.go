package training

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/recipe"
	"github.com/tidemill/tidemill/workers/runtime"
)

// finish notes a trial's result. When it was the last of the cycle, the best one becomes a version.
func (s *Service) finish(ctx context.Context, f events.Fact, p events.TrialFinished) error {
	doc, err := s.docs.Get(ctx, p.Model)
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("training of %s: %w", p.Cycle, err)
	}
	var trained *events.CandidateTrained
	var reason string
	if !doc.Applied.Has(f.ID) {
		if next, last := noted(doc.Value, p); last {
			if trained, reason, err = s.conclude(ctx, f, next); err != nil {
				return fmt.Errorf("conclude %s: %w", p.Cycle, err)
			}
		}
	}
	_, err = s.docs.Decide(ctx, p.Model, f, s.host.Bus, func(b book, _ bool) (book, []events.Fact, error) {
		if b.Versions != doc.Value.Versions {
			return b, nil, fmt.Errorf("another instance trains %s at the same time", p.Model)
		}
		b, last := noted(b, p)
		if !last {
			return b, nil, nil
		}
		b.Cycle = nil
		if trained == nil {
			fact, err := s.failed(f, p.Cycle, p.Model, reason)
			return b, []events.Fact{fact}, err
		}
		b.Versions++
		fact, err := events.NewFact(events.DeriveID(f.ID, "trained"), events.CandidateTrainedType, Name, p.Model, s.host.Clock(), *trained)
		return b, []events.Fact{fact.Caused(f).InCycle(p.Cycle)}, err
	})
	if err != nil {
		return fmt.Errorf("training of %s on %s: %w", p.Cycle, f.Type.Short(), err)
	}
	return nil
}

// noted puts a result into the book; last tells whether it was the one that was still missing. A result of another cycle, or a
// second one, changes nothing.
func noted(b book, p events.TrialFinished) (_ book, last bool) {
	if b.Cycle == nil || b.Cycle.Cycle != p.Cycle {
		return b, false
	}
	c := *b.Cycle
	c.Trials = slices.Clone(c.Trials)
	b.Cycle = &c
	changed := false
	for i := range c.Trials {
		if c.Trials[i].ID == p.Trial && c.Trials[i].Finished == nil {
			c.Trials[i].Finished = &p
			changed = true
		}
	}
	return b, changed && !slices.ContainsFunc(c.Trials, func(t trial) bool { return t.Finished == nil })
}

// conclude packages the best trial, or says why none is usable.
func (s *Service) conclude(ctx context.Context, f events.Fact, b book) (*events.CandidateTrained, string, error) {
	c := b.Cycle
	m, ok := s.host.Catalog.At(resource.KindModel, c.Model, c.ModelRevision)
	if !ok {
		return nil, fmt.Sprintf("revision %d of the model %s is not known", c.ModelRevision, c.Model), nil
	}
	best, reason, err := pick(c.Trials, m.Model)
	if err != nil || best == nil {
		return nil, reason, err
	}
	ran, reason := s.ran(c, m.Model, best)
	if reason != "" {
		return nil, reason, nil
	}
	version, reason, err := s.pack(ctx, making{cycle: c.CycleRequested, spec: m.Model, ran: ran, trial: *best, number: b.Versions + 1, at: f.Time})
	if err != nil || reason != "" {
		return nil, reason, err
	}
	return &events.CandidateTrained{Version: version, Cycle: c.Cycle, Candidate: best.Candidate, Trial: best.Trial,
		Validation: best.Validation, Data: c.Snapshot, ModelRevision: c.ModelRevision}, "", nil
}

// ran is the trial as its worker was told of it.
func (s *Service) ran(c *cycle, spec *resource.ModelSpec, t *events.TrialFinished) (_ runtime.Spec, reason string) {
	base, err := recipe.Base(s.host.Catalog, c.CycleRequested)
	if err != nil {
		return runtime.Spec{}, err.Error()
	}
	for _, x := range spec.Candidates {
		if x.Name == t.Candidate {
			return recipe.Trial(base, x, t.Params, 1), ""
		}
	}
	return runtime.Spec{}, "the candidate " + t.Candidate + " is not known"
}

// pick chooses the trial with the best primary metric on validation rows; of equals the first declared. A trial whose metric is
// undefined (one class among the validation rows, say) is better than none.
func pick(trials []trial, spec *resource.ModelSpec) (*events.TrialFinished, string, error) {
	primary, err := evaluation.Lookup(spec.Evaluation.Primary, spec.Task)
	if err != nil {
		return nil, "", err
	}
	var best *events.TrialFinished
	var reasons []string
	for _, t := range trials {
		switch {
		case !t.Finished.Succeeded:
			reasons = append(reasons, t.Candidate+": "+t.Finished.Reason)
		case best == nil || better(primary, t.Finished.Validation, best.Validation):
			best = t.Finished
		}
	}
	return best, strings.Join(reasons, "; "), nil
}

func better(primary evaluation.Metric, a, b map[string]float64) bool {
	x, okX := a[primary.Name]
	y, okY := b[primary.Name]
	if !okX || math.IsNaN(x) {
		return false
	}
	return !okY || math.IsNaN(y) || primary.Better(x, y)
}

func (s *Service) failed(cause events.Fact, cycle, model, reason string) (events.Fact, error) {
	fact, err := events.NewFact(events.DeriveID(cause.ID, "failed"), events.CandidateFailedType, Name, model, s.host.Clock(),
		events.CandidateFailed{Cycle: cycle, Model: model, Reason: reason})
	return fact.Caused(cause).InCycle(cycle), err
}
