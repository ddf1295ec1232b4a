package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// WatchdogArg is the first argument of a process that is to be a watchdog: see [ServeWatchdog].
const WatchdogArg = "__watchdog"

// Watchdog is a small process beside a worker that ends the worker's trials when the worker is killed, however that
// happens: it holds one end of a pipe whose other end closes with the worker. The kernel ends only the first process of each
// trial by itself.
type Watchdog struct {
	command []string
	worker  string

	once  sync.Once
	err   error
	pipe  io.Closer
	ended chan struct{}
}

// NewWatchdog makes a watchdog for a worker, which runs command with two more arguments: [WatchdogArg] and the worker. It is
// started by the first [Watchdog.Start].
func NewWatchdog(command []string, worker string) *Watchdog {
	return &Watchdog{command: command, worker: worker}
}

// Self is the command that runs this program again, even after its file was replaced.
func Self() ([]string, error) {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err == nil {
		return []string{self}, nil
	}
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return []string{path}, nil
}

// Start starts it, once; later calls return what the first did.
func (w *Watchdog) Start() error {
	w.once.Do(func() { w.err = w.start() })
	return w.err
}

func (w *Watchdog) start() error {
	cmd := exec.Command(w.command[0], append(w.command[1:len(w.command):len(w.command)], WatchdogArg, w.worker)...)
	cmd.Env = []string{}
	cmd.Dir = string(os.PathSeparator)
	// A session of its own: no signal from the worker's terminal reaches it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("start the watchdog of trials: %w", err)
	}
	w.pipe, w.ended = pipe, make(chan struct{})
	go func() {
		_ = cmd.Wait() // it says nothing, and is missed only when the worker is gone
		close(w.ended)
	}()
	return nil
}

// Stop ends it and waits for that; what it guards is ended too. It is for a worker that has no more trials.
func (w *Watchdog) Stop() {
	w.once.Do(func() { w.err = errors.New("the watchdog of trials was stopped") })
	if w.pipe != nil {
		_ = w.pipe.Close()
		<-w.ended
	}
}

// ServeWatchdog is what a watchdog does, when args, those of the process without its name, ask for one: it waits for the end
// of in and then ends the trials of the worker. It tells whether it was asked.
func ServeWatchdog(args []string, in io.Reader) bool {
	if len(args) != 2 || args[0] != WatchdogArg {
		return false
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	_, _ = io.Copy(io.Discard, in) // an end in error is an end
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, _ = endWorker(ctx, args[1]) // nobody is left to be told
	return true
}
