package guard

import (
	"os"

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
	if err := unix.Prlimit(pid, tagged, nil, &l); err != nil || l.Max&tagBit == 0 || l.Max == unix.RLIM_INFINITY {
		return 0
	}
	return l.Max
}

// namespace names the numbering of processes that this one is part of.
func namespace() string {
	name, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return name
}
