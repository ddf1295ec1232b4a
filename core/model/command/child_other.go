//go:build unix && !linux

package command

import "syscall"

// newGroup puts a child into its own process group.
func newGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
