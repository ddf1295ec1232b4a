// Package command is the command line. But for up and worker, which main passes in, every command speaks HTTP to a running Tidemill.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/services/api/call"
)

// Exit codes.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsedWrongly = 2
)

// Config is what main gives the command line.
type Config struct {
	Up      func(ctx context.Context, o UpOptions) error
	Worker  func(ctx context.Context, o UpOptions) error
	Version string
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	// Terminal tells whether Err is a person's terminal: progress bars are shown there alone.
	Terminal bool
}

// UpOptions are the flags of up and worker.
type UpOptions struct {
	DataDir, HTTP, NATS, NATSURL, NATSToken, BlobURL string
	Targets                                          []string
	Pool                                             string
	Slots, Replicas                                  int
	LogLevel, LogFormat                              string
	Demo, Once                                       bool
	Shuffle                                          uint64
}

// usageError is a command used wrongly: exit code 2.
type usageError struct{ error }

func wrongly(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// WrongUse marks an error as a command used wrongly.
func WrongUse(err error) error { return usageError{err} }

// app is the state that commands share.
type app struct {
	Config
	url, token string
}

func (a *app) api() (*call.Client, error) { return call.Find(a.url, a.token) }

// Run runs one command line and returns the exit code.
func Run(ctx context.Context, c Config, args []string) int {
	a := &app{Config: c}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil || (ctx.Err() != nil && errors.Is(err, context.Canceled)) {
		return ExitDone
	}
	var wrong usageError
	fmt.Fprintf(c.Err, "error: %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
	if errors.As(err, &wrong) || isCobraUsage(err) {
		return ExitUsedWrongly
	}
	return ExitFailed
}

// isCobraUsage knows cobra's own complaints, which have no type.
func isCobraUsage(err error) bool {
	for _, begin := range []string{"unknown command", "unknown flag", "unknown shorthand", "accepts ", "requires ", "required flag", "invalid argument", "flag needs"} {
		if strings.HasPrefix(err.Error(), begin) {
			return true
		}
	}
	return false
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "tidemill", Short: "Tidemill turns a stream of data into a stream of better models",
		SilenceUsage: true, SilenceErrors: true, Version: a.Version, SuggestionsMinimumDistance: 2,
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w\nsee: %s --help", err, c.CommandPath())}
	})
	root.PersistentFlags().StringVar(&a.url, "url", "", "where Tidemill answers (default: TIDEMILL_URL, or the nearest endpoint.json)")
	root.PersistentFlags().StringVar(&a.token, "token", "", "the platform's token (default: TIDEMILL_TOKEN, or that of endpoint.json)")
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run Tidemill:"}, &cobra.Group{ID: "declare", Title: "Declare:"},
		&cobra.Group{ID: "data", Title: "Send and ask:"}, &cobra.Group{ID: "watch", Title: "Watch and explain:"}, &cobra.Group{ID: "decide", Title: "Decide:"})
	for group, commands := range map[string][]*cobra.Command{
		"run":     {a.up(), a.worker(), a.link()},
		"declare": {a.initFile(), a.apply(), a.diff(), a.get(), a.delete()},
		"data":    {a.publish(), a.predict(), a.subscribe()},
		"watch":   {a.watch(), a.why(), a.whyNot()},
		"decide":  {a.retrain(), a.rollback(), a.pause(), a.resume(), a.quarantine(), a.dead()},
	} {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	return root
}

// args checks the number of arguments and names what is missing.
func args(names ...string) cobra.PositionalArgs {
	least := 0
	for _, n := range names {
		if !strings.HasPrefix(n, "[") {
			least++
		}
	}
	return func(c *cobra.Command, got []string) error {
		if len(got) < least {
			return wrongly("%s needs %s\nusage: %s", c.CommandPath(), strings.Join(names[len(got):], " "), c.UseLine())
		}
		if len(got) > len(names) {
			return wrongly("%s takes no %q\nusage: %s", c.CommandPath(), got[len(names)], c.UseLine())
		}
		return nil
	}
}
