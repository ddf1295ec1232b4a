package runtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/infra/natsserver"
	"github.com/tidemill/tidemill/infra/natsserver/natstest"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/workers/runtime"
)

// shop is a broker with the job queue, and a bench to work at.
type shop struct {
	*bench
	server   *natsserver.Server
	js       jetstream.JetStream
	attempts *jobs.Attempts
	bus      *bus.Bus
	options  runtime.WorkerOptions
}

func newShop(t *testing.T) *shop {
	server := natstest.Start(t)
	s := &shop{bench: newBench(t), server: server, options: runtime.WorkerOptions{Name: "w1", Watch: 20 * time.Millisecond}}
	s.connect()
	require.NoError(t, bus.EnsureStreams(t.Context(), s.js, 1))
	return s
}

// connect opens a connection of its own.
func (s *shop) connect() {
	s.js = natstest.OpenJetStream(s.t, natstest.Conn(s.t, s.server))
	s.bus = bus.New(s.js, bus.Options{})
	var err error
	s.attempts, err = jobs.OpenAttempts(context.Background(), s.js, events.BucketTrials, state.Options{})
	require.NoError(s.t, err)
}

// work runs a worker until the returned function is called, or the test ends.
func (s *shop) work() (stop func()) {
	w := runtime.NewWorker(s.js, s.attempts, s.bus, s.blobs, s.runner(), s.options)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- w.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		s.t.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			require.NoError(s.t, <-done)
		})
	}
	s.t.Cleanup(stop)
	return stop
}

func (s *shop) publish(spec runtime.Spec) {
	text, err := json.Marshal(spec)
	require.NoError(s.t, err)
	require.NoError(s.t, jobs.NewQueue(s.js).Publish(s.t.Context(), jobs.Job{ID: spec.Trial, Kind: runtime.JobKind, Pool: "default", Payload: text}))
}

// facts waits for n facts of a type and returns them.
func (s *shop) facts(ty events.Type, n int) []events.Fact {
	s.t.Helper()
	stream := events.StreamFacts
	if ty == events.TrialProgressedType {
		stream = events.StreamProgress
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	var out []events.Fact
	enough := errors.New("enough")
	err := bus.LedgerOf(s.js, stream).Follow(ctx, bus.FollowOptions{}, func(f events.Fact) error {
		if f.Type == ty {
			out = append(out, f)
		}
		if len(out) == n {
			return enough
		}
		return nil
	})
	require.ErrorIs(s.t, err, enough, "%d of %d %s", len(out), n, ty.Short())
	return out
}

func (s *shop) finished() (events.Fact, events.TrialFinished) {
	s.t.Helper()
	f := s.facts(events.TrialFinishedType, 1)[0]
	p, err := events.PayloadOf[events.TrialFinished](f)
	require.NoError(s.t, err)
	return f, p
}

// empty waits until the queue is empty: the job was acknowledged.
func (s *shop) empty() {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		n, err := jobs.NewQueue(s.js).Waiting(s.t.Context(), runtime.JobKind, "default")
		return err == nil && n == 0
	}, 10*time.Second, 5*time.Millisecond)
}

func TestWorkerRunsATrial(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.work()
	spec := builtin()
	spec.Cause = runtime.Cause{ID: "cause", Seq: 1, TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	spec.Params = map[string]any{"maxIter": 60.0} // that a search chose
	s.publish(spec)

	fact, p := s.finished()
	require.True(t, p.Succeeded, p.Reason)
	require.Equal(t, "facts.trial.late.finished", fact.Where())
	require.Equal(t, "late-1", fact.CycleID)
	require.Equal(t, "cause", fact.CausationID)
	require.EqualValues(t, 1, fact.CausationSeq)
	require.Equal(t, "trials/late-1-logistic-1/1/model.onnx", p.Package.Key)
	onnx, err := s.blobs.Get(t.Context(), p.Package.Key)
	require.NoError(t, err)
	require.Equal(t, sum(onnx), p.Package.SHA256)
	require.Equal(t, []string{"false", "true"}, p.Classes)
	require.Equal(t, "columns", p.Input)
	require.Len(t, p.Features, 2)
	require.Greater(t, p.Validation["auc"], 0.8)
	require.Equal(t, day(23).Add(-time.Hour), p.TrainedThrough)
	require.NotEmpty(t, p.LogTail)

	started, err := events.PayloadOf[events.TrialStarted](s.facts(events.TrialStartedType, 1)[0])
	require.NoError(t, err)
	require.Equal(t, events.TrialStarted{Trial: spec.Trial, Cycle: "late-1", Model: "late", Candidate: "logistic", Attempt: 1, Worker: "w1",
		Params: map[string]any{"l2": 1.0, "maxIter": 60.0}}, started)
	progress, err := events.PayloadOf[events.TrialProgressed](s.facts(events.TrialProgressedType, 1)[0])
	require.NoError(t, err)
	require.Equal(t, spec.Trial, progress.Trial)
	s.empty()
}

func TestWorkerSaysWhyATrialFailed(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.work()
	s.publish(s.trial("echo out of ideas; exit 1", nil))
	_, p := s.finished()
	require.False(t, p.Succeeded)
	require.Contains(t, p.Reason, "exit code 1; its last line: out of ideas")
	require.Equal(t, []string{"out of ideas"}, p.LogTail)
	require.Nil(t, p.Package)
	s.empty()
}

// Wherever a worker dies, the trial ends once, with one fact.
func TestWorkerDies(t *testing.T) {
	t.Parallel()
	for _, point := range []string{runtime.CrashClaimed, runtime.CrashTrained, runtime.CrashLanded} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			var died atomic.Bool
			s.options.Crash = func(at string) {
				if at == point && !died.Swap(true) {
					panic("died at " + at)
				}
			}
			s.work()
			s.publish(builtin())
			fact, p := s.finished()
			require.True(t, p.Succeeded, p.Reason)
			require.True(t, died.Load())
			want := 2
			if point == runtime.CrashLanded {
				want = 1 // the first attempt's result counts
			}
			require.Equal(t, want, p.Attempt)
			s.empty()
			last, err := bus.NewLedger(s.js).Last(t.Context(), "facts.trial.late.finished")
			require.NoError(t, err)
			require.Equal(t, fact, last)
		})
	}
}

func TestEndOfTheCycleCancelsItsTrial(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{true, false} {
		s := newShop(t)
		end := func(cycle string) {
			f, err := events.NewFact(events.DeriveID("end", cycle), events.CycleEndedType, "retraining", "late", day(0),
				events.CycleEnded{Cycle: cycle, Model: "late", Outcome: events.OutcomeCancelled})
			require.NoError(t, err)
			_, err = s.bus.Say(t.Context(), f)
			require.NoError(t, err)
		}
		s.work()
		end("late-0")
		if before {
			end("late-1")
		}
		s.publish(s.trial("echo begun; sleep 300", nil))
		if !before {
			s.facts(events.TrialStartedType, 1)
			end("late-1")
		}
		_, p := s.finished()
		require.False(t, p.Succeeded)
		require.Equal(t, "the trial was cancelled: its cycle is cancelled", p.Reason)
		s.empty()
	}
}

func TestStoppedWorkerGivesItsTrialBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	stop := s.work()
	s.publish(s.trial(`test -f "$TIDEMILL_CHECKPOINT_DIR/seen" || { touch "$TIDEMILL_CHECKPOINT_DIR/seen"; sleep 300; }
cp model.bin $SM_MODEL_DIR/model.onnx`, map[string][]byte{"model.bin": onnx(0.1, "probabilities")}))
	require.Eventually(t, func() bool { return seen(s.dir) }, 10*time.Second, 5*time.Millisecond)
	stop()
	s.work()
	_, p := s.finished()
	require.True(t, p.Succeeded, p.Reason)
	require.Equal(t, 2, p.Attempt)
	s.empty()
}

func TestPlatformTroubleIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.options.Tries = 2
	s.data.fail = errors.New("the disk is gone")
	s.work()
	s.publish(builtin())
	_, p := s.finished()
	require.Equal(t, "the platform could not run the trial, after 2 tries: run late-1-logistic-1: preparing: the disk is gone", p.Reason)
	s.empty()
}

// A worker that was thought dead neither overwrites its successor's result nor takes the job from it.
func TestStaleWorkerYields(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.options.AckWait = time.Second
	s.work()
	spec := s.trial("sleep 300", nil)
	s.publish(spec)
	s.facts(events.TrialStartedType, 1)
	successor, err := s.attempts.Begin(t.Context(), spec.Trial)
	require.NoError(t, err)
	require.Equal(t, 2, successor.Number)
	require.Never(t, func() bool {
		n, err := jobs.NewQueue(s.js).Waiting(t.Context(), runtime.JobKind, "default")
		return err != nil || n == 0
	}, 300*time.Millisecond, 20*time.Millisecond, "the job is the successor's")

	want, err := events.NewFact(events.DeriveID("trial", spec.Trial, "finished"), events.TrialFinishedType, "workers", "late", day(1),
		events.TrialFinished{Trial: spec.Trial, Cycle: "late-1", Model: "late", Attempt: 2, Succeeded: true})
	require.NoError(t, err)
	text, err := json.Marshal(want)
	require.NoError(t, err)
	require.NoError(t, s.attempts.Finish(t.Context(), successor, text))
	_, p := s.finished()
	require.Equal(t, 2, p.Attempt)
	s.empty()
}
