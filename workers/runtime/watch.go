package runtime

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/jobs"
)

var errCycleEnded = errors.New("its cycle has ended")

// watch cancels a running attempt when its cycle ends, be it before the trial began, or when another worker begins the
// trial anew. The returned function stops watching.
func (w *Worker) watch(ctx context.Context, spec Spec, attempt jobs.Attempt, cancel context.CancelCauseFunc) (stop func()) {
	ctx, done := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() {
		err := w.ledger.Follow(ctx, bus.FollowOptions{From: spec.Cause.Seq, Subjects: []string{events.FactSubject(events.CycleEndedType, spec.Model)}},
			func(f events.Fact) error {
				ended, err := events.PayloadOf[events.CycleEnded](f)
				if err != nil || ended.Cycle != spec.Cycle {
					return nil // another cycle's, or one that the ledger's readers complain about
				}
				cancel(fmt.Errorf("%w: its cycle is %s", ErrCancelled, ended.Outcome))
				return errCycleEnded
			})
		if err != nil && !errors.Is(err, errCycleEnded) && ctx.Err() == nil {
			w.o.Log.Warn("the end of the trial's cycle can't be watched", zap.String("trial", spec.Trial), zap.Error(err))
		}
	})
	group.Go(func() {
		tick := time.NewTicker(w.o.Watch)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if current, err := w.attempts.Current(ctx, attempt); err == nil && !current {
				cancel(jobs.ErrStale)
				return
			}
		}
	})
	return func() { done(); group.Wait() }
}

// fact makes a fact of the trial, linked to what asked for the trial. Its id is derived: each attempt's trial.started is one
// fact, and trial.finished is one per trial.
func (w *Worker) fact(spec Spec, t events.Type, payload any, step ...string) (events.Fact, error) {
	id := events.DeriveID(append([]string{"trial", spec.Trial}, step...)...)
	f, err := events.NewFact(id, t, "workers", spec.Model, w.o.Clock(), payload)
	f.CycleID, f.CausationID, f.CausationSeq, f.TraceParent = spec.Cycle, spec.Cause.ID, spec.Cause.Seq, spec.Cause.TraceParent
	return f, err
}

func (w *Worker) sayStarted(ctx context.Context, spec Spec, attempt jobs.Attempt) error {
	fact, err := w.fact(spec, events.TrialStartedType, events.TrialStarted{Trial: spec.Trial, Cycle: spec.Cycle, Model: spec.Model,
		Candidate: spec.Candidate.Name, Attempt: attempt.Number, Worker: w.o.Name, Params: spec.Hyperparameters()}, "started", strconv.Itoa(attempt.Number))
	if err == nil {
		_, err = w.bus.Say(ctx, fact)
	}
	return err
}
