// Package harness starts the real tidemill binary for stories: real broker, real files, real processes.
package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events/client"
	"github.com/tidemill/tidemill/services/api/call"
)

// Binary is the tidemill under test: $TIDEMILL_BIN, or bin/tidemill of this checkout ('make build').
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("TIDEMILL_BIN")
	if path == "" {
		path = filepath.Join(Root(), "bin", "tidemill")
	}
	_, err := os.Stat(path)
	require.NoError(t, err, "the stories run the real binary: run 'make build' first, or 'make e2e'")
	return path
}

// Root is the checkout.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Process is a running tidemill.
type Process struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait, once done is closed

	mu  sync.Mutex
	log bytes.Buffer
}

// Env is how processes and commands of one story see the world: no Tidemill but the story's own.
func Env(home string, more ...string) []string {
	env := []string{"HOME=" + home, "XDG_STATE_HOME=" + filepath.Join(home, "state"), "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "NO_COLOR=1"}
	for _, name := range []string{"TIDEMILL_ONNXRUNTIME", "TIDEMILL_CACHE"} {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	if os.Getenv("TIDEMILL_CACHE") == "" {
		if cache, err := os.UserCacheDir(); err == nil {
			env = append(env, "TIDEMILL_CACHE="+filepath.Join(cache, "tidemill"))
		}
	}
	return append(env, more...)
}

// Start starts the binary and returns at once. It is killed at the end of the test when it still runs; its log is shown when
// the test failed.
func Start(t testing.TB, env []string, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, cmd: exec.Command(Binary(t), args...), done: make(chan struct{})}
	p.cmd.Env = env
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.cmd.Stderr = p.cmd.Stdout
	require.NoError(t, p.cmd.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.mu.Lock()
			p.log.Write(lines.Bytes())
			p.log.WriteByte('\n')
			p.mu.Unlock()
		}
	}()
	go func() {
		<-read
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("log of tidemill %s:\n%s", strings.Join(args, " "), tail(p.Log(), 8000))
		}
	})
	return p
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// Log is everything that the process printed so far.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// PID is the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal and does not wait.
func (p *Process) Signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill ends the process as a power cut would.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop asks the process to stop and returns its exit code.
func (p *Process) Stop() int {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(40 * time.Second):
		p.t.Errorf("the process did not stop within 40 s of SIGTERM")
		p.Kill()
	}
	return p.ExitCode()
}

// ExitCode is the code of an ended process; -1 when a signal ended it.
func (p *Process) ExitCode() int {
	var exit *exec.ExitError
	switch {
	case p.err == nil:
		return 0
	case errors.As(p.err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// Tidemill is a whole platform in one process, in a folder of its own.
type Tidemill struct {
	*Process
	Dir      string
	Home     string
	API      *call.Client
	Endpoint client.Endpoint
}

// Up starts 'tidemill up' in dir (a data directory that may hold an earlier run) and waits until it is ready. env are more
// environment variables.
func Up(t testing.TB, dir string, env []string, args ...string) *Tidemill {
	t.Helper()
	m := Begin(t, dir, env, args...)
	m.WaitReady()
	return m
}

// Begin is Up without waiting.
func Begin(t testing.TB, dir string, env []string, args ...string) *Tidemill {
	t.Helper()
	home := filepath.Dir(dir)
	args = append([]string{"up", "--data-dir", dir, "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"}, args...)
	_ = os.Remove(filepath.Join(dir, "endpoint.json"))
	return &Tidemill{Process: Start(t, Env(home, env...), args...), Dir: dir, Home: home}
}

// WaitReady waits until the platform says that it is ready.
func (m *Tidemill) WaitReady() {
	m.t.Helper()
	Eventually(m.t, 30*time.Second, "tidemill is ready", func() error {
		select {
		case <-m.Done():
			m.t.Fatalf("tidemill ended before it was ready (exit code %d):\n%s", m.ExitCode(), tail(m.Log(), 4000))
		default:
		}
		b, err := os.ReadFile(filepath.Join(m.Dir, "endpoint.json"))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, &m.Endpoint); err != nil {
			return err
		}
		m.API = call.New(m.Endpoint.HTTP, m.Endpoint.Token)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return m.API.WaitReady(ctx)
	})
}

// Result is what a command did.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Run runs a command of the binary against this platform.
func (m *Tidemill) Run(args ...string) Result {
	m.t.Helper()
	return m.RunWith("", args...)
}

// RunWith is Run with an input.
func (m *Tidemill) RunWith(stdin string, args ...string) Result {
	m.t.Helper()
	return run(m.t, m.Home, Env(m.Home, "TIDEMILL_DATA_DIR="+m.Dir), stdin, args...)
}

// Must runs a command that must succeed and returns what it printed.
func (m *Tidemill) Must(args ...string) string {
	m.t.Helper()
	r := m.Run(args...)
	require.Zero(m.t, r.Code, "tidemill %s\n%s%s", strings.Join(args, " "), r.Stdout, r.Stderr)
	return r.Stdout
}

// Run runs the binary in a folder to its end.
func Run(t testing.TB, dir string, env []string, args ...string) Result {
	t.Helper()
	return run(t, dir, env, "", args...)
}

func run(t testing.TB, dir string, env []string, stdin string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t), args...)
	cmd.Env, cmd.Dir = env, dir
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}

// Eventually polls until check returns nil, and fails the test with its last error after the deadline.
func Eventually(t testing.TB, deadline time.Duration, what string, check func() error) {
	t.Helper()
	end := time.Now().Add(deadline)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s: %v", deadline, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Until is Eventually for a condition.
func Until(t testing.TB, deadline time.Duration, what string, check func() bool) {
	t.Helper()
	Eventually(t, deadline, what, func() error {
		if check() {
			return nil
		}
		return fmt.Errorf("it is not so yet")
	})
}
