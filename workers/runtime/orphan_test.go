package runtime_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/workers/runtime"
	"github.com/tidemill/tidemill/workers/runtime/guard"
)

// workerVariable makes a test binary a worker of the folder that it names; watchedVariable gives it a watchdog.
const (
	workerVariable  = "TEST_WORKER"
	watchedVariable = "TEST_WATCHED"
)

// beWorker runs one trial, whose trainer starts a process that leaves its group and prints its number.
func beWorker(dir string) {
	must := func(err error) {
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	ort, err := model.Load("")
	must(err)
	o := runtime.Options{Dir: dir}
	if os.Getenv(watchedVariable) != "" {
		o.Watchdog, err = guard.Self()
		must(err)
	}
	blobs := &memory{}
	source, err := runtime.PackSource(filepath.Join(dir, "source"))
	must(err)
	sum := sha256.Sum256(source)
	_, err = blobs.PutBytes(context.Background(), "code", source)
	must(err)
	s := builtin()
	s.Code = &events.Blob{Key: "code", SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(source))}
	s.Candidate = resource.Candidate{Name: "script", Trainer: "process", Command: []string{"sh", "train.sh"}, Format: "csv", Pool: "default"}
	_, _, err = runtime.NewRunner(table{}, blobs, ort, o).Run(context.Background(), s, 1, func(u runtime.Update) {
		if u.Line != "" {
			fmt.Println(u.Line)
		}
	})
	must(err)
}

// killedWorker starts a worker in a process of its own, kills it when its trainer has left its group, and returns what is left.
func killedWorker(t *testing.T, dir string, env ...string) int {
	exe, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "source"), 0o755))
	script := "(setsid env -i PATH=$PATH sh -c 'echo $$; cd /; exec sleep 300' &)\nwhile :; do sleep 1; done\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "source", "train.sh"), []byte(script), 0o644))
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), workerVariable+"="+dir), env...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err, line)
	require.True(t, alive(pid))
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	return pid
}

// kill -9 of a worker ends its trials at once, wherever their processes went.
func TestKilledWorkerTakesItsTrialsAlong(t *testing.T) {
	t.Parallel()
	left := killedWorker(t, t.TempDir(), watchedVariable+"=1")
	require.Eventually(t, func() bool { return !alive(left) }, 20*time.Second, 5*time.Millisecond)
}

// Without a watchdog, the next worker of the folder does.
func TestNextWorkerEndsWhatIsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	left := killedWorker(t, dir)
	b := newBench(t)
	b.options.Dir = dir
	n, environments, err := b.runner().Tidy(t.Context())
	require.NoError(t, err)
	require.Positive(t, n)
	require.Zero(t, environments)
	require.False(t, alive(left))
}

// A watchdog stops with its worker.
func TestWatchdogStops(t *testing.T) {
	t.Parallel()
	self, err := guard.Self()
	require.NoError(t, err)
	b := newBench(t)
	b.options.Watchdog = self
	r := b.runner()
	for range 2 {
		_, _, err = r.Run(t.Context(), b.trial(leave, map[string][]byte{"model.bin": onnx(1, "probabilities")}), 1, nil)
		require.NoError(t, err)
	}
	r.Close()

	b.options.Watchdog = []string{filepath.Join(t.TempDir(), "none")}
	_, _, err = b.run(t.Context(), b.trial(leave, nil))
	require.ErrorContains(t, err, "start the watchdog of trials")
}

// BenchmarkProcess is a trial from its beginning to the start of its process, and to its end.
func BenchmarkProcess(b *testing.B) {
	bench := newBench(b)
	s := bench.trial(leave, map[string][]byte{"model.bin": onnx(1, "probabilities")})
	r := bench.runner()
	var waited time.Duration
	for b.Loop() {
		began := time.Now()
		_, _, err := r.Run(b.Context(), s, 1, func(u runtime.Update) {
			if u.PID != 0 {
				waited += time.Since(began)
			}
		})
		require.NoError(b, err)
	}
	b.ReportMetric(float64(waited.Microseconds())/float64(b.N)/1000, "ms-to-start")
}
