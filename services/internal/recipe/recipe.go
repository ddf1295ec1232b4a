// Package recipe plans trials: what a cycle's trials have in common, and how one of them becomes what a worker is told. The
// training service plans by it, and so does whoever wants to see, repeat or compare what a trainer gets.
//
// It is a function of the catalog and of the request alone: the same cycle is planned alike at any time and anywhere.
package recipe

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/catalog"
	"github.com/tidemill/tidemill/services/internal/rows"
	"github.com/tidemill/tidemill/workers/runtime"
)

// Impossible says, for a person, why there can be no trial. Trying again does not help.
type Impossible struct{ Reason string }

func (e *Impossible) Error() string { return e.Reason }

// Impossibility is the reason of an [Impossible] in err, "" when there is none.
func Impossibility(err error) string {
	var e *Impossible
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

func impossible(format string, args ...any) error {
	return &Impossible{Reason: fmt.Sprintf(format, args...)}
}

// Model is the model as it was declared when the cycle was requested. The error is an [Impossible].
func Model(c *catalog.Catalog, p events.CycleRequested) (*resource.ModelSpec, error) {
	m, ok := c.At(resource.KindModel, p.Model, p.ModelRevision)
	if !ok {
		return nil, impossible("revision %d of the model %s is not known", p.ModelRevision, p.Model)
	}
	return m.Model, nil
}

// Base is what all trials of a cycle have in common. Of the request it reads the cycle, the model and its revision, the
// snapshot, the champion and whether to begin from it. The error is an [Impossible].
func Base(c *catalog.Catalog, p events.CycleRequested) (runtime.Spec, error) {
	return base(c, p, rows.Plan)
}

// RefitBase is Base for the recipe that passed its gates, trained again on all rows: the window selects among the rows of the
// hold-out, too, so that a sliding one ends at the newest row. Rows that once judged the recipe are shown to the trainer as
// validation rows, inside of those that it trains on; no rows are held out.
func RefitBase(c *catalog.Catalog, p events.CycleRequested) (runtime.Spec, error) {
	return base(c, p, func(accepted []events.SegmentAccepted, w events.Window, split resource.Split) (lake.Plan, error) {
		judged, err := rows.Plan(accepted, w, split)
		if err != nil {
			return lake.Plan{}, err
		}
		plan, err := rows.Plan(accepted, w, resource.Split{By: split.By})
		if plan.Validation = judged.Test; len(judged.Test.Parts) == 0 {
			plan.Validation = judged.Validation
		}
		return plan, err
	})
}

type planner func(accepted []events.SegmentAccepted, w events.Window, split resource.Split) (lake.Plan, error)

func base(c *catalog.Catalog, p events.CycleRequested, split planner) (runtime.Spec, error) {
	m, err := Model(c, p)
	if err != nil {
		return runtime.Spec{}, err
	}
	dataset, ok := c.Dataset(m.Dataset)
	if !ok {
		return runtime.Spec{}, impossible("the dataset %s is not declared", m.Dataset)
	}
	accepted := c.Segments(p.Snapshot.Dataset, p.Snapshot.Through)
	w := p.Snapshot.Window
	plan, err := split(accepted, w, m.Split)
	if err != nil {
		return runtime.Spec{}, impossible("%v", err)
	}
	out := runtime.Spec{Cycle: p.Cycle, Model: p.Model, Dataset: dataset.Name(), Task: m.Task, Seed: m.Seed,
		Columns: dataset.Dataset.Columns, Features: m.Features, Label: m.Label,
		Segments: rows.Segments(accepted, plan.Train, plan.Validation, plan.Test),
		Train:    rows.Range(plan.Train), LastRows: plan.Train.Range.Newest,
		Validation: rows.Range(plan.Validation), Test: rows.Range(plan.Test),
		Sample: w.Sample, Method: w.Method, Weight: m.Weight, ClassWeights: m.ClassWeights}
	if w.Segments > 0 && len(plan.Train.Parts) > 0 {
		out.TrainSince = plan.Train.Parts[0].Ordinal
	}
	if champion, ok := c.Version(p.Model, p.Champion); ok && p.WarmStart {
		out.WarmStart = &champion
	}
	return out, nil
}

// TrialID names the number-th trial of a candidate in a cycle, from 1.
func TrialID(cycle, candidate string, number int) string {
	return TrialPrefix(cycle, candidate) + strconv.Itoa(number)
}

// TrialPrefix is what the names of a candidate's trials begin with.
func TrialPrefix(cycle, candidate string) string { return cycle + "-" + candidate + "-" }

// RefitID names the trial that trains a candidate's recipe again.
func RefitID(cycle, candidate string) string { return TrialPrefix(cycle, candidate) + "refit" }

// Trial is the number-th trial of a candidate. Params are those that a search chose; they beat the candidate's. The candidate's
// code is the one that was packed when the model was applied; [Code] packs one that was not.
func Trial(base runtime.Spec, candidate resource.Candidate, params map[string]any, number int) runtime.Spec {
	base.Trial, base.Candidate, base.Params, base.Code = TrialID(base.Cycle, candidate.Name, number), candidate, params, candidate.Code
	return base
}

// Refit is the trial that trains the recipe of a judged trial again, on a [RefitBase].
func Refit(base runtime.Spec, candidate resource.Candidate, params map[string]any, reported map[string]float64) runtime.Spec {
	base = Trial(base, candidate, params, 0)
	base.Trial, base.Refit, base.Reported = RefitID(base.Cycle, candidate.Name), true, reported
	return base
}

// Import is the trial that takes a person's model instead of training one, on a worker of a pool that the model's trials go to.
func Import(base runtime.Spec, brought events.Import, pool string) runtime.Spec {
	base = Trial(base, resource.Candidate{Name: events.ImportedCandidate, Trainer: runtime.TrainerImport, Pool: pool}, nil, 1)
	base.Import, base.WarmStart = &brought, nil
	return base
}

// LastSeen is the latest event time that a range can hold: timestamps have microseconds.
func LastSeen(r runtime.Range) time.Time { return r.To.Add(-time.Microsecond) }
