package guard_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/workers/runtime/guard"
)

func TestMain(m *testing.M) {
	if guard.ServeWatchdog(os.Args[1:], os.Stdin) {
		return
	}
	if len(os.Args) == 5 && os.Args[1] == "worker" {
		worker(os.Args[2], os.Args[3] == "watched", os.Args[4] == "forgetful")
		return
	}
	goleak.VerifyTestMain(m)
}

// worker is a worker in a process of its own: it starts a trial that leaves its group, and says so. A trial that forgets its
// environment has nothing but the number that marks it.
func worker(dir string, watched, forget bool) {
	id := guard.WorkerID(dir)
	if watched {
		self, err := guard.Self()
		if err != nil {
			panic(err)
		}
		if err := guard.NewWatchdog(self, id).Start(); err != nil {
			panic(err)
		}
	}
	m := guard.Mark{Worker: id, Trial: "t", Attempt: 1}
	cmd := exec.Command("setsid", "sh", "-c", "echo $$; sleep 300 & wait")
	cmd.Env = append(m.Environ(), "PATH="+os.Getenv("PATH"))
	if forget {
		cmd.Args = append([]string{"env", "-i", "PATH=" + os.Getenv("PATH")}, cmd.Args...)
		cmd.Path = "/usr/bin/env"
	}
	cmd.Stdout = os.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	guard.Hold(cmd.SysProcAttr)
	goruntime.LockOSThread()
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	if forget {
		guard.NewGroup(m, dir).Began(cmd.Process.Pid)
	}
	if err := errors.Join(guard.Release(cmd.Process.Pid), cmd.Wait()); err != nil {
		panic(err)
	}
}

// start starts a shell as the leader of a trial.
func start(t *testing.T, m guard.Mark, dir, script string) (*guard.Group, *exec.Cmd) {
	g := guard.NewGroup(m, dir)
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir, cmd.Env = dir, append(m.Environ(), "PATH="+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	guard.Hold(cmd.SysProcAttr)
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	require.NoError(t, cmd.Start())
	g.Began(cmd.Process.Pid)
	require.NoError(t, guard.Release(cmd.Process.Pid))
	return g, cmd
}

func mark(t *testing.T) guard.Mark {
	return guard.Mark{Worker: guard.WorkerID(t.TempDir()), Trial: strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")), Attempt: 1}
}

// pid waits for a file that a process writes its number to.
func pid(t *testing.T, path string) int {
	var n int
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(path)
		if err != nil || !strings.HasSuffix(string(b), "\n") {
			return false
		}
		n, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	}, 20*time.Second, 5*time.Millisecond, path)
	return n
}

// alive tells whether a process is there and has not ended.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func onLinux(t *testing.T) {
	if goruntime.GOOS != "linux" {
		t.Skip("processes are found in /proc, which is Linux's")
	}
}

// Whichever way a process leaves its trial, it is found and ended: each of these leaves another trace.
func TestEndsWhatLeft(t *testing.T) {
	t.Parallel()
	onLinux(t)
	for name, script := range map[string]string{
		"session":         `setsid sh -c 'echo $$ > pid; exec sleep 300' & wait`,
		"double fork":     `(setsid sh -c 'echo $$ > pid; exec sleep 300' &) ; exit 0`,
		"no hangup":       `nohup sh -c 'echo $$ > pid; exec sleep 300' >/dev/null 2>&1 &`,
		"no trace":        `(setsid env -i PATH="$PATH" sh -c 'echo $$ > pid; cd /; exec sleep 300' &) ; exit 0`,
		"no environment":  `(setsid env -i PATH="$PATH" sh -c 'echo $$ > pid; exec sleep 300' &) ; exit 0`,
		"another folder":  `(setsid sh -c 'echo $$ > pid; cd /; exec sleep 300' &) ; exit 0`,
		"ignored signals": `trap '' TERM INT HUP; (trap '' TERM INT HUP; setsid sh -c 'echo $$ > pid; while :; do sleep 300; done' &); exit 0`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			g, cmd := start(t, mark(t), dir, script)
			left := pid(t, filepath.Join(dir, "pid"))
			require.True(t, alive(left))
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			n, err := g.End(t.Context())
			require.NoError(t, err)
			require.Positive(t, n)
			require.False(t, alive(left), "it was left behind")
		})
	}
}

// A process that forks over and over is faster than one look.
func TestEndsAForkingCrowd(t *testing.T) {
	t.Parallel()
	onLinux(t)
	dir := t.TempDir()
	script := filepath.Join(dir, "again.sh")
	require.NoError(t, os.WriteFile(script, []byte("echo $$ > pid; sh again.sh &\n"), 0o644))
	g, cmd := start(t, mark(t), dir, "setsid sh again.sh; exit 0")
	pid(t, filepath.Join(dir, "pid"))
	_ = cmd.Wait()
	_, err := g.End(t.Context())
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "pid")))
	require.Never(t, func() bool { _, err := os.Stat(filepath.Join(dir, "pid")); return err == nil }, 200*time.Millisecond, 20*time.Millisecond)
}

// What isn't the trial's is let alone: other trials, and a neighbour that was there before.
func TestLetsOthersAlone(t *testing.T) {
	t.Parallel()
	onLinux(t)
	dir, other := t.TempDir(), t.TempDir()
	m := mark(t)
	neighbour := exec.Command("sleep", "300")
	neighbour.Dir = dir
	require.NoError(t, neighbour.Start())
	t.Cleanup(func() { _ = neighbour.Process.Kill(); _ = neighbour.Wait() })
	g, cmd := start(t, m, dir, "exit 0")
	second := m
	second.Attempt = 2
	h, next := start(t, second, other, "echo $$ > pid; exec sleep 300")
	t.Cleanup(func() { _, _ = h.End(context.Background()); _ = next.Wait() })
	pid(t, filepath.Join(other, "pid"))
	require.NoError(t, cmd.Wait())
	n, err := g.End(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	require.True(t, alive(next.Process.Pid))
	require.True(t, alive(neighbour.Process.Pid), "it was there before the trial")
	require.Equal(t, []int{next.Process.Pid}, h.Look().Processes)
}

func TestLooksAtMemory(t *testing.T) {
	t.Parallel()
	onLinux(t)
	dir := t.TempDir()
	g, cmd := start(t, mark(t), dir, `(setsid sh -c 'x=$(head -c 30000000 /dev/zero | tr "\0" x); echo $$ > pid; sleep 300; echo $x >/dev/null' &); sleep 300`)
	pid(t, filepath.Join(dir, "pid"))
	u := g.Look()
	require.GreaterOrEqual(t, len(u.Processes), 2)
	require.Greater(t, u.Memory, int64(30_000_000))
	require.NotContains(t, u.New, cmd.Process.Pid, "the leader was known")
	require.Empty(t, g.Look().New)
	shared, ok := guard.Shared(u.Processes)
	require.True(t, ok)
	require.Greater(t, shared, int64(28_000_000))
	require.LessOrEqual(t, shared, u.Memory+1<<20)
	g.Kill()
	require.Error(t, cmd.Wait())
	_, err := g.End(t.Context())
	require.NoError(t, err)
	require.Empty(t, g.Look().Processes)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	onLinux(t)
	dir := t.TempDir()
	g, cmd := start(t, mark(t), dir, `while ! test -f go; do sleep 0.01; done; (ulimit -n; ulimit -f; ulimit -c) > got; echo 1 > pid`)
	require.NoError(t, guard.Limits{OpenFiles: 64, FileSize: 1 << 20}.Apply(cmd.Process.Pid))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o644))
	pid(t, filepath.Join(dir, "pid"))
	require.NoError(t, cmd.Wait())
	got, err := os.ReadFile(filepath.Join(dir, "got"))
	require.NoError(t, err)
	require.Equal(t, []string{"64", "2048", "0"}, strings.Fields(string(got)), "files, blocks of 512 bytes, blocks of core")
	_, err = g.End(t.Context())
	require.NoError(t, err)
	require.Error(t, guard.Limits{OpenFiles: 64}.Apply(cmd.Process.Pid), "it is gone")
}

// killed starts a worker in a process of its own, kills it, and returns a process of its trial.
func killed(t *testing.T, dir, watched, trial string) int {
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, "worker", dir, watched, trial)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	left, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	require.True(t, alive(left))
	require.NoError(t, cmd.Process.Kill())
	_ = out.Close()
	_ = cmd.Wait()
	return left
}

var trials = []string{"forgetful", "with its environment"}

// A worker that is killed takes its trials along at once.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	onLinux(t)
	for _, trial := range trials {
		left := killed(t, t.TempDir(), "watched", trial)
		require.Eventually(t, func() bool { return !alive(left) }, 20*time.Second, 5*time.Millisecond, trial)
	}
}

// Without a watchdog, the next worker of the folder finds what is left, and that of another folder doesn't.
func TestSweep(t *testing.T) {
	t.Parallel()
	onLinux(t)
	for _, trial := range trials {
		dir := t.TempDir()
		left := killed(t, dir, "alone", trial)
		n, err := guard.Sweep(t.Context(), t.TempDir())
		require.NoError(t, err)
		require.Zero(t, n)
		require.True(t, alive(left))

		g, cmd := start(t, guard.Mark{Worker: guard.WorkerID(dir), Trial: "mine", Attempt: 1}, t.TempDir(), "exec sleep 300")
		n, err = guard.Sweep(t.Context(), dir)
		require.NoError(t, err)
		require.Positive(t, n)
		require.False(t, alive(left), trial)
		require.True(t, alive(cmd.Process.Pid), "its worker lives")
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_, err = g.End(t.Context())
		require.NoError(t, err)
	}
}

func TestWatchdogIsStoppedTwice(t *testing.T) {
	t.Parallel()
	self, err := guard.Self()
	require.NoError(t, err)
	w := guard.NewWatchdog(self, guard.WorkerID(t.TempDir()))
	require.NoError(t, w.Start())
	require.NoError(t, w.Start())
	w.Stop()
	w.Stop()
	never := guard.NewWatchdog(self, "")
	never.Stop()
	require.Error(t, never.Start())
	require.Error(t, guard.NewWatchdog([]string{filepath.Join(t.TempDir(), "none")}, "").Start())
	require.False(t, guard.ServeWatchdog([]string{"up"}, nil))
}

func BenchmarkEnd(b *testing.B) {
	g := guard.NewGroup(guard.Mark{Worker: "w", Trial: "t", Attempt: 1}, b.TempDir())
	for b.Loop() {
		_, _ = g.End(b.Context())
	}
}

func BenchmarkLook(b *testing.B) {
	g := guard.NewGroup(guard.Mark{Worker: "w", Trial: "t", Attempt: 1}, b.TempDir())
	for b.Loop() {
		g.Look()
	}
}
