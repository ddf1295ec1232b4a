package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/core/model/command"
	"github.com/tidemill/tidemill/workers/runtime/guard"
)

const (
	// grace is how long a trainer has to end after SIGTERM, before all its processes are killed.
	grace = 5 * time.Second
	// dying is how long killed processes may take to be gone.
	dying = 10 * time.Second
)

// process is a command in its own process group.
type process struct {
	command []string
	dir     string
	env     []string
	path    string // PATH by which the command's name is looked up
	grace   time.Duration
	out     *output
	user    *User // nil: the worker's own
	mark    guard.Mark
	bounds  bounds
	started func(pid int)
}

// run runs the command to its end. When ctx ends, the group gets SIGTERM, and what is left of it SIGKILL after the grace
// period; a limit that it breaks ends it at once. Whatever the command started is gone when run returns, in its group or not.
// The error is the command's way to end, in plain words.
func (p process) run(ctx context.Context) error {
	name, err := command.LookUp(p.command[0], p.dir, p.path)
	if err != nil {
		return p.explainStart(err)
	}
	// One pipe for both streams: the lines keep their order.
	from, to, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start %q: %w", p.command[0], err)
	}
	defer from.Close()
	group := guard.NewGroup(p.mark, p.bounds.scratch)
	began, ended := make(chan *exec.Cmd, 1), make(chan error, 1)
	go func() {
		// The kernel ends the trainer when the thread that started it ends: it must be one that stays.
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		cmd, err := p.start(name, to, group)
		_ = to.Close() // the trainer has its own
		if err != nil {
			close(began)
			ended <- err
			return
		}
		began <- cmd
		ended <- cmd.Wait()
	}()
	cmd, ok := <-began
	if !ok {
		return p.explainStart(<-ended)
	}
	return p.follow(ctx, cmd, group, from, ended)
}

// start starts the command, which has its mark and its limits before it does anything.
func (p process) start(name string, to *os.File, group *guard.Group) (*exec.Cmd, error) {
	made := func() *exec.Cmd {
		cmd := exec.Command(name, p.command[1:]...)
		cmd.Args[0] = p.command[0]
		if p.user != nil {
			cmd.Path, cmd.Args = group.Wrap(p.bounds.limits(), name, p.command[1:])
		}
		cmd.Dir, cmd.Env = p.dir, p.env
		cmd.Stdout, cmd.Stderr = to, to
		cmd.SysProcAttr = newGroup()
		cmd.SysProcAttr.Credential = p.user.Credential()
		return cmd
	}
	cmd, held := made(), true
	guard.Hold(cmd.SysProcAttr)
	err := cmd.Start()
	if errors.Is(err, syscall.EPERM) {
		// Some systems let nobody be held. Then it gets its limits a little late.
		cmd, held = made(), false
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	pid := cmd.Process.Pid
	group.Began(pid)
	if err := p.bounds.limits().Apply(pid); err != nil && held && p.user == nil {
		p.out.line("tidemill: " + strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if held {
		if err := guard.Release(pid); err != nil {
			group.Kill()
			return nil, errors.Join(err, cmd.Wait())
		}
	}
	return cmd, nil
}

// follow sees a process that began through to its end.
func (p process) follow(ctx context.Context, cmd *exec.Cmd, group *guard.Group, from *os.File, ended <-chan error) error {
	police := p.bounds.police(group)
	if p.started != nil {
		p.started(cmd.Process.Pid)
	}
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		out := &lines{to: p.out.line, mask: p.out.mask}
		_, _ = io.Copy(out, from) // it ends with the last writer
		out.flush()
	}()
	err := p.await(ctx, group, ended)
	broken := police.stop()
	// A grandchild may have outlived it, or may ignore SIGTERM.
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), dying)
	left, stuck := group.End(patience)
	cancel()
	// Whoever still holds the pipe is no process of the trial that can be found.
	_ = from.SetReadDeadline(time.Now().Add(p.grace))
	<-printed
	if left > 0 {
		p.out.line(fmt.Sprintf("tidemill: %d processes that the trainer started were still there when it ended: they were killed", left))
	}
	switch {
	case stuck != nil:
		return fmt.Errorf("end the trial's processes: %w", stuck)
	case broken != nil:
		return broken
	case ctx.Err() != nil && err != nil:
		return ctx.Err()
	}
	if err := p.explainExit(err, police); err != nil {
		return err
	}
	return p.bounds.outputs()
}

// await waits for the process, and ends it when ctx ends.
func (p process) await(ctx context.Context, group *guard.Group, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	_ = group.Signal(syscall.SIGTERM) // it may have ended by itself
	timer := time.NewTimer(p.grace)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
	}
	group.Kill()
	return <-ended
}

// exitOf is how a process ended; nil when err is no end of a process.
func exitOf(err error) *exec.ExitError {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit
	}
	return nil
}
