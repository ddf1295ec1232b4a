package training

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/services/internal/rows"
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
	m, ok := s.host.Catalog.At(resource.KindModel, p.Model, p.ModelRevision)
	if !ok {
		return nil, fmt.Sprintf("revision %d of the model %s is not known", p.ModelRevision, p.Model), nil
	}
	dataset, ok := s.host.Catalog.Dataset(m.Model.Dataset)
	if !ok {
		return nil, "the dataset " + m.Model.Dataset + " is not declared", nil
	}
	accepted := s.host.Catalog.Segments(p.Snapshot.Dataset, p.Snapshot.Through)
	plan, err := rows.Plan(accepted, p.Snapshot.Window, m.Model.Split)
	if err != nil {
		return nil, err.Error(), nil
	}
	base := runtime.Spec{Cycle: p.Cycle, Model: p.Model, Dataset: dataset.Name(), Task: m.Model.Task, Seed: m.Model.Seed,
		Columns: dataset.Dataset.Columns, Features: m.Model.Features, Label: m.Model.Label,
		Segments: rows.Segments(accepted, plan.Train, plan.Validation, plan.Test),
		Train:    rows.Range(plan.Train), LastRows: plan.Train.Range.Newest, Validation: rows.Range(plan.Validation), Test: rows.Range(plan.Test),
		Cause: runtime.Cause{ID: f.ID, Seq: f.Seq, TraceParent: f.TraceParent}}
	if p.Snapshot.Window.Segments > 0 && len(plan.Train.Parts) > 0 {
		base.TrainSince = plan.Train.Parts[0].Ordinal
	}
	for _, candidate := range m.Model.Candidates {
		spec := base
		spec.Trial, spec.Candidate = fmt.Sprintf("%s-%s-1", p.Cycle, candidate.Name), candidate
		if candidate.Source != "" {
			if spec.Code, reason, err = s.pack(ctx, candidate); err != nil || reason != "" {
				return nil, reason, err
			}
		}
		specs = append(specs, spec)
	}
	return specs, "", nil
}

// pack stores the candidate's source folder as it is now. A folder that can't be packed fails the cycle, not the service.
func (s *Service) pack(ctx context.Context, candidate resource.Candidate) (blob *events.Blob, reason string, err error) {
	archive, err := runtime.PackSource(candidate.Source)
	if err != nil {
		return nil, fmt.Sprintf("the source of candidate %s can't be packed: %v", candidate.Name, err), nil
	}
	stored, err := s.host.Blobs.PutBytes(ctx, "code/"+events.SHA256(archive)+".tar.gz", archive)
	if err != nil {
		return nil, "", fmt.Errorf("store the source of candidate %s: %w", candidate.Name, err)
	}
	return &stored, "", nil
}
