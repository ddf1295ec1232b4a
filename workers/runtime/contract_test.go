package runtime_test

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/core/search"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/workers/runtime"
)

// reports prints so many reports of auc, falling, and waits for its end.
const reports = `
trap 'echo told to end; exit 0' TERM
i=1; while [ $i -le 600 ]; do echo "{\"auc\": 0.$((900-i)), \"loss\": 1}"; i=$((i+1)); done
`

func TestEarlyStopping(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.trial(reports+"while :; do sleep 0.01; done", nil)
	s.Stop = &search.Stop{Metric: "auc", Maximize: true, After: 4, Curve: []events.Point{{Step: 1, Value: 0.1}, {Step: 4, Value: 0.95}}}
	r, tail, err := b.run(t.Context(), s)
	var stopped *runtime.Stopped
	require.ErrorAs(t, err, &stopped)
	require.EqualError(t, err, "early stopping: auc 0.899 at report 4 is worse than the median 0.95 of earlier trials")
	require.Contains(t, strings.Join(tail, "\n"), "told to end")
	require.GreaterOrEqual(t, len(r.Curve), 4)
	require.Nil(t, r.ONNX)

	// One that does better goes on to its end; its curve is thinned.
	s = b.trial(reports+leave, map[string][]byte{"model.bin": onnx(1, "probabilities")})
	s.Stop = &search.Stop{Metric: "auc", Maximize: true, After: 4, Curve: []events.Point{{Step: 4, Value: 0.5}}}
	r, _, err = b.run(t.Context(), s)
	require.NoError(t, err)
	require.Len(t, r.Curve, 200)
	require.Equal(t, events.Point{Step: 3, Value: 0.897}, r.Curve[0])
	require.Equal(t, 600, r.Curve[199].Step)

	// The first trials of a search have nothing to be compared with, and are what later ones are compared with.
	s.Stop = nil
	s.Candidate.Search = &resource.Search{EarlyStop: &resource.EarlyStop{Metric: "loss"}}
	r, _, err = b.run(t.Context(), s)
	require.NoError(t, err)
	require.Len(t, r.Curve, 200)
	require.Equal(t, 1.0, r.Curve[7].Value)
}

func TestRefitIsTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.trial(`echo "$TIDEMILL_REFIT $TIDEMILL_REPORTED"; exit 1`, nil)
	s.Refit, s.Reported = true, map[string]float64{"best": 31}
	_, tail, err := b.run(t.Context(), s)
	require.Error(t, err)
	require.Equal(t, []string{`1 {"best":31}`}, tail)
}

// A trial that may begin from the champion finds its model and what else its trainer left.
func TestWarmStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	keys, err := model.NewKeyring(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	require.NoError(t, err)
	b.options.Keys = keys
	contract := model.Contract{Task: resource.TaskBinary, Input: "columns", Classes: []string{"false", "true"},
		Features: []model.Feature{{Name: "x", Kind: model.KindNumeric}, {Name: "place", Kind: model.KindString}}}
	left := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(left, "trees.txt"), []byte("oak"), 0o644))
	extras, err := runtime.PackSource(left)
	require.NoError(t, err)
	champion, err := model.Build(model.Manifest{Model: "late", Version: "3", Contract: contract},
		map[string][]byte{model.ModelFile: onnx(1, "probabilities"), model.ExtrasFile: extras}, keys)
	require.NoError(t, err)
	require.NoError(t, champion.Write(t.Context(), b.blobs))
	ref := champion.Ref()

	s := b.trial(`ls "$SM_CHANNEL_MODEL"; cat "$SM_CHANNEL_MODEL/trees.txt"; exit 1`, nil)
	s.WarmStart = &ref
	_, tail, err := b.run(t.Context(), s)
	require.Error(t, err)
	require.Equal(t, []string{"model.onnx", "trees.txt", "oak"}, tail)

	ref.SHA256 = strings.Repeat("0", 64)
	_, _, err = b.run(t.Context(), s)
	require.ErrorIs(t, err, model.ErrCorrupt)
}

// An imported model is judged like any other; nothing is trained.
func TestImport(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	blob, err := b.blobs.PutBytes(t.Context(), "m", onnx(0.1, "probabilities"))
	require.NoError(t, err)
	through := time.Date(2000, 5, 1, 0, 0, 0, 0, time.UTC)
	s := builtin()
	s.Candidate = resource.Candidate{Name: "mine", Trainer: runtime.TrainerImport, Pool: "default"}
	s.Import = &events.Import{ONNX: blob, TrainedThrough: through, Name: "mine.onnx"}
	r, _, err := b.run(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, onnx(0.1, "probabilities"), r.ONNX)
	require.Equal(t, through, r.TrainedThrough)
	require.Zero(t, r.TrainRows)
	require.Contains(t, r.Validation, "auc")

	s.Import.ONNX.SHA256 = "00"
	_, _, err = b.run(t.Context(), s)
	require.ErrorContains(t, err, "import it again")
	s.Import.ONNX, err = b.blobs.PutBytes(t.Context(), "n", []byte("pickle"))
	require.NoError(t, err)
	_, _, err = b.run(t.Context(), s)
	var failure *runtime.Failure
	require.ErrorAs(t, err, &failure)
	require.ErrorContains(t, err, "ONNX")
}

// running are the processes that have an argument.
func running(arg string) []string {
	var out []string
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		if b, err := os.ReadFile(path); err == nil && strings.Contains(string(b), "\x00"+arg+"\x00") {
			out = append(out, path)
		}
	}
	return out
}

// Trials run as another user, who can reach nothing but what is theirs, and leave nothing that the worker can't remove.
func TestOwnUser(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"0", "root", "0:0", "no-such-user-here", "5:x", ":"} {
		_, err := runtime.ParseUser(wrong)
		require.Error(t, err, wrong)
	}
	none, err := runtime.ParseUser("")
	require.NoError(t, err)
	require.Nil(t, none)
	user, err := runtime.ParseUser("12345:54321")
	if os.Geteuid() != 0 {
		require.ErrorContains(t, err, "start it as root, or leave the trial user out")
		return
	}
	require.NoError(t, err)

	data := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(data, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(data, "token"), []byte("hush"), 0o600))
	shared, err := runtime.SharedDir(data)
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(shared) })
	again, err := runtime.SharedDir(data)
	require.NoError(t, err)
	require.Equal(t, shared, again)

	b := newBench(t)
	b.dir, b.options.Dir, b.options.User = shared, shared, user
	p := newPython(t)
	b.options.Path = p.path
	s := b.trial(`
echo "$(id -u):$(id -g) $(ulimit -n) $(ulimit -f)"
(setsid env -i PATH=$PATH sh -c 'cd /; exec sleep 4141' >/dev/null 2>&1 &)
sleep 0.3
cat `+data+`/token; ls `+shared+`
touch "$VIRTUAL_ENV/bin/mine" && echo the environment is open
mkdir closed && touch closed/x && chmod 000 closed
echo 1 > "$TIDEMILL_CHECKPOINT_DIR/1"
(setsid sh -c 'sleep 300' &)
`+leave, map[string][]byte{"model.bin": onnx(1, "probabilities"), "requirements.txt": []byte("a\n")})
	s.Candidate.Resources = resource.Resources{OpenFiles: 64, OutputSize: 8 * mebi}
	require.NoError(t, os.Chmod(p.count, 0o777))
	for _, dir := range []string{p.count, strings.Split(p.path, ":")[0]} {
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	}
	_, tail, err := b.run(t.Context(), s)
	log := strings.Join(tail, "\n")
	require.NoError(t, err, log)
	require.Contains(t, log, "12345:54321 64 16384")
	require.Contains(t, log, "processes that the trainer started were still there")
	require.Empty(t, running("4141"))
	require.Contains(t, log, "token: Permission denied")
	require.NotContains(t, log, "hush")
	require.NotContains(t, log, "the environment is open")
	require.NoDirExists(t, filepath.Join(shared, s.Trial, "attempt-1"))

	s = b.trial("ln /etc/passwd $SM_MODEL_DIR/model.onnx || cp /etc/passwd $SM_MODEL_DIR/model.onnx", nil)
	_, _, err = b.run(t.Context(), s)
	require.Error(t, err)
}
