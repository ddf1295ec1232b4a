package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/model/onnxgraph"
	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

// millLease is how soon a silent worker of a mill is replaced.
const millLease = 2 * time.Second

// mill is a platform without workers, and workers in processes of their own. All may be killed and started again.
type mill struct {
	t        *testing.T
	platform *harness.Tidemill
	address  string // of the broker, which stays through restarts
	trainer  string // the script that every trial runs
	workers  []*harness.Process
	flags    []string // of workers
	started  int
}

func newMill(t *testing.T, flags ...string) *mill {
	t.Helper()
	m := &mill{t: t, address: freeAddress(t), flags: flags}
	m.start(harness.Dir(t))
	m.trainer = writeTrainer(t)
	return m
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func (m *mill) start(dir string) {
	targets := "gateway,ingestion,validation,monitoring,retraining,training,evaluation,deployment"
	m.platform = harness.Up(m.t, dir, nil, "--target", targets, "--nats", m.address)
}

// restart kills the platform, leaves it dead for a while, and starts it again.
func (m *mill) restart(after time.Duration) {
	m.platform.Kill()
	<-time.After(after)
	m.start(m.platform.Dir)
}

// worker starts one more worker with a data directory of its own, as on another machine.
func (m *mill) worker(flags ...string) *harness.Process {
	m.started++
	args := []string{"worker", "--nats-url", "nats://" + m.address, "--nats-token", m.platform.Endpoint.NATSToken,
		"--blob-url", "file://" + filepath.Join(m.platform.Dir, "blobs"), "--data-dir", filepath.Join(m.platform.Home, fmt.Sprintf("worker-%d", m.started)),
		"--lease", millLease.String(), "--checkpoint-every", "100ms", "--log-level", "info"}
	return harness.Start(m.t, harness.Env(m.platform.Home), append(append(args, m.flags...), flags...)...)
}

// writeTrainer writes a trainer in shell: it does steps of a quarter of a second, remembers each in its checkpoint folder, waits
// for the file that is named as its gate, if one is, and leaves a model that was made beforehand.
func writeTrainer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	g := onnxgraph.New("visits")
	g.Input("pages", onnxgraph.Float, onnxgraph.Rows, 1)
	g.Input("source", onnxgraph.String, onnxgraph.Rows, 1)
	g.Floats("slope", []float32{0.4}, 1)
	g.Floats("middle", []float32{-4}, 1)
	g.Node("Mul", []string{"pages", "slope"}, []string{"steep"})
	g.Node("Add", []string{"steep", "middle"}, []string{"z"})
	g.Node("Neg", []string{"z"}, []string{"nz"})
	g.Node("Concat", []string{"nz", "z"}, []string{"both"}, onnxgraph.AttrInt("axis", 1))
	g.Node("Sigmoid", []string{"both"}, []string{"probabilities"})
	g.Output("probabilities", onnxgraph.Float, onnxgraph.Rows, 2)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "model.onnx"), g.Marshal(), 0o644))
	script := `gate=$2 steps=$4 at=0
cd "$TIDEMILL_CHECKPOINT_DIR"
test -f step && at=$(cat step)
echo "begin after step $at"
while [ $at -lt $steps ]; do
  sleep 0.25
  at=$((at+1)); echo $at > step.tmp; mv step.tmp step
  echo "step $at"
done
until [ "$gate" = open ] || [ -e "$gate" ]; do sleep 0.1; done
cp ` + filepath.Join(dir, "model.onnx") + ` "$SM_MODEL_DIR/model.onnx"
`
	path := filepath.Join(dir, "train.sh")
	require.NoError(t, os.WriteFile(path, []byte(script), 0o644))
	return path
}

// candidates declares so many that run the trainer.
func (m *mill) candidates(n, steps int, gate string) string {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf("    - {name: c%d, trainer: process, command: [sh, %q], params: {gate: %q, steps: %d}}", i+1, m.trainer, gate, steps))
	}
	return strings.Join(lines, "\n")
}

// running are the trainers that run on this machine, by process, with their trials and attempts.
type running struct {
	pid     int
	trial   string
	attempt int
}

func (m *mill) trainers() (out []running) {
	entries, err := os.ReadDir("/proc")
	require.NoError(m.t, err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")) // it may be gone
		if !bytes.Contains(line, []byte(m.trainer)) {
			continue
		}
		r := running{pid: pid}
		environ, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		for v := range strings.SplitSeq(string(environ), "\x00") {
			if name, ok := strings.CutPrefix(v, "TIDEMILL_TRIAL="); ok {
				trial, attempt, _ := strings.Cut(name, "/")
				r.trial = trial
				r.attempt, _ = strconv.Atoi(attempt)
			}
		}
		out = append(out, r)
	}
	return out
}

// orphans are processes that trials have left behind.
func (m *mill) orphans() (out []int) {
	entries, err := os.ReadDir("/proc")
	require.NoError(m.t, err)
	for _, e := range entries {
		environ, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if pid, err := strconv.Atoi(e.Name()); err == nil && strings.Contains(string(environ), "HOME="+m.platform.Home) && bytes.Contains(environ, []byte("TIDEMILL_TRIAL=")) {
			out = append(out, pid)
		}
	}
	for _, r := range m.trainers() {
		out = append(out, r.pid)
	}
	return out
}

// lost is how many workers a trial has lost, as its attempts are kept.
func (m *mill) lost(trial string) int {
	kv, err := m.platform.Broker().KeyValue(m.t.Context(), events.BucketTrials)
	require.NoError(m.t, err)
	entry, err := kv.Get(m.t.Context(), trial)
	if err != nil {
		return 0
	}
	var doc struct{ Value struct{ Lost int } }
	require.NoError(m.t, json.Unmarshal(entry.Value(), &doc))
	return doc.Value.Lost
}

// log is the stored log of a trial.
func (m *mill) log(p events.TrialFinished) string {
	m.t.Helper()
	require.NotNil(m.t, p.Log, "%s has no log", p.Trial)
	b, err := os.ReadFile(filepath.Join(m.platform.Dir, "blobs", filepath.FromSlash(p.Log.Key)))
	require.NoError(m.t, err)
	return string(b)
}

// checkpoints are those in blob storage.
func (m *mill) checkpoints() []string {
	found, err := filepath.Glob(filepath.Join(m.platform.Dir, "blobs", "checkpoints", "*", "*", "*"))
	require.NoError(m.t, err)
	return found
}

// close drains all workers and stops the platform; nothing may be left of any trial.
func (m *mill) close() {
	m.t.Helper()
	for _, w := range m.workers {
		require.Zero(m.t, w.Stop(), "a worker that is asked to stop ends well:\n%s", w.Log())
		for _, seen := range harness.Get[api.List[api.Worker]](m.platform, "/api/v1/workers", nil).Items {
			require.False(m.t, strings.HasSuffix(seen.Name, fmt.Sprint("-", w.PID())), "%s has stopped, and is still seen", seen.Name)
		}
	}
	harness.Until(m.t, 20*time.Second, "no process of a trial is left", func() bool { return len(m.orphans()) == 0 })
	require.Zero(m.t, m.platform.Stop())
}

// killer kills at random.
type killer struct {
	*mill
	random *rand.Rand
	kills  map[string]int
}

// total of what was killed.
func (k *killer) total() int { return k.kills["trainer"] + k.kills["worker"] + k.kills["platform"] }

// kill kills a trainer, a worker or the platform, if there is one whose trials can bear it: too many losses make a trial poison.
func (k *killer) kill() {
	trainers := slices.DeleteFunc(k.trainers(), func(r running) bool { return r.trial == "" })
	for _, r := range trainers {
		if k.lost(r.trial) >= 3 {
			return
		}
	}
	i := k.random.IntN(len(k.workers))
	runs := strings.Contains(k.workers[i].Log(), `"msg":"ready"`) // else there is little to kill
	switch n := k.random.IntN(100); {
	case n < 42 && len(trainers) > 0:
		r := trainers[k.random.IntN(len(trainers))]
		if syscall.Kill(r.pid, syscall.SIGKILL) == nil {
			k.kills["trainer"]++
		}
	case n < 76 && runs:
		k.workers[i].Kill()
		k.workers[i] = k.worker()
		k.kills["worker"]++
	case n < 85 && runs:
		old := k.workers[i]
		k.workers[i] = k.worker()
		require.Zero(k.t, old.Stop(), "it drains:\n%s", old.Log())
		k.kills["drained"]++
	case n >= 85:
		k.restart(time.Duration(k.random.IntN(1000)) * time.Millisecond)
		k.kills["platform"]++
	}
}
