package training

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/recipe"
)

// errTwo says that somebody else decides on the same model. The lease makes that rare; trying again finds out who counts.
var errTwo = errors.New("another instance trains the model at the same time")

// step is what follows from the results of a cycle: more trials, or its end.
type step struct {
	more    map[int]generation // by study
	trained *events.CandidateTrained
	winner  winner
	reason  string // why there is no version
}

// finish notes a trial's result. Searches go on when their generation is over; when no study has anything left to try, the best
// trial becomes a version.
func (s *Service) finish(ctx context.Context, f events.Fact, p events.TrialFinished) error {
	doc, err := s.docs.Get(ctx, p.Model)
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("training of %s: %w", p.Cycle, err)
	}
	if c := doc.Value.Cycle; c != nil && c.Cycle == p.Cycle && c.Refit != nil && c.refitID() == p.Trial {
		return s.refitted(ctx, doc, f, p)
	}
	var next step
	if !doc.Applied.Has(f.ID) {
		if b, news := s.noted(doc.Value, f, p); news {
			if next, err = s.advance(ctx, f, p, b); err != nil {
				return fmt.Errorf("training of %s after %s: %w", p.Cycle, p.Trial, err)
			}
		}
	}
	doc, err = s.docs.Decide(ctx, p.Model, f, s.host.Bus, func(b book, _ bool) (book, []events.Fact, error) {
		if !alike(b, doc.Value) {
			return b, nil, errTwo
		}
		b, news := s.noted(b, f, p)
		if !news {
			return b, nil, state.ErrUnchanged
		}
		return s.apply(b, f, next)
	})
	s.backlog.put(doc)
	if err != nil {
		return fmt.Errorf("training of %s on %s: %w", p.Cycle, f.Type.Short(), err)
	}
	s.wake()
	return nil
}

// alike tells whether two readings of a book hold the same results, whatever was released meanwhile.
func alike(a, b book) bool {
	if a.Versions != b.Versions || (a.Cycle == nil) != (b.Cycle == nil) {
		return false
	}
	return a.Cycle == nil || a.Cycle.Cycle == b.Cycle.Cycle && a.Cycle.results() == b.Cycle.results()
}

// results counts the trials that were planned and those that have a result.
func (c *cycle) results() [2]int {
	var n [2]int
	for _, st := range c.Studies {
		for _, t := range st.Trials {
			n[0]++
			if t.Finished != nil {
				n[1]++
			}
		}
	}
	return n
}

// noted puts a result into a copy of the book; news tells whether there was one to put. A result of another cycle, or a second one,
// is none.
func (s *Service) noted(b book, f events.Fact, p events.TrialFinished) (_ book, news bool) {
	if b.Cycle == nil || b.Cycle.Cycle != p.Cycle {
		return b, false
	}
	b = b.clone()
	t := b.Cycle.find(p.Trial)
	if t == nil || t.Finished != nil {
		return b, false
	}
	t.Finished = s.resultOf(b.Cycle, f, p)
	began := f.Time.Add(-time.Duration(p.Seconds * float64(time.Second)))
	for i := range b.Cycle.Studies {
		if st := &b.Cycle.Studies[i]; st.Candidate == p.Candidate && (st.Began.IsZero() || began.Before(st.Began)) {
			st.Began = began
		}
	}
	return b, true
}

func (s *Service) resultOf(c *cycle, f events.Fact, p events.TrialFinished) *result {
	r := &result{Seq: f.Seq, OK: p.Succeeded, Stopped: p.Stopped}
	m, err := recipe.Model(s.host.Catalog, c.CycleRequested)
	if err != nil {
		return r // then the cycle fails for the same reason
	}
	if v, ok := p.Validation[m.Evaluation.Primary]; ok && p.Succeeded && !math.IsNaN(v) && !math.IsInf(v, 0) {
		r.Value = &v
	}
	return r
}

// advance finds out what follows from a result: nothing while its generation runs.
func (s *Service) advance(ctx context.Context, f events.Fact, p events.TrialFinished, b book) (next step, err error) {
	c := b.Cycle
	m, err := recipe.Model(s.host.Catalog, c.CycleRequested)
	if err != nil {
		return step{reason: err.Error()}, nil
	}
	if len(p.Curve) > 0 {
		s.curves.Add(f.Seq, p.Curve)
	}
	for i, st := range c.Studies {
		if st.Candidate != p.Candidate || !st.over() {
			continue
		}
		g, err := s.follow(ctx, c, st, m, f.Time)
		if err != nil {
			return step{}, err
		}
		if len(g.trials) > 0 {
			return step{more: map[int]generation{i: g}}, nil
		}
	}
	if !c.over() {
		return step{}, nil
	}
	return s.conclude(ctx, f, b, m)
}

// conclude packages the best trial, or says why none is usable.
func (s *Service) conclude(ctx context.Context, f events.Fact, b book, m *resource.ModelSpec) (next step, err error) {
	c := b.Cycle
	at, ok, err := s.best(ctx, c, m)
	if err != nil {
		return step{}, err
	}
	if !ok {
		next.reason, err = s.whyNone(ctx, c)
		return next, err
	}
	base, err := recipe.Base(s.host.Catalog, c.CycleRequested)
	if err != nil {
		return step{reason: err.Error()}, nil
	}
	ran, err := c.spec(base, m, at)
	if err != nil {
		return step{reason: err.Error()}, nil
	}
	t := c.at(at)
	trial, err := s.finished(ctx, t.Finished.Seq)
	if err != nil {
		return step{}, err
	}
	version, reason, err := s.pack(ctx, making{cycle: c.CycleRequested, spec: m, ran: ran, trial: trial, number: b.Versions + 1, at: f.Time})
	if err != nil || reason != "" {
		return step{reason: reason}, err
	}
	st := c.Studies[at.study]
	next.winner = winner{Candidate: st.Candidate, Pool: st.Pool, Code: st.Code, Number: at.trial + 1, Params: t.Params, Seq: t.Finished.Seq}
	next.trained = &events.CandidateTrained{Version: version, Cycle: c.Cycle, Candidate: st.Candidate, Trial: trial.Trial,
		Validation: trial.Validation, Data: c.Snapshot, ModelRevision: c.ModelRevision}
	return next, nil
}

// reasonsTold is how many failed trials the reason of a failed cycle tells about.
const reasonsTold = 3

// whyNone gathers why trials failed.
func (s *Service) whyNone(ctx context.Context, c *cycle) (string, error) {
	var reasons []string
	failed := 0
	for _, st := range c.Studies {
		for _, t := range st.Trials {
			if failed++; failed > reasonsTold {
				continue
			}
			p, err := s.finished(ctx, t.Finished.Seq)
			if err != nil {
				return "", err
			}
			reasons = append(reasons, p.Candidate+": "+p.Reason)
		}
	}
	if failed > reasonsTold {
		reasons = append(reasons, fmt.Sprintf("and %d more trials failed", failed-reasonsTold))
	}
	return strings.Join(reasons, "; "), nil
}

// apply is the decision: the book after the step, and what is said about it.
func (s *Service) apply(b book, f events.Fact, next step) (book, []events.Fact, error) {
	c := b.Cycle
	switch {
	case next.reason != "":
		return s.fail(b, f, next.reason)
	case next.trained != nil:
		b.Versions++
		c.Winner, c.Studies = &next.winner, nil
		fact, err := events.NewFact(events.DeriveID(f.ID, "trained"), events.CandidateTrainedType, Name, c.Model, s.host.Clock(), *next.trained)
		return b, []events.Fact{fact.Caused(f).InCycle(c.Cycle)}, err
	}
	for i, g := range next.more {
		c.Studies[i].Stop = g.stop
		c.Studies[i].Trials = append(c.Studies[i].Trials, g.trials...)
	}
	return b, nil, nil
}

// fail ends the training of the book's cycle without a version.
func (s *Service) fail(b book, cause events.Fact, reason string) (book, []events.Fact, error) {
	c := b.Cycle
	b.Cycle = nil
	fact, err := events.NewFact(events.DeriveID(cause.ID, "failed"), events.CandidateFailedType, Name, c.Model, s.host.Clock(),
		events.CandidateFailed{Cycle: c.Cycle, Model: c.Model, Reason: reason})
	return b, []events.Fact{fact.Caused(cause).InCycle(c.Cycle)}, err
}
