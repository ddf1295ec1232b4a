package training

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/state"
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
	onnx, err := s.host.Blobs.Get(ctx, best.Package.Key)
	if err != nil {
		return nil, "", fmt.Errorf("fetch the model of %s: %w", best.Trial, err)
	}
	// Nothing in the manifest depends on when or where this runs: a second try makes the same bytes.
	pkg, err := model.Build(manifest(c, m.Model, best, strconv.FormatInt(b.Versions+1, 10), f), map[string][]byte{model.ModelFile: onnx}, s.host.Keys)
	if err != nil {
		return nil, err.Error(), nil
	}
	if err := pkg.Write(ctx, s.host.Blobs); err != nil {
		return nil, "", fmt.Errorf("store the version: %w", err)
	}
	s.host.Crash(CrashPackaged)
	return &events.CandidateTrained{Version: pkg.Ref(), Cycle: c.Cycle, Candidate: best.Candidate, Trial: best.Trial,
		Validation: best.Validation, Data: c.Snapshot, ModelRevision: c.ModelRevision}, "", nil
}

func manifest(c *cycle, spec *resource.ModelSpec, best *events.TrialFinished, version string, f events.Fact) model.Manifest {
	candidate := resource.Candidate{}
	for _, x := range spec.Candidates {
		if x.Name == best.Candidate {
			candidate = x
		}
	}
	return model.Manifest{
		Model: c.Model, Version: version, Dataset: spec.Dataset,
		Contract:   model.Contract{Task: spec.Task, Features: best.Features, Classes: best.Classes, Input: best.Input},
		FeatureSQL: spec.Features, LabelSQL: spec.Label,
		Metrics: model.Metrics{Validation: best.Validation},
		Lineage: model.Lineage{Snapshot: c.Snapshot, Cycle: c.Cycle, Trial: best.Trial, Candidate: best.Candidate, Trainer: candidate.Trainer,
			Params: candidate.Params, Seed: spec.Seed, CodeDigest: best.CodeDigest, Environment: best.Environment},
		TrainedThrough: best.TrainedThrough, TrainRows: best.TrainRows, ValidationRows: best.ValidationRows, CreatedAt: f.Time,
	}
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
