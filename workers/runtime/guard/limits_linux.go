package guard

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Limits bound each process of a trial by itself; 0 is no limit.
type Limits struct {
	OpenFiles int
	FileSize  int64 // bytes of one file
}

// Apply sets the limits of a process, which those that it starts inherit. None is raised above what the process has: the
// error tells when one was lower already, or could not be set.
func (l Limits) Apply(pid int) error {
	var errs []error
	set := func(name string, resource int, n uint64) {
		var old unix.Rlimit
		if err := unix.Prlimit(pid, resource, nil, &old); err != nil {
			errs = append(errs, fmt.Errorf("limit %s: %w", name, err))
			return
		}
		if old.Max == n {
			return
		}
		if n > old.Max {
			errs = append(errs, fmt.Errorf("limit %s: this worker allows %d at most, not %d", name, old.Max, n))
			n = old.Max
		}
		if err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: n, Max: n}, nil); err != nil {
			errs = append(errs, fmt.Errorf("limit %s: %w", name, err))
		}
	}
	if l.OpenFiles > 0 {
		set("open files", unix.RLIMIT_NOFILE, uint64(l.OpenFiles))
	}
	if l.FileSize > 0 {
		set("file size", unix.RLIMIT_FSIZE, uint64(l.FileSize))
	}
	// When memory runs out, the kernel is to end trials before the worker, and what else is on the machine.
	_ = os.WriteFile(proc(pid, "oom_score_adj"), []byte("500"), 0o644)
	// What a crash leaves behind holds the rows, and is large.
	set("core dumps", unix.RLIMIT_CORE, 0)
	return errors.Join(errs...)
}
