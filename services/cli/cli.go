// Package cli is the command line. All commands speak HTTP to a running Tidemill, but for three: up and worker, which main hands
// in, and init, which reads a file on this machine. It knows no service.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/render"
)

// Exit codes.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsedWrongly = 2
)

// Config is what main gives the command line.
type Config struct {
	Up      func(context.Context, UpOptions) error
	Worker  func(context.Context, WorkerOptions) error
	Targets []string // that up knows
	Version string

	In  io.Reader
	Out io.Writer
	Err io.Writer
	// IsTerminal tells whether one of the above is a person's terminal: nil means that none is.
	IsTerminal func(stream any) bool
	// Width is how many columns the terminal has now; nil or 0 mean 100.
	Width func() int
	// Getenv reads the environment; nil means os.Getenv.
	Getenv func(string) string
}

// CLI runs command lines. It is safe for concurrent use.
type CLI struct{ config Config }

// New makes the command line.
func New(c Config) *CLI {
	if c.IsTerminal == nil {
		c.IsTerminal = func(any) bool { return false }
	}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.Width == nil {
		c.Width = func() int { return 0 }
	}
	return &CLI{config: c}
}

// app is one command line that runs: what its commands share.
type app struct {
	Config
	url, token string
}

// Run runs one command line and returns the exit code. Commands without an end of their own are done when ctx ends; the others
// were interrupted.
func (c *CLI) Run(ctx context.Context, args []string) int {
	a := &app{Config: c.config}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return ExitDone
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		err = errors.New("interrupted")
	}
	return a.fail(root, err)
}

func (a *app) client() (*call.Client, error) { return call.Find(a.url, a.token) }

// style colours what is written to w, if a person wants that.
func (a *app) style(w io.Writer) render.Style {
	return render.Style{Color: a.IsTerminal(w) && a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb"}
}

func (a *app) width() int {
	if w := a.Width(); w > 0 {
		return w
	}
	return 100
}

const (
	groupRun     = "run"
	groupDeclare = "declare"
	groupTry     = "try"
	groupData    = "data"
	groupWatch   = "watch"
	groupDecide  = "decide"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "tidemill",
		Short: "Tidemill turns a stream of data into a stream of better models",
		Long: "Tidemill turns a stream of data into a stream of better models: publish rows, declare when a model should be retrained,\n" +
			"act on each new champion.\n\n" +
			"Commands find a running Tidemill by --url and --token, then TIDEMILL_URL and TIDEMILL_TOKEN, then the endpoint.json that\n" +
			"'tidemill up' writes: in TIDEMILL_DATA_DIR, in .tidemill from here upward, or in your state folder.\n" +
			"Exit codes: 0 done, 1 failed, 2 used wrongly.",
		SilenceUsage: true, SilenceErrors: true, DisableSuggestions: true, Version: a.Version,
	}
	root.SetVersionTemplate("tidemill {{.Version}}\n")
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().StringVar(&a.url, "url", "", "where Tidemill answers, for example http://127.0.0.1:8080")
	root.PersistentFlags().StringVar(&a.token, "token", "", "the token that Tidemill asks for")
	root.AddGroup(&cobra.Group{ID: groupRun, Title: "Run Tidemill:"}, &cobra.Group{ID: groupDeclare, Title: "Declare:"},
		&cobra.Group{ID: groupTry, Title: "Try a trainer, bring a model:"},
		&cobra.Group{ID: groupData, Title: "Send rows, get predictions and facts:"},
		&cobra.Group{ID: groupWatch, Title: "Watch and explain:"}, &cobra.Group{ID: groupDecide, Title: "Decide:"})
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupRun, a.up(), a.worker(), a.link(), a.version())
	add(groupDeclare, a.initFile(), a.apply(), a.diff(), a.get(), a.delete())
	add(groupTry, a.snapshot(), a.trial(), a.importModel())
	add(groupData, a.publish(), a.predict(), a.subscribe())
	add(groupWatch, a.watch(), a.why(), a.whyNot(), a.logs(), a.lineage(), a.compare(), a.reproduce())
	add(groupDecide, a.retrain(), a.rollback(), a.pause(), a.resume(), a.quarantine(), a.dead())
	root.SetHelpCommandGroupID(groupRun)
	root.SetCompletionCommandGroupID(groupRun)
	return root
}

// needs checks the number of arguments; a name in brackets may be left out.
func needs(names ...string) cobra.PositionalArgs {
	least := 0
	for _, n := range names {
		if !strings.HasPrefix(n, "[") {
			least++
		}
	}
	return func(c *cobra.Command, got []string) error {
		if len(got) < least {
			return wrongly("usage: "+c.UseLine(), "%s needs %s", c.CommandPath(), strings.Join(names[len(got):least], " and "))
		}
		if len(got) > len(names) {
			return wrongly("usage: "+c.UseLine(), "%s takes no %q", c.CommandPath(), got[len(names)])
		}
		return nil
	}
}

// family makes a command that has nothing but commands of its own.
func family(c *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	c.AddCommand(commands...)
	var names []string
	for _, sub := range commands {
		names = append(names, sub.Name())
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		all := strings.Join(names, ", ")
		if len(args) == 0 {
			return wrongly("see: "+c.CommandPath()+" --help", "%s needs one of %s", c.CommandPath(), all)
		}
		hint := resource.Suggest(args[0], names)
		if hint == "" {
			hint = "there are " + all
		}
		return wrongly(hint, "unknown command %q for %s", args[0], c.CommandPath())
	}
	return c
}

// format adds -o to a reading command.
func format(c *cobra.Command) *string {
	f := c.Flags().StringP("output", "o", string(render.Table), strings.Join(render.Formats(), ", "))
	_ = c.RegisterFlagCompletionFunc("output", fixed(render.Formats()...)) // fails for a flag that isn't there
	before := c.PreRunE
	c.PreRunE = func(c *cobra.Command, args []string) error {
		// Before anything is asked or done.
		if _, err := render.ParseFormat(*f); err != nil {
			return wrongly("", "%s", err)
		}
		if before == nil {
			return nil
		}
		return before(c, args)
	}
	return f
}

// show writes an answer in the format that was asked for.
func (a *app) show(format string, v any, table func(*render.Grid)) error {
	return render.Write(a.Out, render.Format(format), v, table)
}
