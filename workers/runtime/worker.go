package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/infra/state"
)

// Points at which Crash is called.
const (
	CrashClaimed = "worker.claimed" // the attempt began
	CrashTrained = "worker.trained" // the model is there, its package is not stored
	CrashLanded  = "worker.landed"  // the result is stored, trial.finished is not said
)

// Storage is blob storage as a worker needs it: what its trials leave goes there by the file, and some of it is removed.
type Storage interface {
	Blobs
	Open(ctx context.Context, key string) (io.ReadCloser, error)
	PutFile(ctx context.Context, key, path string) (events.Blob, error)
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string) ([]events.Blob, error)
}

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
	// AckWait is how soon another worker gets the trial of one that fell silent; 0: the job queue's default. All workers of a
	// pool must agree.
	AckWait time.Duration
	// Tries is how many workers a trial may lose before it fails; default jobs.DefaultAttempts.
	Tries int
	// Drain is how long trials may go on when the worker is asked to stop.
	Drain time.Duration
	// Watch is how often a worker looks whether its attempt still counts; default 5s.
	Watch time.Duration
	// Keep is how often a worker looks for new checkpoints; default 2s.
	Keep time.Duration
	// Host and Version are shown to people; Presence is how the worker shows that it is there.
	Host, Version string
	Presence      jobs.PresenceOptions
}

func (o WorkerOptions) complete() WorkerOptions {
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
	if o.Keep == 0 {
		o.Keep = 2 * time.Second
	}
	if o.Presence.Logger == nil {
		o.Presence.Logger = o.Log
	}
	return o
}

// Worker pulls trials from the job queue, runs them and lands their results. It writes the bucket of attempts and its own key in
// the bucket of workers, and says trial.started, trial.progressed and trial.finished.
type Worker struct {
	queue    *jobs.Queue
	attempts *jobs.Attempts
	bus      *bus.Bus
	ledger   *bus.Ledger
	blobs    Storage
	runner   *Runner
	badge    *jobs.Badge
	o        WorkerOptions
}

var _ lifecycle.Component = (*Worker)(nil)

// NewWorker makes a worker. The streams must exist; attempts is over the bucket events.BucketTrials.
func NewWorker(js jetstream.JetStream, attempts *jobs.Attempts, b *bus.Bus, blobs Storage, r *Runner, o WorkerOptions) *Worker {
	o = o.complete()
	badge := jobs.NewBadge(js, jobs.Presence{Name: o.Name, Pool: o.Pool, Slots: o.Slots, Since: o.Clock().UTC(), Version: o.Version, Host: o.Host}, o.Presence)
	return &Worker{queue: jobs.NewQueue(js), attempts: attempts, bus: b, ledger: bus.NewLedger(js), blobs: blobs, runner: r, badge: badge, o: o}
}

// Run works until ctx ends, and then drains: trials that run may end within Drain; what is left of the others is stored, and
// they are handed back to the queue.
func (w *Worker) Run(ctx context.Context, ready func()) error {
	w.sweep(ctx)
	shown, hide := context.WithCancel(context.WithoutCancel(ctx))
	var badge sync.WaitGroup
	defer badge.Wait()
	defer hide()
	badge.Go(func() {
		if err := w.badge.Run(shown, func() {}); err != nil {
			w.o.Log.Warn("the worker can't tell that it is there", zap.Error(err))
		}
	})
	defer context.AfterFunc(ctx, func() { w.badge.Set(func(p *jobs.Presence) { p.Draining = true }) })()
	// A trial that can't be run fails by its own attempts: a dead letter would leave its cycle waiting.
	return w.queue.Component(jobs.Consumer{Kind: JobKind, Pool: w.o.Pool, Slots: w.o.Slots, Handler: w.handle,
		AckWait: w.o.AckWait, Attempts: -1, Drain: w.o.Drain, Logger: w.o.Log}).Run(ctx, ready)
}

// sweep removes what attempts of trials that are over left here when their worker died.
func (w *Worker) sweep(ctx context.Context) {
	entries, _ := os.ReadDir(w.runner.o.Dir) // a folder that isn't there has nothing in it
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		_, over, err := w.attempts.Result(ctx, e.Name())
		if err == nil && over {
			err = w.runner.Forget(e.Name())
		}
		if err != nil {
			w.o.Log.Warn("what an old trial left stays", zap.String("trial", e.Name()), zap.Error(err))
		}
	}
}

// handle does one job: nil when its trial has a result that was said.
func (w *Worker) handle(ctx context.Context, d jobs.Delivery) error {
	spec, wrong := DecodeSpec(d.Payload)
	if wrong != nil && !spec.named() {
		return bus.Terminal(wrong)
	}
	attempt, err := w.attempts.Begin(ctx, spec.Trial)
	if errors.Is(err, jobs.ErrFinished) {
		w.clean(ctx, spec)
		return w.sayStored(ctx, attempt.Result)
	}
	if err != nil {
		return err
	}
	log := w.o.Log.With(zap.String("trial", spec.Trial), zap.String("cycle_id", spec.Cycle), zap.String("model", spec.Model), zap.Int("attempt", attempt.Number))
	log.Info("trial begins", zap.String("candidate", spec.Candidate.Name))
	w.badge.Set(func(p *jobs.Presence) { p.Busy++ })
	defer w.badge.Set(func(p *jobs.Presence) { p.Busy-- })
	// That it began is said before it ends; the trainer doesn't wait until that is on disk.
	said := make(chan error, 1)
	go func() { said <- w.sayStarted(ctx, spec, attempt) }()
	w.o.Crash(CrashClaimed)

	out := w.outcome(spec, attempt)
	switch {
	case wrong != nil:
		out.Reason = fmt.Sprintf("worker %s can't read the trial: %v", w.o.Name, wrong)
	case attempt.Lost >= w.o.Tries:
		out.Reason, out.LogTail = poison(attempt)
	default:
		out, err = w.try(ctx, spec, attempt)
	}
	if unsaid := <-said; err == nil {
		err = unsaid
	}
	if err != nil {
		return err
	}
	return w.land(ctx, spec, attempt, out, log)
}

// named tells whether it is known whose the trial is.
func (s Spec) named() bool {
	return s.Trial != "" && s.Cycle != "" && events.ValidName(s.Model) == nil
}

// poison is why a trial fails that has lost too many workers, with the last lines that one of them noted.
func poison(attempt jobs.Attempt) (reason string, lines []string) {
	n := readNote(attempt.Note)
	reason = fmt.Sprintf("its workers died %d times while it ran", attempt.Lost)
	if n.Trouble != "" {
		reason += "; the last trouble before: " + n.Trouble
	}
	if len(n.Log) > 0 {
		reason += "; its last line: " + n.Log[len(n.Log)-1]
	}
	return reason, n.Log
}

// land makes the outcome the trial's result, and then says it. The fact itself is what is stored, so that whoever finds the
// trial finished says the very same. A worker that stops still lands what it has.
func (w *Worker) land(ctx context.Context, spec Spec, attempt jobs.Attempt, out events.TrialFinished, log *zap.Logger) error {
	ctx, cancel := afterStop(ctx)
	defer cancel()
	err := w.finish(ctx, spec, attempt, out)
	if errors.Is(err, state.ErrTooLarge) { // it won't get smaller by another attempt
		short := w.outcome(spec, attempt)
		short.Reason, short.Log, short.Params = fmt.Sprintf("what the trial left can't be kept: %v", err), out.Log, nil
		out = short
		err = w.finish(ctx, spec, attempt, out)
	}
	if errors.Is(err, jobs.ErrStale) {
		log.Warn("the result of a stale attempt is thrown away")
		w.leave(spec, attempt)
		return err
	}
	if err != nil {
		return err
	}
	log.Info("trial finished", zap.Bool("succeeded", out.Succeeded), zap.String("reason", out.Reason), zap.Float64("seconds", out.Seconds))
	w.clean(ctx, spec)
	return nil
}

func (w *Worker) finish(ctx context.Context, spec Spec, attempt jobs.Attempt, out events.TrialFinished) error {
	fact, err := w.fact(spec, events.TrialFinishedType, out, "finished")
	if err != nil {
		return bus.Terminal(err)
	}
	text, err := json.Marshal(fact)
	if err != nil {
		return bus.Terminal(fmt.Errorf("land %s: %w", spec.Trial, err))
	}
	if err := w.attempts.Finish(ctx, attempt, text); err != nil {
		return err
	}
	w.o.Crash(CrashLanded)
	_, err = w.bus.Say(ctx, fact)
	return err
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

// clean removes what is left of a trial that has its result, here and in blob storage.
func (w *Worker) clean(ctx context.Context, spec Spec) {
	err := w.runner.Forget(spec.Trial)
	if spec.checkpoints() {
		left, failed := w.blobs.List(ctx, checkpointsOf(spec.Trial))
		err = errors.Join(err, failed)
		for _, b := range left {
			err = errors.Join(err, w.blobs.Delete(ctx, b.Key))
		}
	}
	if err != nil {
		w.o.Log.Warn("what the trial left could not be removed", zap.String("trial", spec.Trial), zap.Error(err))
	}
}

// leave removes what is left here of one attempt whose trial goes on elsewhere.
func (w *Worker) leave(spec Spec, attempt jobs.Attempt) {
	if err := w.runner.forget(spec.Trial, attempt.Number); err != nil {
		w.o.Log.Warn("what the attempt left could not be removed", zap.String("trial", spec.Trial), zap.Int("attempt", attempt.Number), zap.Error(err))
	}
}

// afterStop is a context for what must still be stored when the worker was asked to stop meanwhile.
func afterStop(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), keepWithin)
}
