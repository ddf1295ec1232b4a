package evaluation

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/rows"
)

// judge gives a candidate its verdict.
func (s *Service) judge(ctx context.Context, f events.Fact, p events.CandidateTrained) error {
	doc, err := s.docs.Get(ctx, p.Model)
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return fmt.Errorf("evaluation of %s: %w", p.Cycle, err)
	}
	var verdict events.Verdict
	champion := doc.Value.Champion
	if !doc.Applied.Has(f.ID) {
		if verdict, err = s.verdict(ctx, p, champion); err != nil {
			return fmt.Errorf("judge version %s of %s: %w", p.Version.Version, p.Model, err)
		}
	}
	s.host.Crash(CrashJudged)
	_, err = s.docs.Decide(ctx, p.Model, f, s.host.Bus, func(b bench, _ bool) (bench, []events.Fact, error) {
		b.Judged = p.Cycle
		fact, err := s.says(f, p, champion, verdict)
		return b, []events.Fact{fact}, err
	})
	if err != nil {
		return fmt.Errorf("evaluation of %s: %w", p.Cycle, err)
	}
	return nil
}

func (s *Service) says(cause events.Fact, p events.CandidateTrained, champion *events.Version, v events.Verdict) (events.Fact, error) {
	name := ""
	if champion != nil {
		name = champion.Version
	}
	t, payload := events.CandidateRejectedType, any(events.CandidateRejected{Version: p.Version, Cycle: p.Cycle, Champion: name, Verdict: v})
	if v.Approved {
		t, payload = events.CandidateApprovedType, events.CandidateApproved{Version: p.Version, Cycle: p.Cycle, Champion: name, Verdict: v}
	}
	f, err := events.NewFact(events.DeriveID(cause.ID, "judged"), t, Name, p.Model, s.host.Clock(), payload)
	return f.Caused(cause).InCycle(p.Cycle), err
}

// verdict scores the candidate and the champion on the test rows of the candidate's snapshot that are later than everything that
// either has seen, and evaluates the gates.
func (s *Service) verdict(ctx context.Context, p events.CandidateTrained, champion *events.Version) (events.Verdict, error) {
	m, ok := s.host.Catalog.At(resource.KindModel, p.Model, p.ModelRevision)
	if !ok {
		return refused("revision %d of the model is not known", p.ModelRevision), nil
	}
	dataset, ok := s.host.Catalog.Dataset(m.Model.Dataset)
	if !ok {
		return refused("the dataset %s is not declared any more", m.Model.Dataset), nil
	}
	accepted := s.host.Catalog.Segments(p.Data.Dataset, p.Data.Through)
	plan, err := rows.Plan(accepted, p.Data.Window, m.Model.Split)
	if err != nil {
		return refused("%v", err), nil
	}
	in := rows.Range(plan.Test)
	in.From = after(in.From, p.TrainedThrough)
	if champion != nil {
		in.From = after(in.From, champion.TrainedThrough)
	}
	ask := question{dataset: dataset, segments: rows.Segments(accepted, plan.Test), label: m.Model.Label, in: in}
	candidate, err := s.score(ctx, p.Version, ask)
	if reason, broken := whyBroken(err); broken {
		return refused("the candidate can't be judged: %s", reason), nil
	}
	if err != nil {
		return events.Verdict{}, err
	}
	var other *evaluation.Scored
	if champion != nil {
		scored, err := s.score(ctx, *champion, ask)
		if reason, broken := whyBroken(err); broken {
			return refused("the champion, version %s, can't be scored on the rows that judge: %s", champion.Version, reason), nil
		}
		if err != nil {
			return events.Verdict{}, err
		}
		candidate, other = aligned(candidate, scored)
	}
	return evaluation.Evaluate(candidate.Scored, other, m.Model.Evaluation.Gates,
		evaluation.Options{Seed: uint64(m.Model.Seed), MinRows: int(m.Model.Evaluation.MinRows)})
}
