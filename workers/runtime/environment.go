package runtime

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
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

// pythonVersion asks the interpreter of a Python command for its version; "" when the command is no Python.
func pythonVersion(ctx context.Context, p process) string {
	if !strings.HasPrefix(filepath.Base(p.command[0]), "python") {
		return ""
	}
	name, err := lookUp(p.command[0], p.dir, p.path)
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, "--version")
	cmd.Dir, cmd.Env = p.dir, p.env
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.TrimPrefix(string(out), "Python "))
}
