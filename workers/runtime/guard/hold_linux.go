package guard

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Hold has a command stop before its first instruction, so that it can be given limits and a mark that none of what it starts
// can be without. It must be let go by [Release], by the thread that starts it. A system may forbid this with EPERM.
func Hold(a *syscall.SysProcAttr) { a.Ptrace = true }

// Release lets a held process go. One that was killed meanwhile is nothing to let go.
func Release(pid int) error {
	var info unix.Siginfo
	for {
		// It is only looked at: how a process ended is for those to know who wait for it.
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("let process %d go: %w", pid, err)
		}
		break
	}
	if err := syscall.PtraceDetach(pid); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("let process %d go: %w", pid, err)
	}
	return nil
}
