package evaluation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/rows"
)

// refit is a version that passed its gates and waits for its recipe to be trained again on all rows.
type refit struct {
	Trained  events.CandidateTrained `json:"trained"`
	Champion string                  `json:"champion,omitempty"`
	Verdict  events.Verdict          `json:"verdict"`
}

// refits tells whether the model wants that. An imported model has no recipe.
func (s *Service) refits(p events.CandidateTrained) bool {
	m, ok := s.host.Catalog.At(resource.KindModel, p.Model, p.ModelRevision)
	return ok && m.Model.Refit && p.Candidate != events.ImportedCandidate
}

func versionOf(v *events.Version) string {
	if v == nil {
		return ""
	}
	return v.Version
}

// refitted approves the refitted version, or, when there is none or it isn't like the judged one, the judged one.
func (s *Service) refitted(ctx context.Context, f events.Fact, p events.CandidateRefitted) error {
	doc, err := s.docs.Get(ctx, p.Model)
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("evaluation of %s: %w", p.Cycle, err)
	}
	wanted := doc.Value.Refit
	var approved events.CandidateApproved
	if !doc.Applied.Has(f.ID) && wanted.is(p) {
		if approved, err = s.choose(ctx, *wanted, p); err != nil {
			return fmt.Errorf("judge the refit of version %s of %s: %w", p.Judged.Version, p.Model, err)
		}
	}
	s.host.Crash(CrashJudged)
	_, err = s.docs.Decide(ctx, p.Model, f, s.host.Bus, func(b bench, _ bool) (bench, []events.Fact, error) {
		if !b.Refit.is(p) {
			return b, nil, nil
		}
		b.Refit = nil
		fact, err := events.NewFact(events.DeriveID(f.ID, "judged"), events.CandidateApprovedType, Name, p.Model, s.host.Clock(), approved)
		return b, []events.Fact{fact.Caused(f).InCycle(p.Cycle)}, err
	})
	if err != nil {
		return fmt.Errorf("evaluation of %s: %w", p.Cycle, err)
	}
	return nil
}

// is tells whether a refit is the answer that is waited for.
func (r *refit) is(p events.CandidateRefitted) bool {
	return r != nil && r.Trained.Cycle == p.Cycle && r.Trained.Version.Version == p.Judged.Version
}

// choose compares both versions on the rows that judged, and approves one of them.
func (s *Service) choose(ctx context.Context, r refit, p events.CandidateRefitted) (events.CandidateApproved, error) {
	out := events.CandidateApproved{Version: r.Trained.Version, Cycle: r.Trained.Cycle, Champion: r.Champion, Verdict: r.Verdict}
	keep := func(why string) events.CandidateApproved {
		out.Verdict.Reason += fmt.Sprintf("; it is not trained again on all rows: %s", why)
		return out
	}
	if p.Refitted == nil {
		return keep(p.Reason), nil
	}
	gates, ok, reason, err := s.compare(ctx, r.Trained, *p.Refitted)
	if err != nil {
		return out, err
	}
	out.Verdict.Gates = append(out.Verdict.Gates, gates...)
	if !ok {
		return keep(reason), nil
	}
	out.Version, out.Judged = *p.Refitted, r.Trained.Version.Version
	out.Verdict.Reason += fmt.Sprintf("; version %s is the same recipe trained through %s", p.Refitted.Version, p.Refitted.TrainedThrough.UTC().Format(time.RFC3339))
	return out, nil
}

func (s *Service) compare(ctx context.Context, p events.CandidateTrained, again events.Version) (gates []events.GateResult, ok bool, reason string, err error) {
	ask, reason := s.ask(p)
	if reason != "" {
		return nil, false, reason, nil
	}
	judged, judgedBytes, err := s.answers(ctx, p.Version, ask)
	if why, broken := whyBroken(err); broken {
		return nil, false, "the judged version can't be scored any more: " + why, nil
	}
	if err != nil {
		return nil, false, "", err
	}
	refitted, bytes, err := s.answers(ctx, again, ask)
	if why, broken := whyBroken(err); broken {
		return nil, false, "the refitted version can't be scored: " + why, nil
	}
	if err != nil {
		return nil, false, "", err
	}
	gates, ok, reason = evaluation.Refit(judged, refitted, judgedBytes, bytes)
	return gates, ok, reason, nil
}

// ask is the test rows of a candidate that it has not seen; reason says why there can be none.
func (s *Service) ask(p events.CandidateTrained) (q question, reason string) {
	m, ok := s.host.Catalog.At(resource.KindModel, p.Model, p.ModelRevision)
	if !ok {
		return q, fmt.Sprintf("revision %d of the model is not known", p.ModelRevision)
	}
	dataset, ok := s.host.Catalog.Dataset(m.Model.Dataset)
	if !ok {
		return q, fmt.Sprintf("the dataset %s is not declared any more", m.Model.Dataset)
	}
	accepted := s.host.Catalog.Segments(p.Data.Dataset, p.Data.Through)
	plan, err := rows.Plan(accepted, p.Data.Window, m.Model.Split)
	if err != nil {
		return q, err.Error()
	}
	in := rows.Range(plan.Test)
	in.From = after(in.From, p.TrainedThrough)
	return question{model: m.Model, dataset: dataset, segments: rows.Segments(accepted, plan.Test), label: m.Model.Label, in: in}, ""
}
