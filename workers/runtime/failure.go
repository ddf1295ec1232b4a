package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/tidemill/tidemill/core/model/command"
)

// Failure is a trial that failed by itself: trying it again would fail again. Its text is for the person who wrote the
// candidate. Any other error of a [Runner] is the platform's, and the trial may be tried again.
type Failure struct {
	Reason string
	// Killed says that somebody else killed the trainer (SIGKILL): another attempt may do better, if there are not too many.
	Killed bool
}

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
func (p process) explainStart(err error) error {
	name := p.command[0]
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, syscall.ENOENT) && !strings.ContainsRune(name, filepath.Separator):
		return failed("the command %q is not installed on this worker (it is not on its PATH)", name)
	case errors.Is(err, syscall.ENOENT):
		return p.explainMissing(name)
	case errors.Is(err, syscall.EACCES):
		if p.user != nil {
			return failed("the command %q may not be executed by the user that trials run as (uid %d): make it executable (chmod +x), install it where that user can reach it, or name its interpreter first", name, p.user.UID)
		}
		return failed("the command %q may not be executed: make it executable (chmod +x), or name its interpreter first", name)
	case errors.Is(err, syscall.ENOEXEC):
		return failed("the command %q is no program: name its interpreter first, such as [python3, train.py]", name)
	case errors.Is(err, syscall.E2BIG):
		return failed("the hyperparameters are too long for a command: put long ones into a file of the source folder")
	}
	return fmt.Errorf("start %q in %s: %w", name, p.dir, err)
}

// explainMissing tells a command that isn't there from one whose interpreter isn't.
func (p process) explainMissing(name string) error {
	full, err := command.LookUp(name, p.dir, p.path)
	if err != nil {
		return failed("the command %q is not installed on this worker (it is not on its PATH)", name)
	}
	if first := interpreter(full); first != "" {
		return failed("the interpreter %q, which the first line of %q names, is not on this worker: install it, or name another one in the command, such as [python3, train.py]", first, name)
	}
	return failed("the command %q does not exist in the candidate's source folder, or its interpreter does not", name)
}

// interpreter is what the first line of a script names; "" when it is no script.
func interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, 256)
	n, _ := io.ReadFull(f, b) // a short file is read to its end
	line, _, _ := strings.Cut(string(b[:n]), "\n")
	rest, ok := strings.CutPrefix(line, "#!")
	if !ok {
		return ""
	}
	// A file from Windows ends its lines so that the name has one character too many: it must show.
	return strings.TrimLeft(rest, " \t")
}

// explainExit says in plain words how a command ended; nil when it ended well.
func (p process) explainExit(err error, police *police) error {
	if err == nil {
		return nil
	}
	exit := exitOf(err)
	if exit == nil {
		return fmt.Errorf("wait for the trainer: %w", err)
	}
	last := p.out.last()
	signal := syscall.Signal(0)
	how := fmt.Sprintf("the trainer ended with exit code %d", exit.ExitCode())
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		signal = status.Signal()
		how = explainSignal(signal)
	}
	how += p.explainCode(exit.ExitCode(), signal, police)
	how += explainWords(last)
	if n := len(last); n > 0 {
		how += "; its last line: " + shorten(last[n-1], 300)
	}
	return &Failure{Reason: how, Killed: signal == syscall.SIGKILL && !police.starved()}
}

// explainCode adds what an exit code or a signal means here.
func (p process) explainCode(code int, signal syscall.Signal, police *police) string {
	switch {
	case signal == syscall.SIGKILL || code == 128+int(syscall.SIGKILL):
		peak := ""
		if n := police.peak.Load(); n > 0 {
			peak = fmt.Sprintf(" its processes used %s when that was last looked at;", human(n))
		}
		if police.starved() {
			return fmt.Sprintf(" (out of memory: the kernel killed a process because this machine, or its container, had none left;%s give the worker more, or run fewer slots)", peak)
		}
		if signal == 0 {
			return " (something in it was killed, often for lack of memory)"
		}
		return fmt.Sprintf(" (most often because the machine ran out of memory;%s or somebody killed it)", peak)
	case signal == syscall.SIGXFSZ || code == 128+int(syscall.SIGXFSZ):
		return fmt.Sprintf(" (it wrote a file larger than the %s that resources.outputSize allows)", p.bounds.output)
	case code == 128+int(syscall.SIGSEGV):
		return " (something in it crashed on bad memory access: a fault in a native library)"
	case code == 2:
		return " (often: it does not know one of its arguments)"
	case code == 126 && p.user != nil:
		return fmt.Sprintf(" (a command could not be executed: trials run as uid %d, which must be able to reach it)", p.user.UID)
	case code == 126:
		return " (a command could not be executed)"
	case code == 127:
		return " (a command was not found)"
	}
	return ""
}

// words are what trainers often end with, and what to do about it.
var words = []struct {
	said *regexp.Regexp
	do   string
}{
	{regexp.MustCompile(`ModuleNotFoundError: No module named '([^']+)'`), "the Python package %q is missing: add it to requirements.txt in the candidate's source folder"},
	{regexp.MustCompile(`ImportError: (lib[^ :]+\.so[^ :]*): cannot open shared object file`), "the library %s is missing on this worker"},
	{regexp.MustCompile(`there is no package called .([A-Za-z0-9.]+)`), "the R package %q is missing on this worker"},
	{regexp.MustCompile(`^(MemoryError|numpy\.\S*MemoryError|std::bad_alloc|.*Cannot allocate memory)`), "out of memory (%s)"},
	{regexp.MustCompile(`(Too many open files)`), "it may open fewer files than it wants (%s): raise resources.openFiles, or the worker's limit"},
	{regexp.MustCompile(`(File too large)`), "it wrote a file larger than resources.outputSize allows (%s)"},
	{regexp.MustCompile(`(No space left on device)`), "the worker's disk is full (%s)"},
	{regexp.MustCompile(`unrecognized arguments: (.*)`), "it does not know the hyperparameters %s: remove them from params, or let the trainer take them"},
}

// explainWords adds what the last lines of a log mean, when that is known.
func explainWords(last []string) string {
	for _, line := range slices.Backward(last[max(0, len(last)-10):]) {
		for _, w := range words {
			if m := w.said.FindStringSubmatch(line); m != nil {
				return ": " + fmt.Sprintf(w.do, shorten(m[1], 200))
			}
		}
	}
	return ""
}

func explainSignal(s syscall.Signal) string {
	switch s {
	case syscall.SIGKILL:
		return "the trainer was killed (SIGKILL)"
	case syscall.SIGSEGV, syscall.SIGBUS:
		return fmt.Sprintf("the trainer crashed on bad memory access (%s): a fault in one of its native libraries", signalName(s))
	case syscall.SIGABRT:
		return "the trainer aborted (SIGABRT): one of its native libraries gave up"
	case syscall.SIGILL:
		return "the trainer met an instruction that this processor lacks (SIGILL): a library was built for another one"
	case syscall.SIGXFSZ:
		return "the trainer was ended (SIGXFSZ)"
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
