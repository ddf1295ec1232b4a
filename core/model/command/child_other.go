//go:build unix && !linux

package command

import "syscall"

// newGroup puts a child into its own process group.
func newGroup(user *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: user}
}
