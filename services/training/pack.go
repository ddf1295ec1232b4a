package training

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/recipe"
	"github.com/tidemill/tidemill/workers/runtime"
)

// making is what a version is packaged from.
type making struct {
	cycle   events.CycleRequested
	spec    *resource.ModelSpec
	ran     runtime.Spec // the trial as the worker was told of it
	trial   events.TrialFinished
	number  int64
	refitOf string // the version that was judged in this one's place
	at      time.Time
}

// pack stores a finished trial as a version. reason says why it can't be one. Nothing in the package depends on when or where this
// runs: a second try makes the same bytes.
func (s *Service) pack(ctx context.Context, m making) (v events.Version, reason string, err error) {
	files, err := s.files(ctx, m.trial)
	if err != nil {
		return v, "", fmt.Errorf("fetch the model of %s: %w", m.trial.Trial, err)
	}
	pkg, err := model.Build(m.manifest(), files, s.host.Keys)
	if err != nil {
		return v, err.Error(), nil
	}
	if err := pkg.Write(ctx, s.host.Blobs); err != nil {
		return v, "", fmt.Errorf("store the version: %w", err)
	}
	s.host.Crash(CrashPackaged)
	return pkg.Ref(), "", nil
}

// files are what a version is made of: an ONNX model, or the folders that its predict command needs, and what else the trainer left.
func (s *Service) files(ctx context.Context, t events.TrialFinished) (map[string][]byte, error) {
	from := map[string]*events.Blob{model.ModelFile: t.Package, model.ExtrasFile: t.Extras}
	if len(t.Command) > 0 {
		from[model.CodeFile] = t.Code
	}
	out := map[string][]byte{}
	for name, blob := range from {
		if blob == nil {
			continue
		}
		b, err := s.host.Blobs.Get(ctx, blob.Key)
		if err != nil {
			return nil, err
		}
		if events.SHA256(b) != blob.SHA256 {
			return nil, fmt.Errorf("%s is not what the worker stored", blob.Key)
		}
		out[name] = b
	}
	return out, nil
}

func (m making) manifest() model.Manifest {
	t := m.trial
	return model.Manifest{
		Model: m.cycle.Model, Version: strconv.FormatInt(m.number, 10), Dataset: m.spec.Dataset,
		Contract:   model.Contract{Task: m.spec.Task, Features: t.Features, Classes: t.Classes, Input: t.Input},
		FeatureSQL: m.spec.Features, LabelSQL: m.spec.Label,
		Predict:        runtime.PredictOf(m.ran, t.Command),
		Metrics:        model.Metrics{Validation: t.Validation},
		Lineage:        m.lineage(),
		TrainedThrough: m.trainedThrough(), TrainRows: t.TrainRows, ValidationRows: t.ValidationRows, CreatedAt: m.at,
	}
}

func (m making) lineage() model.Lineage {
	l := model.Lineage{Snapshot: m.cycle.Snapshot, Cycle: m.cycle.Cycle, Trial: m.trial.Trial, Candidate: m.ran.Candidate.Name,
		Trainer: m.ran.Candidate.Trainer, Params: m.ran.Hyperparameters(), Seed: m.ran.Seed, CodeDigest: m.trial.CodeDigest,
		Environment: m.trial.Environment, RefitOf: m.refitOf}
	if m.ran.WarmStart != nil {
		l.WarmStart = m.ran.WarmStart.Version
	}
	return l
}

// trainedThrough is the newest event time that the model may have seen. Of an import nobody may know: then it counts as one that
// saw no row of the hold-out, so that it can be judged at all.
func (m making) trainedThrough() time.Time {
	switch brought := m.ran.Import; {
	case brought == nil:
		return m.trial.TrainedThrough
	case !brought.TrainedThrough.IsZero():
		return brought.TrainedThrough
	}
	return recipe.LastSeen(m.ran.Train)
}
