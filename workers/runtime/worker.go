package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/infra/lifecycle"
)

// Points at which Crash is called.
const (
	CrashClaimed = "worker.claimed" // the attempt began
	CrashTrained = "worker.trained" // the model is there, its package is not stored
	CrashLanded  = "worker.landed"  // the result is stored, trial.finished is not said
)

var errStale = errors.New("another worker has taken the trial")

// WorkerOptions are how a worker works.
type WorkerOptions struct {
	Name  string // of the worker, for people: host and process
	Pool  string // default "default"
	Slots int    // trials at once; default 1
	// Clock is the wall clock; default time.Now.
	Clock func() time.Time
	// Crash is called at named points; tests let it end the process.
	Crash func(point string)
	Log   *zap.Logger
	// AckWait and Tries are those of the job queue; 0: its defaults. All workers of a pool must agree on AckWait.
	AckWait time.Duration
	Tries   int
	// Watch is how often a worker looks whether its attempt still counts; default 5s.
	Watch time.Duration
	// Host and Version are shown to people; Presence is how the worker shows that it is there.
	Host, Version string
	Presence      jobs.PresenceOptions
}

// Worker pulls trials from the job queue, runs them and lands their results. It writes the bucket of attempts, and says
// trial.started, trial.progressed and trial.finished.
type Worker struct {
	queue    *jobs.Queue
	attempts *jobs.Attempts
	bus      *bus.Bus
	ledger   *bus.Ledger
	blobs    Blobs
	runner   *Runner
	badge    *jobs.Badge
	o        WorkerOptions
}

var _ lifecycle.Component = (*Worker)(nil)

// NewWorker makes a worker. The streams must exist; attempts is over the bucket events.BucketTrials.
func NewWorker(js jetstream.JetStream, attempts *jobs.Attempts, b *bus.Bus, blobs Blobs, r *Runner, o WorkerOptions) *Worker {
	if o.Pool == "" {
		o.Pool = "default"
	}
	if o.Slots == 0 {
		o.Slots = 1
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Crash == nil {
		o.Crash = func(string) {}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Tries == 0 {
		o.Tries = jobs.DefaultAttempts
	}
	if o.Watch == 0 {
		o.Watch = 5 * time.Second
	}
	if o.Presence.Logger == nil {
		o.Presence.Logger = o.Log
	}
	badge := jobs.NewBadge(js, jobs.Presence{Name: o.Name, Pool: o.Pool, Slots: o.Slots, Since: o.Clock().UTC(), Version: o.Version, Host: o.Host}, o.Presence)
	return &Worker{queue: jobs.NewQueue(js), attempts: attempts, bus: b, ledger: bus.NewLedger(js), blobs: blobs, runner: r, badge: badge, o: o}
}

// Run works until ctx ends; trials that run then are given back to the queue.
func (w *Worker) Run(ctx context.Context, ready func()) error {
	shown, hide := context.WithCancel(context.WithoutCancel(ctx))
	var badge sync.WaitGroup
	defer badge.Wait()
	defer hide()
	badge.Go(func() {
		if err := w.badge.Run(shown, func() {}); err != nil {
			w.o.Log.Warn("the worker can't tell that it is there", zap.Error(err))
		}
	})
	return w.queue.Component(jobs.Consumer{Kind: JobKind, Pool: w.o.Pool, Slots: w.o.Slots, Handler: w.handle,
		AckWait: w.o.AckWait, Attempts: w.o.Tries, Logger: w.o.Log}).Run(ctx, ready)
}

// handle does one job: nil when its trial has a result that was said.
func (w *Worker) handle(ctx context.Context, d jobs.Delivery) error {
	spec, err := DecodeSpec(d.Payload)
	if err != nil {
		return bus.Terminal(err)
	}
	attempt, err := w.attempts.Begin(ctx, spec.Trial)
	if errors.Is(err, jobs.ErrFinished) {
		return w.sayStored(ctx, attempt.Result)
	}
	if err != nil {
		return err
	}
	log := w.o.Log.With(zap.String("trial", spec.Trial), zap.String("cycle_id", spec.Cycle), zap.String("model", spec.Model), zap.Int("attempt", attempt.Number))
	log.Info("trial begins", zap.String("candidate", spec.Candidate.Name))
	w.badge.Set(func(p *jobs.Presence) { p.Busy++ })
	defer w.badge.Set(func(p *jobs.Presence) { p.Busy-- })
	if err := w.sayStarted(ctx, spec, attempt); err != nil {
		return err
	}
	w.o.Crash(CrashClaimed)

	finished, err := w.try(ctx, spec, attempt)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errStale):
		log.Warn("trial was taken by another worker")
		return w.awaitSuccessor(ctx, spec)
	case err != nil && d.Attempt < w.o.Tries:
		return err
	case err != nil:
		// The last try: a trial without a result would hold its cycle up until the deadline.
		finished = w.outcome(spec, attempt)
		finished.Reason = fmt.Sprintf("the platform could not run the trial, after %d tries: %v", d.Attempt, err)
	}
	return w.land(ctx, spec, attempt, finished, log)
}

// try runs the attempt. The error is the platform's trouble; a trial that failed by itself is an outcome.
func (w *Worker) try(ctx context.Context, spec Spec, attempt jobs.Attempt) (events.TrialFinished, error) {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := w.watch(running, spec, attempt, cancel)
	defer stop()
	reporter := newReporter(w, spec, attempt)
	began := w.o.Clock()
	result, tail, err := w.runner.Run(running, spec, attempt.Number, reporter.update)
	reporter.close()

	out := w.outcome(spec, attempt)
	out.Seconds, out.LogTail = w.o.Clock().Sub(began).Seconds(), tail
	var failure *Failure
	switch {
	case errors.As(err, &failure):
		out.Reason = failure.Reason
		return out, nil
	case errors.Is(err, ErrCancelled):
		out.Reason = err.Error()
		return out, nil
	case err != nil:
		return out, err
	}
	w.o.Crash(CrashTrained)
	return w.store(ctx, spec, out, result)
}

// store puts the model into blob storage and fills the outcome in.
func (w *Worker) store(ctx context.Context, spec Spec, out events.TrialFinished, r Result) (events.TrialFinished, error) {
	blob, err := w.blobs.PutBytes(ctx, fmt.Sprintf("trials/%s/%d/model.onnx", spec.Trial, out.Attempt), r.ONNX)
	if err != nil {
		return out, fmt.Errorf("store the model of %s: %w", spec.Trial, err)
	}
	out.Succeeded, out.Package = true, &blob
	out.Features, out.Classes, out.Input = r.Contract.Features, r.Contract.Classes, r.Contract.Input
	out.Validation, out.Reported = r.Validation, r.Reported
	out.TrainRows, out.ValidationRows, out.TestRows = r.TrainRows, r.ValidationRows, r.TestRows
	out.TrainedThrough, out.CodeDigest, out.Environment = r.TrainedThrough, r.CodeDigest, r.Environment
	return out, nil
}

func (w *Worker) outcome(spec Spec, attempt jobs.Attempt) events.TrialFinished {
	return events.TrialFinished{Trial: spec.Trial, Cycle: spec.Cycle, Model: spec.Model, Candidate: spec.Candidate.Name, Attempt: attempt.Number}
}

// land makes the outcome the trial's result, and then says it. The fact itself is what is stored, so that whoever finds the
// trial finished says the very same.
func (w *Worker) land(ctx context.Context, spec Spec, attempt jobs.Attempt, out events.TrialFinished, log *zap.Logger) error {
	fact, err := w.fact(spec, events.TrialFinishedType, out, "finished")
	if err != nil {
		return bus.Terminal(err)
	}
	text, err := json.Marshal(fact)
	if err != nil {
		return bus.Terminal(fmt.Errorf("land %s: %w", spec.Trial, err))
	}
	err = w.attempts.Finish(ctx, attempt, text)
	if errors.Is(err, jobs.ErrStale) {
		log.Warn("the result of a stale attempt is thrown away")
		return w.awaitSuccessor(ctx, spec)
	}
	if err != nil {
		return err
	}
	w.o.Crash(CrashLanded)
	if _, err := w.bus.Say(ctx, fact); err != nil {
		return err
	}
	log.Info("trial finished", zap.Bool("succeeded", out.Succeeded), zap.String("reason", out.Reason), zap.Float64("seconds", out.Seconds))
	if err := w.runner.Forget(spec.Trial); err != nil {
		log.Warn("the trial's folder could not be removed", zap.Error(err))
	}
	return nil
}

// sayStored says the fact of a trial that another delivery of the job has finished.
func (w *Worker) sayStored(ctx context.Context, result []byte) error {
	var fact events.Fact
	if err := json.Unmarshal(result, &fact); err != nil {
		return bus.Terminal(fmt.Errorf("stored result: %w", err))
	}
	_, err := w.bus.Say(ctx, fact)
	return err
}

// awaitSuccessor ends the job of a stale attempt only when the trial has its result: to acknowledge it earlier would take it
// from the worker that has it now, to give it back would start a third attempt beside the second.
func (w *Worker) awaitSuccessor(ctx context.Context, spec Spec) error {
	patience := time.Hour
	if limit := spec.timeLimit(); limit > 0 {
		patience = limit + time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errStale)
	defer cancel()
	tick := time.NewTicker(w.o.Watch)
	defer tick.Stop()
	for {
		result, done, err := w.attempts.Result(ctx, spec.Trial)
		if err == nil && done {
			return w.sayStored(ctx, result)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
