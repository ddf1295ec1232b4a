package runtime

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// environment is the fingerprint of where a trial ran: it tells apart runs that may differ in their last digits.
func environment(ort string) map[string]string {
	e := map[string]string{
		"go": goruntime.Version(), "os": goruntime.GOOS, "arch": goruntime.GOARCH,
		"cpus": strconv.Itoa(goruntime.NumCPU()), "onnxruntime": ort,
	}
	if cpu := processorName(); cpu != "" {
		e["cpu"] = cpu
	}
	return e
}

// processorName reads the processor's name where Linux tells it.
func processorName() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for scan := bufio.NewScanner(f); scan.Scan(); {
		if name, value, ok := strings.Cut(scan.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// pythons asks Python interpreters for their versions, once for each as it lies on the disk.
type pythons struct {
	mu    sync.Mutex
	known map[string]string
}

// version asks the interpreter at a path: "3.11.7". env is what it is run with.
func (p *pythons) version(ctx context.Context, path string, env []string, user *User) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	key := fmt.Sprintf("%s %d %d", path, info.Size(), info.ModTime().UnixNano())
	p.mu.Lock()
	version, ok := p.known[key]
	p.mu.Unlock()
	if ok {
		return version, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Dir, cmd.Env = string(filepath.Separator), env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user.Credential()}
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	version = strings.TrimSpace(strings.TrimPrefix(string(out), "Python "))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[string]string{}
	}
	p.known[key] = version
	return version, nil
}

// isPython tells whether a command is a Python interpreter.
func isPython(command []string) bool {
	return len(command) > 0 && strings.HasPrefix(filepath.Base(command[0]), "python")
}
