package evaluation

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/state"
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
		b.Judged, b.Refit = p.Cycle, nil
		refits := s.refits(p)
		fact, err := s.says(f, p, versionOf(champion), verdict, refits)
		if refits && verdict.Approved {
			b.Refit = &refit{Trained: p, Champion: versionOf(champion), Verdict: verdict}
		}
		return b, []events.Fact{fact}, err
	})
	if err != nil {
		return fmt.Errorf("evaluation of %s: %w", p.Cycle, err)
	}
	return nil
}

// says is the fact that follows from a verdict. refits tells that an approved recipe is trained again before it is rolled out.
func (s *Service) says(cause events.Fact, p events.CandidateTrained, champion string, v events.Verdict, refits bool) (events.Fact, error) {
	t, payload := events.CandidateRejectedType, any(events.CandidateRejected{Version: p.Version, Cycle: p.Cycle, Champion: champion, Verdict: v})
	switch {
	case v.Approved && refits:
		t, payload = events.RefitRequestedType, events.RefitRequested{Version: p.Version, Cycle: p.Cycle, Champion: champion, Verdict: v,
			Candidate: p.Candidate, Trial: p.Trial}
	case v.Approved:
		t, payload = events.CandidateApprovedType, events.CandidateApproved{Version: p.Version, Cycle: p.Cycle, Champion: champion, Verdict: v}
	}
	f, err := events.NewFact(events.DeriveID(cause.ID, "judged"), t, Name, p.Model, s.host.Clock(), payload)
	return f.Caused(cause).InCycle(p.Cycle), err
}

// verdict scores the candidate and the champion on the test rows of the candidate's snapshot that are later than everything that
// either has seen, and evaluates the gates.
func (s *Service) verdict(ctx context.Context, p events.CandidateTrained, champion *events.Version) (events.Verdict, error) {
	ask, reason := s.ask(p)
	if reason != "" {
		return refused("%s", reason), nil
	}
	if champion != nil {
		ask.in.From = after(ask.in.From, champion.TrainedThrough)
	}
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
	return evaluation.Evaluate(candidate.Scored, other, ask.model.Evaluation.Gates,
		evaluation.Options{Seed: uint64(ask.model.Seed), MinRows: int(ask.model.Evaluation.MinRows)})
}
