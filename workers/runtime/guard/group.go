package guard

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// looks is how often a process is looked at before it is held to be somebody else's: at first its environment may not be
// there yet.
const looks = 3

// before marks a process that was there before the trial.
const before = 1 << 30

// Group is the processes of one trial. It is safe for concurrent use.
type Group struct {
	mark   Mark
	folder string

	mu      sync.Mutex
	leader  int            // also the number of the process group; 0 until it began
	since   uint64         // when it began; what is older is no member
	members map[int]uint64 // by number, when they started
	others  map[int]int    // by number, how often they were looked at
}

// NewGroup begins to watch for the processes of a trial that works in a folder. What runs already is none of them.
func NewGroup(m Mark, folder string) *Group {
	g := &Group{mark: m, folder: folder, members: map[int]uint64{}, others: map[int]int{}}
	for _, pid := range list() {
		g.others[pid] = before
	}
	return g
}

// Began tells the group its first process, which leads a process group, and marks it.
func (g *Group) Began(pid int) {
	if tag := g.mark.tag(); tag != 0 {
		_ = setTag(pid, tag) // there are other ways to find it
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leader = pid
	delete(g.others, pid)
	if p, ok := read(pid); ok {
		g.members[pid], g.since = p.start, p.start
	}
}

// Usage is what the processes of a trial use together.
type Usage struct {
	Processes []int // their numbers
	New       []int // those of them that were not there at the last look
	Memory    int64 // bytes in memory; what several of them share counts for each
}

// Look finds the processes of the trial that are alive.
func (g *Group) Look() Usage {
	g.mu.Lock()
	defer g.mu.Unlock()
	var u Usage
	for _, p := range g.look(false, nil) {
		u.Processes = append(u.Processes, p.pid)
		u.Memory += p.rss
		if _, known := g.members[p.pid]; !known {
			u.New = append(u.New, p.pid)
		}
		g.members[p.pid] = p.start
	}
	return u
}

// Shared is the memory of some processes in bytes, where what they share counts once, and with what is swapped out. It is
// slower than [Group.Look] and tells false when it can't be had.
func Shared(pids []int) (int64, bool) {
	total := int64(0)
	for _, pid := range pids {
		n, ok := share(pid)
		if !ok {
			if _, alive := read(pid); alive {
				return 0, false
			}
		}
		total += n
	}
	return total, true
}

// look finds the members that are alive, the newest first; with anew, nothing is taken from earlier looks but that members
// stay members. at, which may be nil, is called for each as soon as it is found.
func (g *Group) look(anew bool, at func(process)) []process {
	var found, open []process
	add := func(p process) {
		if found = append(found, p); at != nil && !p.zombie {
			at(p)
		}
	}
	present := map[int]bool{}
	for _, pid := range slices.Backward(list()) {
		present[pid] = true
		start, member := g.members[pid]
		if n := g.others[pid]; !member && (n >= before || n >= looks && !anew) {
			continue
		}
		p, ok := read(pid)
		switch {
		case !ok:
		case member && p.start == start, g.belongs(p):
			add(p)
		default:
			open = append(open, p)
		}
	}
	for _, p := range g.children(found, open) {
		add(p)
	}
	for pid := range g.members {
		if !present[pid] {
			delete(g.members, pid)
		}
	}
	for pid := range g.others {
		if !present[pid] {
			delete(g.others, pid)
		}
	}
	alive := found[:0]
	for _, p := range found {
		delete(g.others, p.pid)
		if !p.zombie {
			alive = append(alive, p)
		}
	}
	return alive
}

// children are those of the open processes whose parents, or theirs, are members. The rest is noted as looked at.
func (g *Group) children(members, open []process) []process {
	parents := map[int]bool{}
	for _, p := range members {
		parents[p.pid] = true
	}
	var found []process
	for {
		rest := open[:0]
		for _, p := range open {
			if parents[p.parent] && p.start >= g.since {
				parents[p.pid] = true
				found = append(found, p)
				continue
			}
			rest = append(rest, p)
		}
		if len(rest) == len(open) {
			break
		}
		open = rest
	}
	for _, p := range open {
		g.others[p.pid]++
	}
	return found
}

// belongs tells whether a process is one of the trial's by itself.
func (g *Group) belongs(p process) bool {
	if g.leader != 0 && p.group == g.leader {
		return true
	}
	if p.zombie || p.pid == os.Getpid() || p.start < g.since {
		return false
	}
	if tag := tagOf(p.pid); tag != 0 {
		return tag == g.mark.tag() // of this trial, or of another one
	}
	if g.mark.in(environ(p.pid)) {
		return true
	}
	// Whoever looks around in the folder has a terminal.
	return g.folder != "" && !p.terminal && within(folder(p.pid), g.folder)
}

// within tells whether a path is a folder or lies in it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+string(filepath.Separator))
}

// Signal sends a signal to the trial's process group.
func (g *Group) Signal(s syscall.Signal) error {
	g.mu.Lock()
	leader := g.leader
	g.mu.Unlock()
	if leader == 0 {
		return os.ErrProcessDone
	}
	return syscall.Kill(-leader, s)
}

// Kill ends all processes of the trial that a look finds, at once. [Group.End] makes sure of it.
func (g *Group) Kill() {
	_ = g.Signal(syscall.SIGKILL) // an empty group is no such process
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.look(true, kill) {
		g.members[p.pid] = p.start
	}
}

// End kills whatever is left of the trial until nothing is, and returns how many processes outlived its leader. Call it when
// the leader has ended and was waited for. The error names those that can't be killed.
func (g *Group) End(ctx context.Context) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	anew := true
	return endAll(ctx, func() []process {
		found := g.look(anew, kill)
		if anew = false; g.leader != 0 {
			_ = syscall.Kill(-g.leader, syscall.SIGKILL) // an empty group is no such process
		}
		for _, p := range found {
			g.members[p.pid] = p.start
		}
		return found
	})
}

// Rounds in a row that must find nothing before nothing is left: more when there was something, since what forks and ends over
// and over slips through a single one.
const (
	quiet     = 2
	suspicion = 6
)

// endAll lets find kill what it finds until it finds nothing more.
func endAll(ctx context.Context, find func() []process) (int, error) {
	killed := map[int]process{}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for still, enough := 0, quiet; still < enough; {
		found := find()
		if still++; len(found) > 0 {
			still, enough = 0, suspicion
		}
		for _, p := range found {
			killed[p.pid] = p
		}
		collect(killed)
		if len(killed) == 0 {
			continue
		}
		pause.Reset(time.Millisecond)
		select {
		case <-ctx.Done():
			if len(found) > 0 {
				return len(killed), stuck(found)
			}
		case <-pause.C:
		}
	}
	return len(killed), nil
}

// collect reaps those of the killed that became children of this process, as they do where it is the first one of a container.
func collect(killed map[int]process) {
	for pid, was := range killed {
		if p, ok := read(pid); ok && p.start == was.start {
			reap(p)
		}
	}
}

func stuck(left []process) error {
	var pids []string
	for _, p := range left {
		pids = append(pids, fmt.Sprint(p.pid))
	}
	return fmt.Errorf("processes %s can't be killed", strings.Join(pids, ", "))
}

// kill kills one process, and no other that has got its number since.
func kill(p process) {
	handle, err := os.FindProcess(p.pid) // holds on to the process on Linux, not to its number
	if err != nil {
		return
	}
	if now, ok := read(p.pid); ok && now.start == p.start {
		_ = handle.Kill() // it may have ended by itself
	}
	_ = handle.Release()
}
