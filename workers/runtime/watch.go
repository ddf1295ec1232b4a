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
				cancel(errStale)
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
		Candidate: spec.Candidate.Name, Attempt: attempt.Number, Worker: w.o.Name}, "started", strconv.Itoa(attempt.Number))
	if err == nil {
		_, err = w.bus.Say(ctx, fact)
	}
	return err
}

// every is how often progress is said at most: five times a second.
const every = 200 * time.Millisecond

// reporter turns a trial's updates into trial.progressed. Updates never wait for the broker, and may be merged or lost.
type reporter struct {
	w       *Worker
	spec    Spec
	attempt jobs.Attempt

	mu      sync.Mutex
	pending events.TrialProgressed
	dirty   bool
	n       int

	news   chan struct{}
	closed chan struct{}
	done   chan struct{}
}

func newReporter(w *Worker, spec Spec, attempt jobs.Attempt) *reporter {
	r := &reporter{w: w, spec: spec, attempt: attempt, news: make(chan struct{}, 1), closed: make(chan struct{}), done: make(chan struct{})}
	r.pending = events.TrialProgressed{Trial: spec.Trial, Cycle: spec.Cycle, Model: spec.Model, Attempt: attempt.Number}
	go r.run()
	return r
}

// update takes one update.
func (r *reporter) update(u Update) {
	r.mu.Lock()
	p := &r.pending
	if u.Phase != p.Phase {
		p.Phase, p.Fraction, p.Message = u.Phase, 0, ""
	}
	if u.Fraction > 0 {
		p.Fraction = min(u.Fraction, 1)
	}
	if u.Message != "" {
		p.Message = u.Message
	}
	if u.PID != 0 {
		p.Message = fmt.Sprintf("process %d", u.PID)
	}
	for name, v := range u.Metrics {
		if name != metricProgress {
			if p.Metrics == nil {
				p.Metrics = map[string]float64{}
			}
			p.Metrics[name] = v
		}
	}
	if u.Line != "" {
		p.Log = append(p.Log, u.Line)
		if len(p.Log) > tailLines {
			p.Log = p.Log[len(p.Log)-tailLines:]
		}
	}
	r.dirty = true
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// close says what is left, and waits for that.
func (r *reporter) close() {
	close(r.closed)
	<-r.done
}

func (r *reporter) run() {
	defer close(r.done)
	for {
		select {
		case <-r.closed:
			r.say()
			return
		case <-r.news:
		}
		r.say()
		pause := time.NewTimer(every)
		select {
		case <-r.closed:
		case <-pause.C:
		}
		pause.Stop()
	}
}

func (r *reporter) say() {
	r.mu.Lock()
	if !r.dirty {
		r.mu.Unlock()
		return
	}
	p := r.pending
	p.Metrics = map[string]float64{}
	for k, v := range r.pending.Metrics {
		p.Metrics[k] = v
	}
	r.pending.Log, r.dirty = nil, false
	r.n++
	n := r.n
	r.mu.Unlock()
	fact, err := r.w.fact(r.spec, events.TrialProgressedType, p, "progressed", strconv.Itoa(r.attempt.Number), strconv.Itoa(n))
	if err != nil {
		return // nobody depends on progress
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if _, err := r.w.bus.Say(ctx, fact); err != nil {
		r.w.o.Log.Debug("progress was not said", zap.String("trial", r.spec.Trial), zap.Error(err))
	}
}
