package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/core/model/command"
	"github.com/tidemill/tidemill/workers/runtime/guard"
)

const (
	// RequirementsFile in a source folder names the Python packages that its code needs.
	RequirementsFile = "requirements.txt"

	installLimit = 10 * time.Minute
	unusedFor    = 30 * 24 * time.Hour // after which an environment is removed
	lockEvery    = 100 * time.Millisecond
	venvMarker   = "complete" // a file in an environment that is whole; it is touched when the environment is used
)

// EnvironmentsOptions are how environments are made.
type EnvironmentsOptions struct {
	Dir    string              // where they lie
	Path   string              // PATH by which python3 is found; default the worker's own
	Getenv func(string) string // default os.Getenv
	// Environ lists the worker's environment; default os.Environ. Of it, pip gets its own settings and how to reach the network.
	Environ func() []string
	User    *User            // who runs pip; nil: the worker's own
	Clock   func() time.Time // default time.Now
	Grace   time.Duration    // from SIGTERM to SIGKILL; default 5s
	// Worker is the guard's name of this worker: see [guard.WorkerID].
	Worker string
}

// Environments keeps Python's virtual environments, one for each content of a requirements.txt and version of Python. It is
// safe for concurrent use, by several processes too.
type Environments struct {
	o       EnvironmentsOptions
	pythons pythons
}

// NewEnvironments keeps environments in a folder, which is made when it is needed.
func NewEnvironments(o EnvironmentsOptions) *Environments {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Path == "" {
		o.Path = o.Getenv("PATH")
	}
	if o.Environ == nil {
		o.Environ = os.Environ
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Grace == 0 {
		o.Grace = grace
	}
	return &Environments{o: o}
}

// Environment is a virtual environment. The zero value is none: the worker's own Python is used.
type Environment struct {
	Dir    string
	Bin    string // the folder that goes first in PATH
	Digest string // SHA-256 of its requirements and Python's version
	Python string // its version
}

// For gives the environment of a source folder, and makes it when there is none; the zero value when the folder has no
// requirements.txt. progress, which may be nil, is told what goes on. A [*Failure] says why there can be none.
func (e *Environments) For(ctx context.Context, codeDir string, progress func(string)) (Environment, error) {
	requirements, err := os.ReadFile(filepath.Join(codeDir, RequirementsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Environment{}, nil
	}
	if err != nil {
		return Environment{}, fmt.Errorf("read %s: %w", RequirementsFile, err)
	}
	if progress == nil {
		progress = func(string) {}
	}
	python, err := command.LookUp("python3", codeDir, e.o.Path)
	if err != nil {
		return Environment{}, failed("the candidate has a %s, but python3 is not installed on this worker (it is not on its PATH)", RequirementsFile)
	}
	version, err := e.pythons.version(ctx, python, e.base(e.o.Dir), e.o.User)
	if ctx.Err() != nil {
		return Environment{}, ctx.Err()
	}
	if err != nil {
		return Environment{}, failed("the candidate has a %s, but %s does not tell its version: %v", RequirementsFile, python, err)
	}
	sum := digest(fmt.Appendf(bytes.Clone(requirements), "\npython %s\n", version))
	dir := filepath.Join(e.o.Dir, sum[:16])
	env := Environment{Dir: dir, Bin: filepath.Join(dir, "bin"), Digest: sum, Python: version}
	if e.touch(env) {
		return env, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, installLimit, errInstallLimit)
	defer cancel()
	unlock, err := e.lock(ctx, env, progress)
	if err == nil {
		defer unlock()
		if e.touch(env) { // it was made meanwhile
			return env, nil
		}
		err = e.install(ctx, env, python, requirements, progress)
	}
	if errors.Is(context.Cause(ctx), errInstallLimit) {
		err = failed("the packages of %s were not installed within %s", RequirementsFile, installLimit)
	}
	if err != nil {
		return Environment{}, err
	}
	return env, nil
}

var errInstallLimit = errors.New("time limit of an installation")

// touch tells whether an environment is whole, and notes that it is used.
func (e *Environments) touch(env Environment) bool {
	// Its interpreter is a link to one that may be gone by now.
	if _, err := os.Stat(filepath.Join(env.Bin, "python3")); err != nil {
		return false
	}
	now := e.o.Clock()
	err := os.Chtimes(filepath.Join(env.Dir, venvMarker), now, now)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		_, err = os.Stat(filepath.Join(env.Dir, venvMarker))
	}
	return err == nil
}

// lock waits until nobody else makes the environment.
func (e *Environments) lock(ctx context.Context, env Environment, progress func(string)) (unlock func(), err error) {
	if err := os.MkdirAll(e.o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of Python environments: %w", err)
	}
	f, err := os.OpenFile(env.Dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock a Python environment: %w", err)
	}
	tick := time.NewTicker(lockEvery)
	defer tick.Stop()
	for waits := false; ; waits = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock a Python environment: %w", err)
		}
		if !waits {
			progress("waiting for another trial that installs the same packages")
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// install makes an environment; it is whole when the marker is there. The caller holds the lock.
func (e *Environments) install(ctx context.Context, env Environment, python string, requirements []byte, progress func(string)) error {
	progress(fmt.Sprintf("installing packages (%s)", packages(requirements)))
	// What an earlier attempt left has no marker.
	if err := os.RemoveAll(env.Dir); err != nil {
		return fmt.Errorf("make a Python environment: %w", err)
	}
	temp, err := os.MkdirTemp(e.o.Dir, ".install-")
	if err != nil {
		return fmt.Errorf("make a Python environment: %w", err)
	}
	defer os.RemoveAll(temp)
	list := filepath.Join(temp, RequirementsFile)
	err = errors.Join(os.Mkdir(env.Dir, 0o755), os.WriteFile(list, requirements, 0o644), e.o.User.own(temp, env.Dir))
	if err != nil {
		return fmt.Errorf("make a Python environment: %w", err)
	}
	for _, step := range []struct {
		what    string
		command []string
	}{
		{"python3 -m venv", []string{python, "-m", "venv", env.Dir}},
		{"pip", []string{filepath.Join(env.Bin, "python3"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar=off", "-r", list}},
	} {
		if err := e.step(ctx, env, step.what, step.command, temp, progress); err != nil {
			_ = os.RemoveAll(env.Dir) // it is removed before it is made again, too
			return err
		}
	}
	// Trials may read it, and no more.
	if e.o.User != nil {
		if err := (&User{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}).own(env.Dir); err != nil {
			return fmt.Errorf("make a Python environment: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(env.Dir, venvMarker), nil, 0o644); err != nil {
		return fmt.Errorf("make a Python environment: %w", err)
	}
	if !e.touch(env) {
		return failed("the packages of %s were installed, but without an interpreter: %s is no Python that can make environments", RequirementsFile, python)
	}
	return nil
}

// step runs one command of an installation.
func (e *Environments) step(ctx context.Context, env Environment, what string, command []string, temp string, progress func(string)) error {
	out, err := newOutput(io.Discard, nil, func(line string, _ map[string]float64) { progress(line) })
	if err != nil {
		return err
	}
	out.mask = newMasker(passwords(e.o.Environ()))
	mark := guard.Mark{Worker: e.o.Worker, Trial: "install-" + filepath.Base(env.Dir), Attempt: os.Getpid()}
	p := process{command: command, dir: temp, env: append(e.base(temp), mark.Environ()...), path: e.o.Path, grace: e.o.Grace,
		out: out, user: e.o.User, mark: mark}
	err = p.run(ctx)
	var failure *Failure
	if !errors.As(err, &failure) {
		return err
	}
	tail := out.last()
	return failed("the packages of %s could not be installed: %s failed; its last lines: %s", RequirementsFile, what,
		shorten(strings.Join(tail[max(0, len(tail)-5):], " | "), 1500))
}

// base is the environment of an installation: nothing of the worker's but pip's settings and the way to the network.
func (e *Environments) base(home string) []string {
	out := []string{"PATH=" + e.o.Path, "LANG=C.UTF-8", "HOME=" + home, "TMPDIR=" + home, "PYTHONUNBUFFERED=1"}
	if e.o.User == nil {
		out = append(out, "PIP_CACHE_DIR="+filepath.Join(e.o.Dir, ".pip"))
	}
	for _, v := range e.o.Environ() {
		if name, _, _ := strings.Cut(v, "="); ofPip(name) {
			out = append(out, v)
		}
	}
	return out
}

// ofPip tells whether a variable says how pip is to work or to reach the network.
func ofPip(name string) bool {
	switch strings.ToUpper(name) {
	case "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE":
		return true
	}
	return strings.HasPrefix(name, "PIP_") || strings.HasPrefix(name, "SSL_CERT_")
}

// Clean removes environments that nobody has used for 30 days, and tells how many.
func (e *Environments) Clean() (int, error) {
	entries, err := os.ReadDir(e.o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("clean the Python environments: %w", err)
	}
	removed := 0
	var errs []error
	for _, entry := range entries {
		dir := filepath.Join(e.o.Dir, entry.Name())
		info, err := os.Stat(filepath.Join(dir, venvMarker))
		if err != nil || e.o.Clock().Sub(info.ModTime()) < unusedFor {
			continue // no environment, half an environment that the next use makes anew, or one in use
		}
		// First it is no longer whole, then it is gone: a trial that comes between makes it anew.
		if err := errors.Join(os.Remove(filepath.Join(dir, venvMarker)), os.RemoveAll(dir)); err != nil {
			errs = append(errs, err)
			continue
		}
		removed++
	}
	return removed, errors.Join(errs...)
}
