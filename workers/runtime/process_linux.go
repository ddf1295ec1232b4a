package runtime

import "syscall"

// newGroup puts a command into its own process group, and has the kernel kill it when the worker dies, even by SIGKILL.
func newGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
