package guard

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// list names all processes, in rising order of their numbers.
func list() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // what could be read has to do
	out := make([]int, 0, len(names))
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		if pid, err := strconv.Atoi(name); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

func proc(pid int, file string) string { return "/proc/" + strconv.Itoa(pid) + "/" + file }

// read reads one process; false when there is none.
func read(pid int) (process, bool) {
	b, err := os.ReadFile(proc(pid, "stat"))
	if err != nil {
		return process{}, false
	}
	// "pid (name) state …": a name may hold anything, brackets too.
	at := bytes.LastIndexByte(b, ')')
	if at < 0 {
		return process{}, false
	}
	f := strings.Fields(string(b[at+1:]))
	const state, parent, group, terminal, start, rss = 0, 1, 2, 4, 19, 21 // proc(5) counts from 1, and from pid
	if len(f) <= rss {
		return process{}, false
	}
	p := process{pid: pid, zombie: f[state] == "Z" || f[state] == "X", terminal: f[terminal] != "0"}
	p.parent, _ = strconv.Atoi(f[parent]) // the kernel writes numbers
	p.group, _ = strconv.Atoi(f[group])
	p.start, _ = strconv.ParseUint(f[start], 10, 64)
	pages, _ := strconv.ParseInt(f[rss], 10, 64)
	p.rss = pages * int64(os.Getpagesize())
	return p, true
}

// environ is the environment that a process began with; nil when it may not be read.
func environ(pid int) []string {
	b, err := os.ReadFile(proc(pid, "environ"))
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(string(b), "\x00")
}

// folder is where a process works; "" when it may not be read.
func folder(pid int) string {
	path, err := os.Readlink(proc(pid, "cwd"))
	if err != nil {
		return ""
	}
	return path
}

// share is a process's memory with what it shares divided among those who share it, and what is swapped out; false when it
// may not be read.
func share(pid int) (int64, bool) {
	b, err := os.ReadFile(proc(pid, "smaps_rollup"))
	if err != nil {
		return 0, false
	}
	total, found := int64(0), false
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 || (f[0] != "Pss:" && f[0] != "SwapPss:") {
			continue
		}
		if kib, err := strconv.ParseInt(f[1], 10, 64); err == nil {
			total, found = total+kib<<10, true
		}
	}
	return total, found
}

// OutOfMemoryKills counts how often the kernel has killed a process for lack of memory since the machine started; false when
// it does not tell.
func OutOfMemoryKills() (int64, bool) {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// reap collects a child that ended and that nobody else waits for.
func reap(p process) {
	if p.zombie && p.parent == os.Getpid() {
		_, _ = syscall.Wait4(p.pid, nil, syscall.WNOHANG, nil) // another may have been quicker
	}
}
