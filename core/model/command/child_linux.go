package command

import "syscall"

// newGroup puts a child into its own process group, and has the kernel kill it when this process dies, even by SIGKILL.
func newGroup(user *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: user}
}
