//go:build unix && !linux

package runtime

import "syscall"

// newGroup puts a command into its own process group.
func newGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
