package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/events"
)

// graceful is how long a command may go on after the end was asked for.
const graceful = 10 * time.Second

// run runs the command for a fact. When ctx ends it is asked to end too; if it still succeeds, it succeeded.
func (s *subscription) run(ctx context.Context, fact events.Fact, line []byte) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", s.command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(line), s.Out, s.Err
	cmd.Env = append(os.Environ(), about(fact)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = graceful
	err := cmd.Run()
	if err == nil || cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", s.command, err)
}

// about is a fact in environment variables.
func about(fact events.Fact) []string {
	var p struct {
		Model   string `json:"model"`
		Version any    `json:"version"`
	}
	model, version := "", ""
	if fact.Decode(&p) == nil {
		model = p.Model
		if v, ok := p.Version.(string); ok {
			version = v
		}
	}
	return []string{"TIDEMILL_FACT_TYPE=" + fact.Type.Short(), "TIDEMILL_MODEL=" + model, "TIDEMILL_VERSION=" + version}
}
