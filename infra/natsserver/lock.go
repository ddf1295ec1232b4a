package natsserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// ErrInUse marks the error of Start when another process holds the data directory.
var ErrInUse = errors.New("data directory in use")

const lockName = "tidemill.lock"

// dirLock is a lock the operating system drops when the process dies, however it dies. The process id inside the file is for
// the error message alone.
type dirLock struct{ file *flock.Flock }

type inUseError struct{ message string }

func (e *inUseError) Error() string        { return e.message }
func (e *inUseError) Is(target error) bool { return target == ErrInUse }

func lockDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	path := filepath.Join(dir, lockName)
	file := flock.New(path, flock.SetPermissions(0o644))
	held, err := file.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	if !held {
		who := "another Tidemill"
		if pid := readPID(path); pid != 0 {
			who = fmt.Sprintf("another Tidemill (pid %d)", pid)
		}
		return nil, errors.Join(&inUseError{fmt.Sprintf("%s is using %s; stop it or pass --data-dir", who, dir)}, file.Close())
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return nil, errors.Join(fmt.Errorf("write lock file: %w", err), file.Close())
	}
	return &dirLock{file: file}, nil
}

// release empties the file and drops the lock. The file stays: removing it would let two processes lock two files of one name.
func (l *dirLock) release() error {
	return errors.Join(os.Truncate(l.file.Path(), 0), l.file.Close())
}

func readPID(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}
