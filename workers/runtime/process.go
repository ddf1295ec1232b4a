package runtime

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"time"
)

// grace is how long a trainer has to end after SIGTERM, before its whole group is killed.
const grace = 5 * time.Second

// process is a command in its own process group.
type process struct {
	command []string
	dir     string
	env     []string
	path    string // PATH by which the command's name is looked up
	grace   time.Duration
	out     *output
	started func(pid int)
}

// run runs the command to its end. When ctx ends, the group gets SIGTERM, and what is left of it SIGKILL after the grace
// period. Whatever the command started is gone when run returns. The error is the command's way to end, in plain words.
func (p process) run(ctx context.Context) error {
	name, err := lookUp(p.command[0], p.dir, p.path)
	if err != nil {
		return explainStart(p.command, p.dir, err)
	}
	// One pipe for both streams: the lines keep their order.
	out := &lines{to: p.out.line}
	cmd := exec.CommandContext(ctx, name, p.command[1:]...)
	cmd.Args[0] = p.command[0]
	cmd.Dir, cmd.Env = p.dir, p.env
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = newGroup()
	cmd.WaitDelay = p.grace
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

	done := make(chan error, 1)
	go func() {
		// The kernel ends the trainer when the thread that started it ends: it must be one that stays.
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			done <- explainStart(p.command, p.dir, err)
			return
		}
		if p.started != nil {
			p.started(cmd.Process.Pid)
		}
		err := cmd.Wait()
		// A grandchild may have outlived it, or may ignore SIGTERM.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // an empty group is no such process
		out.flush()
		done <- explainExit(err, p.out.last())
	}()
	err = <-done
	if ctx.Err() != nil && err != nil {
		return ctx.Err()
	}
	return err
}

// lookUp finds the command: a path is relative to dir, a name is looked up in the folders of path.
func lookUp(name, dir, path string) (string, error) {
	switch {
	case filepath.IsAbs(name):
		return name, nil
	case strings.ContainsRune(name, filepath.Separator):
		return filepath.Join(dir, name), nil
	}
	for _, folder := range filepath.SplitList(path) {
		full := filepath.Join(folder, name)
		if info, err := os.Stat(full); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return full, nil
		}
	}
	return "", exec.ErrNotFound
}
