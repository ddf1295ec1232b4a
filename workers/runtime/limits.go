package runtime

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/workers/runtime/guard"
)

const (
	defaultOutput = resource.Size(2 << 30) // of a candidate that names no outputSize
	maxFiles      = 200_000                // that a trial may have; more would take the disk's last inodes
	maxProcesses  = 1000                   // that a trial may have at once; more would take the machine's last

	memoryEvery = 100 * time.Millisecond // how often memory is looked at, and ...
	memoryOften = 20 * time.Millisecond  // ... when more than half of it is used
	outputEvery = 200 * time.Millisecond // how often output is looked at, at most
	outputShare = 20                     // looking at output may take one part in so many of the time
)

// bounds are what a process may use. The zero value bounds nothing.
type bounds struct {
	memory  resource.Size // of all processes together, in bytes; 0 is no limit
	output  resource.Size // of all files that it writes, in bytes; 0 is no limit
	open    int           // files that one process may have open; 0 is no limit
	scratch string        // where it writes, and ...
	more    []string      // ... where else
	before  diskUse       // what lay in scratch before it began
}

// boundsOf are the bounds of a trial whose folders are laid out.
func boundsOf(r resource.Resources, f folders) bounds {
	b := bounds{memory: r.Memory, output: r.OutputSize, open: r.OpenFiles, scratch: f.scratch, more: []string{f.checkpoints}}
	if b.output == 0 {
		b.output = defaultOutput
	}
	b.before = useOf(f.scratch)
	return b
}

// diskUse is what files take.
type diskUse struct {
	bytes int64 // on disk
	files int   // and folders
}

// useOf adds up all files in folders. What vanishes meanwhile is not counted.
func useOf(folders ...string) diskUse {
	var u diskUse
	for _, folder := range folders {
		_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				// A folder that its owner closed hides what is in it.
				if entry != nil && entry.IsDir() && os.Geteuid() != 0 && os.Chmod(path, 0o700) == nil {
					if _, err := os.ReadDir(path); err == nil {
						inside := useOf(path)
						u.bytes, u.files = u.bytes+inside.bytes, u.files+inside.files
					}
				}
				return nil
			}
			u.files++
			if info, err := entry.Info(); err == nil && !entry.IsDir() {
				u.bytes += onDisk(info)
			}
			return nil
		})
	}
	return u
}

// onDisk is what a file takes: a file with holes is smaller than it says.
func onDisk(info fs.FileInfo) int64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(s.Blocks) * 512 //nolint:unconvert // its type differs between systems
	}
	return info.Size()
}

// limits are those of each process by itself.
func (b bounds) limits() guard.Limits {
	return guard.Limits{OpenFiles: b.open, FileSize: int64(b.output)}
}

// outputs checks what was written; nil when it is within bounds.
func (b bounds) outputs() error {
	if b.output == 0 {
		return nil
	}
	u := useOf(append([]string{b.scratch}, b.more...)...)
	switch written := resource.Size(u.bytes - b.before.bytes); {
	case written > b.output:
		return failed("the trial wrote too much: %s of the %s that resources.outputSize allows, in all its folders together", human(int64(written)), b.output)
	case u.files-b.before.files > maxFiles:
		return failed("the trial wrote too many files: more than %d", maxFiles)
	}
	return nil
}

// police watches a process's bounds and kills it when it breaks one.
type police struct {
	bounds bounds
	group  *guard.Group
	peak   atomic.Int64 // bytes of memory at the worst look
	kills  int64        // of the kernel for lack of memory, before

	ends  chan struct{}
	wait  sync.WaitGroup
	once  sync.Once
	first error // why it was killed
}

// police begins to watch.
func (b bounds) police(group *guard.Group) *police {
	w := &police{bounds: b, group: group, ends: make(chan struct{})}
	w.kills, _ = guard.OutOfMemoryKills()
	w.wait.Go(func() {
		w.every(func() time.Duration { return w.processes() })
	})
	if b.output > 0 {
		w.wait.Go(func() {
			w.every(func() time.Duration {
				began := time.Now()
				if err := b.outputs(); err != nil {
					w.kill(err)
				}
				return max(outputEvery, outputShare*time.Since(began))
			})
		})
	}
	return w
}

// stop ends watching and tells which bound was broken; nil when none was.
func (w *police) stop() error {
	close(w.ends)
	w.wait.Wait()
	return w.first
}

// every calls look, until it is stopped, as often as look says.
func (w *police) every(look func() time.Duration) {
	timer := time.NewTimer(memoryOften)
	defer timer.Stop()
	for {
		select {
		case <-w.ends:
			return
		case <-timer.C:
		}
		timer.Reset(look())
	}
}

func (w *police) kill(why error) {
	w.once.Do(func() { w.first = why })
	w.group.Kill()
}

// processes looks at the trial's processes and tells when to look again.
func (w *police) processes() time.Duration {
	use := w.group.Look()
	for _, pid := range use.New {
		_ = w.bounds.limits().Apply(pid) // it has them already, but where its leader got them late
	}
	if n := len(use.Processes); n > maxProcesses {
		w.kill(failed("the trial started too many processes: %d at once, more than %d", n, maxProcesses))
	}
	limit := int64(w.bounds.memory)
	if limit > 0 && use.Memory > limit {
		// Processes that were forked share most of theirs: the sum counts it for each.
		if shared, ok := guard.Shared(use.Processes); ok {
			use.Memory = shared
		}
		if use.Memory > limit {
			w.kill(failed("out of memory: its processes used %s of the %s that resources.memory allows", human(use.Memory), w.bounds.memory))
		}
	}
	w.peak.Store(max(w.peak.Load(), use.Memory))
	if limit > 0 && use.Memory > limit/2 {
		return memoryOften
	}
	return memoryEvery
}

// starved tells whether the kernel killed processes for lack of memory since the process began.
func (w *police) starved() bool {
	now, ok := guard.OutOfMemoryKills()
	return ok && now > w.kills
}

// human is a number of bytes with one digit after the point.
func human(n int64) string {
	const step = 1024
	value, unit := float64(n), 0
	for value >= step && unit < 4 {
		value, unit = value/step, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f%s", value, []string{"", "Ki", "Mi", "Gi", "Ti"}[unit])
}
