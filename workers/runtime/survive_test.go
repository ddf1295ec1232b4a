package runtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/workers/runtime"
)

// steps is a trainer that does a number of steps and can go on where another left it: it counts them in its checkpoint folder,
// and goes on when the test makes the file go.
const steps = `
at=0; test -f "$TIDEMILL_CHECKPOINT_DIR/steps" && at=$(cat "$TIDEMILL_CHECKPOINT_DIR/steps")
echo "begin after step $at"
while [ $at -lt $1 ]; do
  at=$((at+1)); echo $at > "$TIDEMILL_CHECKPOINT_DIR/steps.tmp"; mv "$TIDEMILL_CHECKPOINT_DIR/steps.tmp" "$TIDEMILL_CHECKPOINT_DIR/steps"
  echo "step $at"
done
until test -e "$GO"; do sleep 0.02; done
cp model.bin $SM_MODEL_DIR/model.onnx`

// stepping is a trial of steps; it ends when the file at the returned path appears.
func (s *shop) stepping(n int) (runtime.Spec, string) {
	goFile := filepath.Join(s.t.TempDir(), "go")
	script := strings.NewReplacer("$1", fmt.Sprint(n), "$GO", goFile).Replace(steps)
	return s.trial(script, map[string][]byte{"model.bin": onnx(0.1, "probabilities")}), goFile
}

func release(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, nil, 0o600))
}

// elsewhere is a worker on another machine: it shares the broker and blob storage.
func (s *shop) elsewhere(name string) *shop {
	other := *s
	b := newBench(s.t)
	b.blobs, b.data = s.blobs, s.data
	other.bench, other.options.Name = b, name
	return &other
}

func (s *shop) until(what string, is func() bool) {
	s.t.Helper()
	require.Eventually(s.t, is, 20*time.Second, 5*time.Millisecond, what)
}

func (s *shop) log(p events.TrialFinished) string {
	s.t.Helper()
	require.NotNil(s.t, p.Log)
	b, err := s.blobs.Get(s.t.Context(), p.Log.Key)
	require.NoError(s.t, err)
	return string(b)
}

// progress is everything that was said while a trial ran.
func (s *shop) progress() (out []events.TrialProgressed) {
	s.t.Helper()
	enough := fmt.Errorf("enough")
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	stream, err := s.js.Stream(ctx, events.StreamProgress)
	require.NoError(s.t, err)
	last := stream.CachedInfo().State.LastSeq
	err = bus.LedgerOf(s.js, events.StreamProgress).Follow(ctx, bus.FollowOptions{}, func(f events.Fact) error {
		p, err := events.PayloadOf[events.TrialProgressed](f)
		out = append(out, p)
		if err == nil && f.Seq == last {
			err = enough
		}
		return err
	})
	require.ErrorIs(s.t, err, enough)
	return out
}

func TestHandedBackTrialGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.options.Tries = 1 // handing back is no loss
	spec, goFile := s.stepping(5)
	stop := s.work()
	s.publish(spec)
	s.until("the trainer has done its steps", func() bool {
		b, _ := os.ReadFile(filepath.Join(s.dir, spec.Trial, "checkpoints-1", "steps"))
		return string(b) == "5\n"
	})
	stop()
	require.Equal(t, []string{"checkpoints/late-1-script-1/1/1.tar.gz"}, s.blobs.keys("checkpoints/"))
	require.NoDirExists(t, filepath.Join(s.dir, spec.Trial), "nothing is left behind")

	release(t, goFile)
	other := s.elsewhere("w2")
	other.work()
	_, p := s.finished()
	require.True(t, p.Succeeded, p.Reason)
	require.Equal(t, 2, p.Attempt)
	require.Equal(t, "w2", p.Worker)
	require.Equal(t, "trials/late-1-script-1/2/log.txt", p.Log.Key)
	require.Equal(t, "tidemill: resumed from checkpoint 1 of attempt 1\nbegin after step 5\n", s.log(p))
	s.empty()
	s.until("its checkpoints are gone", func() bool { return len(s.blobs.keys("checkpoints/")) == 0 })

	said, stored := false, false
	for _, u := range s.progress() {
		require.Equal(t, "script", u.Candidate)
		if u.Attempt == 2 {
			said = said || strings.HasSuffix(u.Message, "resumed from checkpoint 1 of attempt 1")
			stored = stored || u.Checkpoints == 1
		}
	}
	require.True(t, said && stored, "said %v, stored %v", said, stored)
}

// A worker that is cut off is replaced, its trial goes on from what it stored in time, and what it has is thrown away.
func TestSilentWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.options.AckWait, s.options.Keep = time.Second, 40*time.Millisecond
	first := s.elsewhere("w1")
	first.connect()
	spec, goFile := s.stepping(3)
	first.work()
	s.publish(spec)
	s.until("a checkpoint is stored and noted", func() bool {
		n, err := s.noted(spec.Trial)
		return err == nil && n.Number > 0 && n.Log[len(n.Log)-1] == "step 3"
	})
	first.js.Conn().Close()
	s.elsewhere("w2").work()
	s.until("the second worker has begun", func() bool { return len(s.said(events.TrialStartedType)) == 2 })
	release(t, goFile) // both end now
	_, p := s.finished()
	require.True(t, p.Succeeded, p.Reason)
	require.Equal(t, "w2", p.Worker)
	require.Regexp(t, `resumed from checkpoint \d of attempt 1\nbegin after step [123]\n`, s.log(p))
	s.empty()
	require.Len(t, s.said(events.TrialFinishedType), 1)
}

// TestABusyTrainerIsKept: a trainer that writes more often than the worker looks never leaves its folder at rest.
func TestABusyTrainerIsKept(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.options.Keep = 300 * time.Millisecond
	goFile := filepath.Join(t.TempDir(), "go")
	spec := s.trial(strings.ReplaceAll(`
at=0
until test -e GO; do
  at=$((at+1)); echo $at > "$TIDEMILL_CHECKPOINT_DIR/steps.tmp"; mv "$TIDEMILL_CHECKPOINT_DIR/steps.tmp" "$TIDEMILL_CHECKPOINT_DIR/steps"; sleep 0.1
done
exit 1`, "GO", goFile), nil)
	s.work()
	s.publish(spec)
	s.until("two checkpoints are stored while it writes", func() bool {
		n, err := s.noted(spec.Trial)
		return err == nil && n.Number > 1
	})
	release(t, goFile)
	s.finished()
	s.empty()
}

func TestOldCheckpointsAreRemoved(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.options.Keep = 20 * time.Millisecond
	dir := t.TempDir()
	s.work()
	spec := s.trial(strings.ReplaceAll(`
for i in 1 2 3; do echo $i > $TIDEMILL_CHECKPOINT_DIR/n; until test -e GATE/$i; do sleep 0.02; done; done
echo half > $TIDEMILL_CHECKPOINT_DIR/n.tmp; exit 1`, "GATE", dir), nil)
	s.publish(spec)
	for i := range 3 {
		want := []string{fmt.Sprintf("checkpoints/late-1-script-1/1/%d.tar.gz", i+1)}
		s.until(fmt.Sprint("only checkpoint ", i+1, " is there"), func() bool { return fmt.Sprint(s.blobs.keys("checkpoints/")) == fmt.Sprint(want) })
		release(t, filepath.Join(dir, fmt.Sprint(i+1)))
	}
	_, p := s.finished()
	require.False(t, p.Succeeded)
	require.NotNil(t, p.Log, "a failed trial's log is kept too")
	s.until("a failed trial has no use for them", func() bool { return len(s.blobs.keys("checkpoints/")) == 0 })
	s.empty()
}

func TestBrokenCheckpointIsNoReasonToFail(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*memory, string){
		"lost":    func(m *memory, key string) { _ = m.Delete(context.Background(), key) },
		"changed": func(m *memory, key string) { _, _ = m.PutBytes(context.Background(), key, []byte("other")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			spec, goFile := s.stepping(2)
			stop := s.work()
			s.publish(spec)
			s.until("the trainer runs", func() bool {
				b, _ := os.ReadFile(filepath.Join(s.dir, spec.Trial, "checkpoints-1", "steps"))
				return string(b) == "2\n"
			})
			stop()
			spoil(s.blobs, s.blobs.keys("checkpoints/")[0])
			release(t, goFile)
			s.work()
			_, p := s.finished()
			require.True(t, p.Succeeded, p.Reason)
			require.Contains(t, s.log(p), "tidemill: checkpoint 1 of attempt 1 can't be had")
			require.Contains(t, s.log(p), "begin after step 0\n")
			s.empty()
		})
	}
}

func TestPoisonFailsWithItsLastLines(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.options.Tries = 3
	spec := s.trial("echo never reached", nil)
	for i := range 3 {
		attempt, err := s.attempts.Begin(t.Context(), spec.Trial)
		require.NoError(t, err)
		if i == 1 {
			require.NoError(t, s.attempts.Note(t.Context(), attempt, []byte(`{"log":["loading","allocating 1 TiB"]}`)))
		}
	}
	s.publish(spec)
	s.work()
	_, p := s.finished()
	require.False(t, p.Succeeded)
	require.Equal(t, "its workers died 3 times while it ran; its last line: allocating 1 TiB", p.Reason)
	require.Equal(t, []string{"loading", "allocating 1 TiB"}, p.LogTail)
	require.Equal(t, 4, p.Attempt)
	s.empty()
	letters, err := bus.NewDead(s.js).List(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, letters)
}

// A job that this worker can't read, perhaps of a newer platform, must not leave its cycle waiting.
func TestUnreadableTrialFails(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.work()
	spec := builtin()
	spec.Candidate.Trainer = "builtin/forest"
	s.publish(spec)
	_, p := s.finished()
	require.False(t, p.Succeeded)
	require.Contains(t, p.Reason, `worker w1 can't read the trial: decode trial "late-1-logistic-1": unknown trainer "builtin/forest"`)
	s.empty()
}

// A worker that drains ends what it does, and shows that it takes nothing new.
func TestDrainingWorkerEndsItsTrial(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.options.Drain, s.options.Slots = time.Minute, 2
	crew := jobs.NewCrew(s.js, jobs.PresenceOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	watching := make(chan error, 1)
	go func() { watching <- crew.Run(ctx, func() {}) }()
	defer func() { cancel(); require.NoError(t, <-watching) }()
	spec, goFile := s.stepping(1)
	stop := s.work()
	s.publish(spec)
	s.facts(events.TrialStartedType, 1)
	s.until("the worker is busy", func() bool { w := crew.Workers(); return len(w) == 1 && w[0].Busy == 1 && crew.Slots("default") == 2 })
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	s.until("the worker drains", func() bool { return crew.Slots("default") == 0 })
	require.True(t, crew.Workers()[0].Draining)
	next := builtin()
	s.publish(next)
	release(t, goFile)
	_, p := s.finished()
	require.True(t, p.Succeeded, p.Reason)
	require.Equal(t, spec.Trial, p.Trial)
	require.Equal(t, 1, p.Attempt)
	<-stopped
	s.until("the worker is gone", func() bool { return len(crew.Workers()) == 0 })
	n, err := jobs.NewQueue(s.js).Waiting(t.Context(), runtime.JobKind, "default")
	require.NoError(t, err)
	require.Equal(t, 1, n, "the next trial is for another worker")
}

// What the worker left of trials that are over goes when it starts again.
func TestLeftoversAreSwept(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	over, err := s.attempts.Begin(t.Context(), "over-1")
	require.NoError(t, err)
	require.NoError(t, s.attempts.Finish(t.Context(), over, []byte("{}")))
	_, err = s.attempts.Begin(t.Context(), "running-1")
	require.NoError(t, err)
	for _, trial := range []string{"over-1", "running-1"} {
		require.NoError(t, os.MkdirAll(filepath.Join(s.dir, trial, "checkpoints-1"), 0o755))
	}
	s.work()
	require.NoDirExists(t, filepath.Join(s.dir, "over-1"))
	require.DirExists(t, filepath.Join(s.dir, "running-1"))
}

// noted is what the newest attempt at a trial has noted.
func (s *shop) noted(trial string) (n struct {
	Number int
	Log    []string
}, err error,
) {
	kv, err := s.js.KeyValue(s.t.Context(), events.BucketTrials)
	if err != nil {
		return n, err
	}
	entry, err := kv.Get(s.t.Context(), trial)
	if err != nil {
		return n, err
	}
	var doc struct{ Value struct{ Note []byte } }
	if err := json.Unmarshal(entry.Value(), &doc); err != nil {
		return n, err
	}
	return n, json.Unmarshal(doc.Value.Note, &n)
}

// said are the facts of a type that are in the ledger now.
func (s *shop) said(ty events.Type) (out []events.Fact) {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), events.StreamFacts)
	require.NoError(s.t, err)
	last := stream.CachedInfo().State.LastSeq
	for seq := uint64(1); seq <= last; seq++ {
		m, err := stream.GetMsg(s.t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		require.NoError(s.t, err)
		var f events.Fact
		require.NoError(s.t, json.Unmarshal(m.Data, &f))
		if f.Type == ty {
			out = append(out, f)
		}
	}
	return out
}

// Somebody's kill -9 is no fault of the trainer, unless it happens again and again.
func TestKilledTrainerGoesOn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.options.Tries = 3
	s.work()
	s.publish(s.trial(`test -f "$TIDEMILL_CHECKPOINT_DIR/seen" || { touch "$TIDEMILL_CHECKPOINT_DIR/seen"; kill -KILL $$; }
cp model.bin $SM_MODEL_DIR/model.onnx`, map[string][]byte{"model.bin": onnx(0.1, "probabilities")}))
	_, p := s.finished()
	require.True(t, p.Succeeded, p.Reason)
	require.Equal(t, 2, p.Attempt)
	require.Contains(t, s.log(p), "resumed from checkpoint 1 of attempt 1")
	s.empty()

	s = newShop(t)
	s.options.Tries = 3
	s.work()
	s.publish(s.trial("echo here; kill -KILL $$", nil))
	_, p = s.finished()
	require.False(t, p.Succeeded)
	require.Equal(t, 3, p.Attempt)
	require.Contains(t, p.Reason, "the trainer was killed (SIGKILL)")
	s.empty()
}
