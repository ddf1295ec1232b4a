// Command testrun runs go test in one or more phases and sums them up: failures in full, skipped tests by name, and
// "N passed, N failed" alone on the last line. It exits 0 when nothing failed and at least one test ran.
//
//	testrun [-tally FILE] -- ARGS... [-- ARGS...]...
//
// Each group of ARGS is handed to one `go test -json`; a later phase runs though an earlier one failed. A group that
// begins with "command" is any other program and counts as one test. With -tally the counts are also appended to FILE,
// one line a run, so that a script can add up several runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	tally := flag.String("tally", "", "append the counts to this `file`")
	flag.Parse()
	phases := split(flag.Args())
	if len(phases) == 0 {
		fmt.Fprintln(os.Stderr, "usage: testrun [-tally FILE] -- ARGS... [-- ARGS...]...")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, phases, *tally, os.Stdout)
	if err != nil {
		stop()
		if !errors.Is(err, errTests) {
			fmt.Fprintln(os.Stderr, "testrun:", err)
		}
		os.Exit(1)
	}
}

// errTests says that tests failed, or that there were none: the summary has told it already.
var errTests = errors.New("tests failed")

// split cuts args at "--"; empty groups vanish.
func split(args []string) [][]string {
	var phases [][]string
	for len(args) > 0 {
		end := slices.Index(args, "--")
		if end < 0 {
			end = len(args)
		}
		if end > 0 {
			phases = append(phases, args[:end])
		}
		args = args[min(end+1, len(args)):]
	}
	return phases
}

func run(ctx context.Context, phases [][]string, tally string, out io.Writer) error {
	started := time.Now()
	sum := newSummary(out)
	for _, args := range phases {
		do := goTest
		if args[0] == "command" {
			do, args = command, args[1:]
		}
		if err := do(ctx, args, sum, out); err != nil {
			return err
		}
	}
	if tally != "" {
		if err := appendLine(tally, sum.counts.String()); err != nil {
			return err
		}
	}
	sum.print(time.Since(started))
	if !sum.ok() {
		return errTests
	}
	return nil
}

// command runs one program, silent unless it fails.
func command(ctx context.Context, args []string, sum *summary, _ io.Writer) error {
	if len(args) == 0 {
		return errors.New("'command' needs a program to run")
	}
	started := time.Now()
	said, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	what := strings.Join(args, " ")
	if err != nil {
		sum.failed(what, fmt.Sprintf("%s%v\n", said, err))
		return nil
	}
	sum.counts.passed++
	sum.ended("ok", what, time.Since(started).Seconds())
	return nil
}

// goTest runs one go test and feeds its events to sum. A go test that fails without saying which test is one failure
// more: a summary must never look clean when the command was not.
func goTest(ctx context.Context, args []string, sum *summary, out io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start go test: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go test: %w", err)
	}
	before := sum.counts.failed
	readErr := sum.read(stdout)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if readErr != nil {
		return fmt.Errorf("read go test's events: %w", readErr)
	}
	if err != nil && sum.counts.failed == before {
		sum.failed(fmt.Sprintf("go test %v", args), err.Error()+"\n")
	}
	return nil
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("tally: %w", err)
	}
	if _, err := fmt.Fprintln(f, line); err != nil {
		_ = f.Close()
		return fmt.Errorf("tally: %w", err)
	}
	return f.Close()
}
