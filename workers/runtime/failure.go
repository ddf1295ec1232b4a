package runtime

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Failure is a trial that failed by itself: trying it again would fail again. Its text is for the person who wrote the
// candidate. Any other error of a [Runner] is the platform's, and the trial may be tried again.
type Failure struct{ Reason string }

// Error is the reason.
func (f *Failure) Error() string { return f.Reason }

func failed(format string, args ...any) error { return &Failure{Reason: fmt.Sprintf(format, args...)} }

// Causes of a trial's end that its context may carry.
var (
	// ErrCancelled ends a trial whose cycle ended, or that a person stopped.
	ErrCancelled = errors.New("the trial was cancelled")
	errTimeLimit = errors.New("time limit")
)

// explainStart says why a command could not even start.
func explainStart(command []string, dir string, err error) error {
	name := command[0]
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, syscall.ENOENT) && !strings.ContainsRune(name, filepath.Separator):
		return failed("the command %q is not installed on this worker (it is not on its PATH)", name)
	case errors.Is(err, syscall.ENOENT):
		return failed("the command %q does not exist in the candidate's source folder, or its interpreter does not", name)
	case errors.Is(err, syscall.EACCES):
		return failed("the command %q may not be executed: make it executable (chmod +x), or name its interpreter first", name)
	case errors.Is(err, syscall.ENOEXEC):
		return failed("the command %q is no program: name its interpreter first, such as [python3, train.py]", name)
	}
	return fmt.Errorf("start %q in %s: %w", name, dir, err)
}

// explainExit says in plain words how a command ended; nil when it ended well.
func explainExit(err error, last []string) error {
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("wait for the trainer: %w", err)
	}
	how := fmt.Sprintf("the trainer ended with exit code %d", exit.ExitCode())
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		how = explainSignal(status.Signal())
	}
	switch exit.ExitCode() {
	case 2:
		how += " (often: it does not know one of its arguments)"
	case 126:
		how += " (a command could not be executed)"
	case 127:
		how += " (a command was not found)"
	case 137:
		how += " (something in it was killed, often for lack of memory)"
	}
	if n := len(last); n > 0 {
		how += "; its last line: " + last[n-1]
	}
	return &Failure{Reason: how}
}

func explainSignal(s syscall.Signal) string {
	switch s {
	case syscall.SIGKILL:
		return "the trainer was killed (SIGKILL), most often because the machine ran out of memory"
	case syscall.SIGSEGV, syscall.SIGBUS:
		return fmt.Sprintf("the trainer crashed on bad memory access (%s): a fault in one of its native libraries", signalName(s))
	case syscall.SIGABRT:
		return "the trainer aborted (SIGABRT): one of its native libraries gave up"
	case syscall.SIGILL:
		return "the trainer met an instruction that this processor lacks (SIGILL): a library was built for another one"
	case syscall.SIGFPE:
		return "the trainer crashed on an arithmetic error (SIGFPE)"
	}
	return fmt.Sprintf("the trainer was ended by signal %s", signalName(s))
}

func signalName(s syscall.Signal) string {
	names := map[syscall.Signal]string{syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM",
		syscall.SIGSEGV: "SIGSEGV", syscall.SIGBUS: "SIGBUS", syscall.SIGPIPE: "SIGPIPE", syscall.SIGQUIT: "SIGQUIT"}
	if name, ok := names[s]; ok {
		return name
	}
	return fmt.Sprintf("%d (%s)", int(s), s)
}

// explainEnd turns the end of a trial's context into what happened: the time limit is the candidate's failure, a
// cancellation is [ErrCancelled], anything else is the worker stopping.
func explainEnd(ctx context.Context, spec Spec) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errTimeLimit) {
		return failed("the trial took longer than its limit, resources.time %s", spec.Candidate.Resources.Time)
	}
	return cause
}
