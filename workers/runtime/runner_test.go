package runtime_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/workers/runtime"
)

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func TestBuiltinTrial(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, tail, err := b.run(context.Background(), builtin())
	require.NoError(t, err)
	require.NotEmpty(t, r.ONNX)
	require.Equal(t, []string{"false", "true"}, r.Contract.Classes)
	require.Equal(t, "columns", r.Contract.Input)
	require.EqualValues(t, 480, r.TrainRows)
	require.EqualValues(t, 72, r.ValidationRows)
	require.EqualValues(t, 168, r.TestRows)
	require.Equal(t, day(23).Add(-time.Hour), r.TrainedThrough)
	require.Greater(t, r.Validation["auc"], 0.8)
	require.Contains(t, r.Validation, "logloss")
	require.Contains(t, r.Reported, "loss")
	require.NotEmpty(t, r.Environment["go"])
	require.Equal(t, map[string]any{"l2": 1.0}, r.Params)
	require.Contains(t, strings.Join(tail, "\n"), "480 rows")

	var phases []string
	for _, u := range b.updates {
		if len(phases) == 0 || phases[len(phases)-1] != u.Phase {
			phases = append(phases, u.Phase)
		}
	}
	require.Equal(t, []string{runtime.PhasePreparing, runtime.PhaseTraining, runtime.PhaseChecking, runtime.PhaseScoring}, phases)
	again, _, err := b.run(context.Background(), builtin())
	require.NoError(t, err)
	require.Equal(t, r.ONNX, again.ONNX, "the same trial trains the same model")
}

func TestBuiltinTrialFails(t *testing.T) {
	t.Parallel()
	for words, spoil := range map[string]func(*runtime.Spec){
		"has no parameter \"depth\"":           func(s *runtime.Spec) { s.Params = map[string]any{"depth": 3} },
		"there are no training rows":           func(s *runtime.Spec) { s.Train = runtime.Range{To: day(0)} },
		"there are no validation rows":         func(s *runtime.Spec) { s.Validation = runtime.Range{From: day(40)} },
		"longer than its limit":                func(s *runtime.Spec) { s.Candidate.Resources.Time = 1 },
		"l2 must be greater than 0":            func(s *runtime.Spec) { s.Params = map[string]any{"l2": -1.0} },
		"maxIter must be a number, it is many": func(s *runtime.Spec) { s.Params = map[string]any{"maxIter": "many"} },
	} {
		s := builtin()
		spoil(&s)
		_, _, err := newBench(t).run(context.Background(), s)
		var failure *runtime.Failure
		require.ErrorAs(t, err, &failure, words)
		require.ErrorContains(t, err, words)
	}
	b := newBench(t)
	b.data.fail = errors.New("the disk is gone")
	_, _, err := b.run(context.Background(), builtin())
	var failure *runtime.Failure
	require.False(t, errors.As(err, &failure), "the platform's own trouble is no failure of the trial")
	require.ErrorContains(t, err, "preparing: the disk is gone")
}

// The script sees the contract's environment, and nothing else of the worker's.
func TestProcessTrial(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.options.Getenv = func(name string) string {
		return map[string]string{"PATH": os.Getenv("PATH"), "SECRET": "hush"}[name]
	}
	s := b.trial(`
set -e
env | sort > "$SM_OUTPUT_DATA_DIR/env"
while read -r line; do echo "env $line"; done < "$SM_OUTPUT_DATA_DIR/env"
echo "args $*"
echo "rows $(wc -l < "$SM_CHANNEL_TRAIN/train.csv") $(wc -l < "$SM_CHANNEL_VALIDATION/validation.csv")"
printf 'schema '; tr -d '\n' < "$SM_CHANNEL_TRAINING/schema.json"; echo
echo '{"auc": 0.7, "epoch": 3, "note": "text", "progress": 0.5}'
echo "valid_0's binary_logloss: 0.43" >&2
test -d "$TIDEMILL_CHECKPOINT_DIR"
cp model.bin "$SM_MODEL_DIR/model.onnx"
`, map[string][]byte{"model.bin": onnx(0.1, "probabilities")})
	s.Candidate.Params = map[string]any{"num-leaves": 31.0, "mode": "fast & loose"}
	s.Params = map[string]any{"num-leaves": 63.0}
	s.Candidate.Metrics = []resource.MetricRegex{{Name: "binary_logloss", Regex: `binary_logloss: ([0-9.]+)`}}
	r, tail, err := b.run(context.Background(), s)
	require.NoError(t, err)
	log := strings.Join(tail, "\n")
	for _, words := range []string{"env SM_HP_NUM_LEAVES=63", "env SM_HP_MODE=fast & loose", `env SM_HPS={"mode":"fast \u0026 loose","num-leaves":63}`,
		"env TIDEMILL_SEED=7", "env SM_NUM_GPUS=0", "args --mode fast & loose --num-leaves 63", "rows 481 73",
		`"features": [`, `"label": "label"`, `"file": "train.csv"`} {
		require.Contains(t, log, words)
	}
	require.NotContains(t, log, "SECRET")
	allowed := []string{"SM_", "TIDEMILL_", "PYTHON", "PATH=", "HOME=", "LANG=", "TMPDIR=", "PWD=", "OLDPWD=", "SHLVL=", "_="}
	for _, line := range tail {
		if name, ok := strings.CutPrefix(line, "env "); ok {
			require.True(t, hasAny(name, allowed), name)
		}
	}
	require.Equal(t, map[string]float64{"auc": 0.7, "epoch": 3, "binary_logloss": 0.43}, r.Reported)
	require.NotEqual(t, 0.7, r.Validation["auc"], "the platform scores by itself")
	require.Equal(t, s.Code.SHA256, r.CodeDigest)
	half := false
	for _, u := range b.updates {
		half = half || u.Fraction == 0.5
	}
	require.True(t, half, "progress is passed on")
	entries, err := os.ReadDir(filepath.Join(b.dir, s.Trial))
	require.NoError(t, err)
	require.Len(t, entries, 2, "checkpoints and the log stay, the scratch folder goes")
	require.NoError(t, b.runner().Forget(s.Trial))
	require.NoDirExists(t, filepath.Join(b.dir, s.Trial))
}

func hasAny(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

func TestProcessTrialFails(t *testing.T) {
	t.Parallel()
	leave := "cp model.bin $SM_MODEL_DIR/model.onnx"
	for words, c := range map[string]struct {
		script string
		model  []byte
		change func(*runtime.Spec)
	}{
		"exit code 3; its last line: no such column":              {script: "echo fine; echo no such column >&2; exit 3"},
		"exit code 127 (a command was not found)":                 {script: "frobnicate"},
		"was killed (SIGKILL)":                                    {script: "kill -KILL $$"},
		"crashed on bad memory access (SIGSEGV)":                  {script: "kill -SEGV $$"},
		"left no model.onnx in SM_MODEL_DIR (the folder is empty": {script: "true"},
		"it holds model.pkl":                                      {script: "echo > $SM_MODEL_DIR/model.pkl"},
		"no file of a model (0 bytes)":                            {script: "> $SM_MODEL_DIR/model.onnx"},
		"not an ONNX model":                                       {script: leave, model: []byte("pickle")},
		"scores NaN":                                              {script: leave, model: onnx(float32(math.NaN()), "probabilities")},
		"no output \"probabilities\"":                             {script: leave, model: onnx(1, "scores")},
		"no input \"x\"":                                          {script: leave, model: zipMap("y", false)},
		"is a ZipMap":                                             {script: leave, model: zipMap("x", true)},
		"resources.time 1s":                                       {script: "sleep 60", change: func(s *runtime.Spec) { s.Candidate.Resources.Time = resource.Duration(time.Second) }},
		"\"frobnicate\" is not installed on this worker":          {change: func(s *runtime.Spec) { s.Candidate.Command = []string{"frobnicate"} }},
		"\"./train\" does not exist in the candidate's source":    {change: func(s *runtime.Spec) { s.Candidate.Command = []string{"./train"} }},
		"\"./train.sh\" may not be executed":                      {change: func(s *runtime.Spec) { s.Candidate.Command = []string{"./train.sh"} }},
		"needs a group around the number":                         {change: func(s *runtime.Spec) { s.Candidate.Metrics = []resource.MetricRegex{{Name: "m", Regex: "x"}} }},
		"source in blob storage is corrupt":                       {change: func(s *runtime.Spec) { s.Code.SHA256 = "00" }},
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			s := b.trial(c.script, map[string][]byte{"model.bin": c.model})
			if c.change != nil {
				c.change(&s)
			}
			_, _, err := b.run(context.Background(), s)
			var failure *runtime.Failure
			require.ErrorAs(t, err, &failure)
			require.ErrorContains(t, err, words)
		})
	}
}

// Cancelling ends the whole process group, even a part of it that ignores SIGTERM.
func TestCancelKillsTheGroup(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pids := filepath.Join(t.TempDir(), "pids")
	s := b.trial(`
(trap '' TERM; echo $$ ; sh -c 'trap "" TERM; echo $PPID $$ > `+pids+`; while :; do sleep 1; done') &
echo started
wait
`, nil)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan error, 1)
	go func() {
		_, _, err := b.run(ctx, s)
		done <- err
	}()
	require.Eventually(t, func() bool { text, _ := os.ReadFile(pids); return len(strings.Fields(string(text))) == 2 }, 10*time.Second, 10*time.Millisecond)
	cancel(runtime.ErrCancelled)
	require.ErrorIs(t, <-done, runtime.ErrCancelled)
	text, err := os.ReadFile(pids)
	require.NoError(t, err)
	for _, field := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(field)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return gone(pid) }, 5*time.Second, 10*time.Millisecond, "process %d still runs", pid)
	}
}

// gone tells whether a process has ended; a zombie that nobody has reaped has.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// A trainer that ends well while a child of its keeps its output open is done all the same.
func TestChildThatOutlivesTheTrainer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.trial("sleep 300 & cp model.bin $SM_MODEL_DIR/model.onnx", map[string][]byte{"model.bin": onnx(1, "probabilities")})
	began := time.Now()
	_, _, err := b.run(context.Background(), s)
	require.NoError(t, err)
	require.Less(t, time.Since(began), 10*time.Second)
}

func TestLongAndOddOutput(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.trial(`
i=0; while [ $i -lt 200 ]; do echo "line $i"; i=$((i+1)); done
printf '10%%\r50%%\r100%%\r\n'
head -c 100000 /dev/zero | tr '\0' 'x'; echo
printf '\377\376 not text\n'
echo '{"auc": "high"}'; echo '{broken'; echo '[1]'
printf 'no end'
cp model.bin $SM_MODEL_DIR/model.onnx
`, map[string][]byte{"model.bin": onnx(1, "probabilities")})
	r, tail, err := b.run(context.Background(), s)
	require.NoError(t, err)
	require.Len(t, tail, 50)
	require.Equal(t, "no end", tail[49])
	require.Contains(t, tail, "50%")
	require.Empty(t, r.Reported)
	log, err := os.ReadFile(filepath.Join(b.dir, s.Trial, "attempt-1.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "line 0\nline 1\n")
}

func TestSpecRoundTrip(t *testing.T) {
	t.Parallel()
	want := builtin()
	text, err := json.Marshal(want)
	require.NoError(t, err)
	got, err := runtime.DecodeSpec(text)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for words, spoil := range map[string]func(*runtime.Spec){
		"no trial":         func(s *runtime.Spec) { s.Trial = "" },
		"unknown task":     func(s *runtime.Spec) { s.Task = "clustering" },
		"no segments":      func(s *runtime.Spec) { s.Segments = nil },
		"needs a command":  func(s *runtime.Spec) { s.Candidate.Trainer = "process" },
		"builtin/linear o": func(s *runtime.Spec) { s.Candidate.Trainer = "builtin/forest" },
	} {
		s := builtin()
		spoil(&s)
		require.ErrorContains(t, s.Check(), words)
	}
}

func FuzzDecodeSpec(f *testing.F) {
	text, err := json.Marshal(builtin())
	require.NoError(f, err)
	f.Add(text)
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := runtime.DecodeSpec(b); err == nil && s.Check() != nil {
			t.Fatal("decoded a spec that doesn't hold")
		}
	})
}
