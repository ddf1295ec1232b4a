package command

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is one process that answers. It leads its own process group.
type child struct {
	in    *os.File
	lines chan []byte // what it prints on standard output; one line is read ahead
	log   *logLines
	pid   int
	reads sync.WaitGroup

	ended chan struct{} // closed when it and its group are gone
	how   string        // it ended; to be read after ended

	mu   sync.Mutex
	gone bool   // pid may be somebody else's
	why  string // it was killed; "" when it ended by itself
}

// spec is how a child is started.
type spec struct {
	command []string
	dir     string
	env     []string
	path    string // by which the command's name is looked up
	user    *syscall.Credential
	maxLine int
	log     func(string)
}

// start starts a child.
func start(s spec) (*child, error) {
	name, err := LookUp(s.command[0], s.dir, s.path)
	if err != nil {
		return nil, fmt.Errorf("the command %q can't be started: it is not installed here, in none of the folders of PATH: %w", s.command[0], err)
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %q: %w", s.command[0], err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %q: %w", s.command[0], err), theirIn.Close(), in.Close())
	}
	c := &child{in: in, lines: make(chan []byte), log: &logLines{to: s.log}, ended: make(chan struct{})}
	cmd := &exec.Cmd{Path: name, Args: s.command, Dir: s.dir, Env: s.env, Stdin: theirIn, Stdout: theirOut, Stderr: c.log,
		SysProcAttr: newGroup(s.user), WaitDelay: 500 * time.Millisecond}
	started := make(chan error)
	go func() {
		// The kernel ends the child when the thread that started it ends: it must be one that stays.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		theirIn.Close()
		theirOut.Close()
		if err == nil {
			c.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			c.wait(cmd)
		}
	}()
	if err := <-started; err != nil {
		in.Close()
		out.Close()
		return nil, fmt.Errorf("the command %q can't be started: %w", s.command[0], err)
	}
	c.reads.Go(func() { c.read(out, s.maxLine) })
	return c, nil
}

// wait waits for the end of the child, and takes the rest of its group with it.
func (c *child) wait(cmd *exec.Cmd) {
	err := cmd.Wait()
	c.mu.Lock()
	_ = syscall.Kill(-c.pid, syscall.SIGKILL) // an empty group is no such process
	c.gone = true
	c.how = explain(err)
	if c.why != "" {
		c.how = c.why
	}
	c.mu.Unlock()
	c.in.Close()
	if last := c.log.flush(); last != "" {
		c.how += "; its last line: " + last
	}
	close(c.ended)
}

// kill ends the child and all that it started.
func (c *child) kill(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	if c.why == "" {
		c.why = why
	}
	_ = syscall.Kill(-c.pid, syscall.SIGKILL) // it may just have ended
}

// read hands over what the child prints, line by line.
func (c *child) read(out *os.File, limit int) {
	defer out.Close()
	r := bufio.NewReaderSize(out, 64<<10)
	for {
		line, err := readLine(r, limit)
		if errors.Is(err, errTooLong) {
			c.kill(fmt.Sprintf("it was stopped, since it printed a line of more than %d bytes", limit))
		}
		if err != nil {
			return // its end is told by ended
		}
		select {
		case c.lines <- line:
		case <-c.ended:
			return
		}
	}
}

var errTooLong = errors.New("the line is too long")

// readLine reads up to and without the next newline. What follows the last one is not handed over.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, errTooLong
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return bytes.TrimSuffix(line, []byte("\n")), err
	}
}

// errTimeout says that no answer came in time.
var errTimeout = errors.New("timeout")

// exchange sends one line and gives the line that comes back. It fails when the child ends, with [io.EOF], or after the timeout,
// with errTimeout; then the child was killed.
func (c *child) exchange(line []byte, timeout time.Duration) ([]byte, error) {
	late := time.NewTimer(timeout)
	defer late.Stop()
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		_, _ = c.in.Write(line) // a child that doesn't read doesn't answer: that is found below
	}()
	defer func() { <-wrote }()
	select {
	case back := <-c.lines:
		select {
		case <-wrote:
			return back, nil
		case <-c.ended:
			return nil, io.EOF
		case <-late.C:
		}
	case <-c.ended:
		return nil, io.EOF
	case <-late.C:
	}
	c.kill(fmt.Sprintf("it was stopped, since it gave no answer within %s", timeout))
	<-c.ended
	return nil, errTimeout
}

// unasked is a line that the child printed though nothing was asked; nil when there is none.
func (c *child) unasked() []byte {
	select {
	case line := <-c.lines:
		return line
	default:
		return nil
	}
}

// stop kills the child and returns when nothing of it is left.
func (c *child) stop() {
	c.kill("it was stopped")
	<-c.ended
	c.reads.Wait()
}

// explain says how a process ended.
func explain(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return "it ended by itself"
	case !errors.As(err, &exit):
		return fmt.Sprintf("it ended: %v", err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return fmt.Sprintf("it was ended by a signal (%s)", status.Signal())
	}
	return fmt.Sprintf("it ended with exit code %d", exit.ExitCode())
}

// LookUp finds a program: a path is relative to dir, a name is looked up in the folders of path, a list as PATH is one. The error
// is [exec.ErrNotFound].
func LookUp(name, dir, path string) (string, error) {
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

// logLines cuts standard error into lines, and remembers the last one.
type logLines struct {
	to func(string)

	mu      sync.Mutex
	pending []byte
	last    string
}

const maxLogLine = 16 << 10

// Write takes the next bytes.
func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range b {
		if c == '\n' {
			l.line()
			continue
		}
		if l.pending = append(l.pending, c); len(l.pending) >= maxLogLine {
			l.line()
		}
	}
	return len(b), nil
}

func (l *logLines) line() {
	if text := strings.TrimSpace(strings.ToValidUTF8(string(l.pending), "\uFFFD")); text != "" {
		l.last = text
		if l.to != nil {
			l.to(text)
		}
	}
	l.pending = l.pending[:0]
}

// flush hands over what is pending and gives the last line.
func (l *logLines) flush() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line()
	return l.last
}
