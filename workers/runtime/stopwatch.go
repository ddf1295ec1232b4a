package runtime

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// stopwatch ends a trial when its time is up, and can stand still meanwhile. It is safe for concurrent use.
type stopwatch struct {
	mu    sync.Mutex
	timer *time.Timer // nil without a limit
	left  time.Duration
	since time.Time // zero while it stands still
}

// newStopwatch starts a stopwatch; 0 is no limit.
func newStopwatch(limit time.Duration, end func()) *stopwatch {
	if limit <= 0 {
		return &stopwatch{}
	}
	return &stopwatch{timer: time.AfterFunc(limit, end), left: limit, since: time.Now()}
}

// pause lets it stand still.
func (s *stopwatch) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil && !s.since.IsZero() && s.timer.Stop() {
		s.left -= time.Since(s.since)
		s.since = time.Time{}
	}
}

// resume lets it run on.
func (s *stopwatch) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil && s.since.IsZero() {
		s.since = time.Now()
		s.timer.Reset(max(s.left, 0))
	}
}

// remove removes a folder with all that is in it, folders that their owner closed too.
func remove(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil || os.Geteuid() == 0 {
		return err
	}
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, _ error) error {
		if entry != nil && entry.IsDir() {
			_ = os.Chmod(path, 0o700) // what can't be opened is in the error below
		}
		return nil
	})
	return os.RemoveAll(dir)
}
