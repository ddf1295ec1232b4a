// Command tidemill is Tidemill: every service, the workers and the command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	_ "time/tzdata" // schedules name time zones; images may have none

	"golang.org/x/term"

	"github.com/tidemill/tidemill/services/cli"
	"github.com/tidemill/tidemill/services/platform"
	"github.com/tidemill/tidemill/workers/runtime/guard"
)

// version is set when the binary is built.
var version = "dev"

func main() {
	if guard.ServeWatchdog(os.Args[1:], os.Stdin) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once, as it would have ended without us.
	context.AfterFunc(ctx, stop)
	code := cli.New(cli.Config{Up: up, Worker: worker, Targets: platform.TargetNames(), Version: version,
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, IsTerminal: isTerminal, Width: width}).Run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func width() int {
	w, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 0
	}
	return w
}
