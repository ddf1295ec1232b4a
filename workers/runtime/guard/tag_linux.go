package guard

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A tag is kept as a limit that Linux has not enforced since 2.4, of file locks, but that it still hands on from process to
// process. Nobody but root can raise it again.
const tagged = unix.RLIMIT_LOCKS

// setTag tags a process.
func setTag(pid int, tag uint64) error {
	return unix.Prlimit(pid, tagged, &unix.Rlimit{Cur: tag, Max: tag}, nil)
}

// tagOf is a process's tag; 0 when it has none or may not be asked.
func tagOf(pid int) uint64 {
	var l unix.Rlimit
	if err := unix.Prlimit(pid, tagged, nil, &l); err != nil {
		l.Max = told(pid)
	}
	if l.Max&tagBit == 0 || l.Max == unix.RLIM_INFINITY {
		return 0
	}
	return l.Max
}

// told is the tag as everybody may read it, more slowly; 0 when there is none.
func told(pid int) uint64 {
	b, err := os.ReadFile(proc(pid, "limits"))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "Max file locks")
	f := strings.Fields(rest)
	if len(f) < 2 {
		return 0
	}
	n, err := strconv.ParseUint(f[1], 10, 64) // "unlimited" is no number
	if err != nil {
		return 0
	}
	return n
}

// namespace names the numbering of processes that this one is part of.
func namespace() string {
	name, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return name
}
