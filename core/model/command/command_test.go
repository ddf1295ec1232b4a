package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/archive"
	"github.com/tidemill/tidemill/core/model/command"
	"github.com/tidemill/tidemill/core/model/modeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log keeps what commands print on standard error.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(_ command.Name, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// with are the rests of the lines that begin with a word.
func (l *log) with(word string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if rest, ok := strings.CutPrefix(line, word+" "); ok {
			out = append(out, rest)
		}
	}
	return out
}

func packed(t testing.TB, files map[string]string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
	}
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	b, _, err := archive.Pack(root, archive.Options{Limit: 1 << 20})
	require.NoError(t, err)
	return b
}

// script is testdata/predict.py as a source folder, with its weights for a contract as the model folder.
func script(t testing.TB, c model.Contract) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "predict.py"))
	require.NoError(t, err)
	weights, err := json.Marshal(map[string]string{"task": c.Task})
	require.NoError(t, err)
	return map[string][]byte{model.CodeFile: packed(t, map[string]string{"predict.py": string(text)}),
		model.ExtrasFile: packed(t, map[string]string{"weights.json": string(weights)})}
}

var python = model.PredictCommand{Command: []string{"python3", "predict.py"}, Folder: model.FolderCode}

// impatient starts again soon.
func impatient(t testing.TB) command.Options {
	return command.Options{Dir: t.TempDir(), Backoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond}
}

func opened(t testing.TB, o command.Options, c model.Contract) *command.Predictor {
	t.Helper()
	p, err := command.Open(t.Context(), o, command.Name{Model: "m", Version: "1"}, python, script(t, c), c)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func TestPythonIsAPredictor(t *testing.T) {
	t.Parallel()
	modeltest.Run(t, func(t testing.TB, c model.Contract) model.Predictor { return opened(t, impatient(t), c) })
}

// shellScript answers 0.25, 0.75 for every row.
const shellScript = `#!/bin/sh
echo "id $(id -u):$(id -g)" >&2
touch "$SM_MODEL_DIR/mine" || exit 1
while read -r line; do
	id=$(expr "$line" : '{"id":\([0-9]*\),')
	rows=$(printf %s "$line" | awk '{ print gsub(/"distance":/, "") }')
	out=
	while [ "$rows" -gt 0 ]; do out="$out${out:+,}[0.25,0.75]"; rows=$((rows - 1)); done
	echo "{\"id\":$id,\"probabilities\":[$out]}"
done
`

// A program that a trainer left in its model folder, in the shell's own language.
func TestAShellScriptInTheModelFolder(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{model.ExtrasFile: packed(t, map[string]string{"predict": shellScript})}
	p, err := command.Open(t.Context(), impatient(t), command.Name{}, model.PredictCommand{Command: []string{"./predict"}, Folder: model.FolderModel}, files, modeltest.Binary)
	require.NoError(t, err)
	defer p.Close()
	b, _ := modeltest.Batch(3)
	got, err := p.Score(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, []float32{0.25, 0.75, 0.25, 0.75, 0.25, 0.75}, got)
}

// say scores one row whose origin makes the script misbehave.
func say(t testing.TB, p *command.Predictor, what string) error {
	t.Helper()
	b, _ := modeltest.Batch(2)
	b.Columns[1].Text[0] = "!" + what
	_, err := p.Score(t.Context(), b)
	return err
}

// answers waits until the predictor answers again, and rightly.
func answers(t testing.TB, p *command.Predictor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, z := modeltest.Batch(1)
	for {
		got, err := p.Score(ctx, b)
		var unavailable *model.Unavailable
		if errors.As(err, &unavailable) {
			_ = p.Await(ctx)
			continue
		}
		require.NoError(t, err)
		require.InDelta(t, 1/(1+1/exp(z[0])), got[1], 1e-5)
		return
	}
}

func exp(z float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; k < 60; k++ {
		term *= z / k
		sum += term
	}
	return sum
}

// What a command does wrong fails the request that it happens in, says why, and nothing after it.
func TestBadAnswersFailOneRequest(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]string{
		"print:hello":                     `it printed "hello" on standard output, which is no answer`,
		"print:[1,2]":                     "which is no answer",
		"print:{}":                        "doesn't name the request's id",
		"id:99":                           "doesn't name the request's id",
		"width:3":                         `row 0 of its "probabilities" has 3 values, not 2`,
		"rows:2":                          "of 2 rows and answered 4",
		"rows:0":                          "of 2 rows and answered 0",
		"error:I know no such airport":    "it answered with an error: I know no such airport",
		"print:{\"id\":1,\"id\":\"one\"}": "which is no answer",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p := opened(t, impatient(t), modeltest.Binary)
			err := say(t, p, what)
			var broken *model.BrokenContract
			require.ErrorAs(t, err, &broken)
			require.ErrorContains(t, err, want)
			answers(t, p)
		})
	}
}

func TestAnswersThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	p := opened(t, impatient(t), modeltest.Binary)
	require.NoError(t, say(t, p, "again"), "the first of the two is the answer")
	b, _ := modeltest.Batch(1)
	var err error
	for err == nil { // the second one comes a moment later
		_, err = p.Score(t.Context(), b)
	}
	var broken *model.BrokenContract
	require.ErrorAs(t, err, &broken)
	answers(t, p)
}

func TestDeathsAreExplainedAndMended(t *testing.T) {
	t.Parallel()
	p := opened(t, impatient(t), modeltest.Binary)
	for what, want := range map[string]string{"exit:3": "exit code 3; its last line: the last words", "exit:0": "it ended by itself", "signal:9": "killed"} {
		err := say(t, p, what)
		var unavailable *model.Unavailable
		require.ErrorAs(t, err, &unavailable, what)
		require.ErrorContains(t, err, want)
		answers(t, p)
	}
}

func TestSlowAnswersAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	o := impatient(t)
	o.Timeout = 300 * time.Millisecond
	p := opened(t, o, modeltest.Binary)
	err := say(t, p, "sleep:600")
	var unavailable *model.Unavailable
	require.ErrorAs(t, err, &unavailable)
	require.ErrorContains(t, err, "no answer within 300ms")
	answers(t, p)
}

// A request that nobody waits for any more holds the next one up, but its answer is never taken for another's.
func TestARequestThatIsGivenUp(t *testing.T) {
	t.Parallel()
	p := opened(t, impatient(t), modeltest.Binary)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	b, _ := modeltest.Batch(1)
	b.Columns[1].Text[0] = "!sleep:0.3"
	_, err := p.Score(ctx, b)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	answers(t, p)
}

func TestLinesHaveABound(t *testing.T) {
	t.Parallel()
	o := impatient(t)
	o.MaxLine = 100_000
	p := opened(t, o, modeltest.Binary)
	require.NoError(t, say(t, p, "long:90000"))
	require.ErrorContains(t, say(t, p, "long:200000"), "a line of more than 100000 bytes")
	answers(t, p)
}

func TestNothingOutlivesThePredictor(t *testing.T) {
	t.Parallel()
	o, l := impatient(t), &log{}
	o.Log = l.add
	p := opened(t, o, modeltest.Binary)
	require.NoError(t, say(t, p, "children:2"))
	eventually(t, func() bool { return len(l.with("child")) == 2 })
	require.ErrorContains(t, say(t, p, "exit:1"), "exit code 1")
	answers(t, p)
	require.NoError(t, say(t, p, "children:1"))
	eventually(t, func() bool { return len(l.with("child")) == 3 })
	p.Close()
	for _, text := range l.with("child") {
		pid, err := strconv.Atoi(text)
		require.NoError(t, err)
		eventually(t, func() bool { return !lives(pid) })
	}
	left, err := os.ReadDir(o.Dir)
	require.NoError(t, err)
	require.Empty(t, left, "its folder is gone")
}

// lives tells whether a process is there and no zombie that nobody reaps.
func lives(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func eventually(t testing.TB, done func() bool) {
	t.Helper()
	require.Eventually(t, done, time.Minute, 5*time.Millisecond)
}

func TestTheEnvironmentIsScrubbed(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "do not tell")
	o, l := impatient(t), &log{}
	o.Log = l.add
	var code string
	o.Environment = func(_ context.Context, dir string) (string, error) {
		code = dir
		return "/opt/its-own/bin", nil
	}
	p := opened(t, o, modeltest.Binary)
	require.NoError(t, say(t, p, "env"))
	eventually(t, func() bool { return len(l.with("env")) == 1 })
	require.Equal(t, []string{"binaryClassification"}, l.with("loaded"))
	var env map[string]string
	require.NoError(t, json.Unmarshal([]byte(l.with("env")[0]), &env))
	require.FileExists(t, filepath.Join(code, "predict.py"))
	root := filepath.Dir(code)
	require.Equal(t, filepath.Join(root, "model"), env["SM_MODEL_DIR"])
	require.Equal(t, filepath.Join(root, "tmp"), env["HOME"])
	require.Contains(t, env["PATH"], "/opt/its-own/bin:"+os.Getenv("PATH")) // a shim of python3 may add its own
	require.NotContains(t, env, "AWS_SECRET_ACCESS_KEY")
}

func TestWhatCannotBeOpened(t *testing.T) {
	t.Parallel()
	good := script(t, modeltest.Binary)
	open := func(c model.PredictCommand, files map[string][]byte, contract model.Contract) error {
		o := impatient(t)
		_, err := command.Open(t.Context(), o, command.Name{}, c, files, contract)
		left, readErr := os.ReadDir(o.Dir)
		require.NoError(t, readErr)
		require.Empty(t, left, "nothing is left behind")
		return err
	}
	run := func(command ...string) model.PredictCommand {
		return model.PredictCommand{Command: command, Folder: model.FolderCode}
	}
	var broken *model.BrokenContract
	err := open(run("no-such-program"), good, modeltest.Binary)
	require.ErrorAs(t, err, &broken)
	require.ErrorContains(t, err, "not installed")
	require.ErrorAs(t, open(run("./nothing"), good, modeltest.Binary), &broken)
	require.ErrorContains(t, open(run("python3", "-c", "import sys; sys.exit('no torch here')"), good, modeltest.Binary), "no torch here")
	require.ErrorContains(t, open(run("python3", "-c", "print('Welcome!', flush=True); input()"), good, modeltest.Binary), "Welcome!")
	err = open(run("python3", "predict.py"), good, modeltest.Multiclass)
	require.ErrorAs(t, err, &broken, "a model of other classes")
	require.ErrorContains(t, err, "2 values, not 3")
	impossible := `import json,sys
for line in sys.stdin:
    r = json.loads(line)
    print(json.dumps({"id": r["id"], "probabilities": [[0.9, 0.9] for _ in r["rows"]]}), flush=True)`
	require.ErrorContains(t, open(run("python3", "-c", impossible), good, modeltest.Binary), "sums to 1.8")
	require.ErrorIs(t, open(run("python3"), map[string][]byte{model.CodeFile: []byte("x")}, modeltest.Binary), archive.ErrUnsafe)
	require.Error(t, open(run("python3"), good, model.Contract{}))

	o := impatient(t)
	o.Environment = func(context.Context, string) (string, error) { return "", errors.New("pip says no") }
	_, err = command.Open(t.Context(), o, command.Name{}, python, good, modeltest.Binary)
	require.ErrorContains(t, err, "pip says no")
}

// A command that can't be started again is tried more and more seldom, and requests meanwhile fail at once.
func TestACommandThatStaysAway(t *testing.T) {
	t.Parallel()
	o := impatient(t)
	o.Timeout = time.Minute
	p := opened(t, o, modeltest.Binary)
	folders, err := filepath.Glob(filepath.Join(o.Dir, "*", "model", "weights.json"))
	require.NoError(t, err)
	require.Len(t, folders, 1)
	text, err := os.ReadFile(folders[0])
	require.NoError(t, err)
	require.NoError(t, os.Remove(folders[0]))
	require.ErrorContains(t, say(t, p, "exit:1"), "exit code 1")
	var unavailable *model.Unavailable
	eventually(t, func() bool { return errors.As(p.Await(t.Context()), &unavailable) })
	require.ErrorContains(t, unavailable, "can't be started again")
	require.ErrorContains(t, unavailable, "weights.json")
	require.NoError(t, os.WriteFile(folders[0], text, 0o600))
	answers(t, p)
}

// As root, commands can run as somebody without rights; anybody else is told that this takes root.
func TestAnotherUser(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "predict-user-") //nolint:usetesting // others can't enter the folders of t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o711))
	o, l := impatient(t), &log{}
	o.Dir, o.Log, o.User, o.Path = dir, l.add, &syscall.Credential{Uid: 65534, Gid: 65534}, "/usr/bin:/bin"
	files := map[string][]byte{model.ExtrasFile: packed(t, map[string]string{"predict": shellScript})}
	p, err := command.Open(t.Context(), o, command.Name{}, model.PredictCommand{Command: []string{"./predict"}, Folder: model.FolderModel}, files, modeltest.Binary)
	if os.Geteuid() != 0 {
		require.ErrorContains(t, err, "not permitted")
		return
	}
	require.NoError(t, err)
	defer p.Close()
	require.Equal(t, []string{"65534:65534"}, l.with("id"))
}
