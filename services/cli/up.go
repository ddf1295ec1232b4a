package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/render"
)

// Connection is where a process finds broker and storage, and how it logs.
type Connection struct {
	DataDir   string
	NATSURL   string // "": an embedded server
	NATSToken string
	BlobURL   string // "": files in DataDir
	Replicas  int
	// TrustedKeys are files with public keys whose signatures on packages are trusted besides the own key's.
	TrustedKeys []string
	Pool        string
	Slots       int
	TrialUser   string
	Drain       time.Duration // that trials may go on when the process is asked to stop
	Lease       time.Duration // after which another worker gets the trial of one that fell silent
	// CheckpointEvery is how often the worker looks for new checkpoints.
	CheckpointEvery time.Duration
	LogLevel        string // "": the caller's choice
	LogFormat       string // "": by whether a person looks
}

// UpOptions are the flags of up.
type UpOptions struct {
	Connection
	HTTP, NATS string
	SigningKey string // file; "": one in DataDir
	Targets    []string
	Demo       bool
	Once       bool     // with Demo: to its end in a temporary data directory, and a summary as the last line of Out
	Shuffle    uint64   // with Demo: the control
	With       []string // with Demo: files of declarations
	// Declare applies what is in With; nil when there is nothing.
	Declare func(ctx context.Context, api *call.Client) error
	// Ready is to be called when everything runs; it tells the person at the terminal.
	Ready func(Running)
}

// WorkerOptions are the flags of worker.
type WorkerOptions struct{ Connection }

// Running says where a process that is up can be found. Login is a link that opens the dashboard once.
type Running struct{ DataDir, HTTP, NATS, Login string }

const (
	defaultHTTP = "127.0.0.1:8080"
	defaultNATS = "127.0.0.1:4222"
	anyPort     = "127.0.0.1:0"

	defaultDrain = 30 * time.Second // of a worker
	defaultLease = 10 * time.Second

	defaultCheckpointEvery = 2 * time.Second
)

func (a *app) up() *cobra.Command {
	o := UpOptions{}
	c := &cobra.Command{
		Use: "up", Short: "Run Tidemill in this process: everything, or some targets", Args: needs(),
		Long: "Run Tidemill in this process. By default all targets run, with an embedded NATS server and files in the data directory;\n" +
			"with --nats-url and --blob-url some targets run here and others elsewhere.\n\nTargets: all, " + strings.Join(a.Targets, ", "),
		Example: "  tidemill up\n" +
			"  tidemill up --data-dir /var/lib/tidemill --http 0.0.0.0:8080\n" +
			"  tidemill up --demo                    play half a year of flights through it\n" +
			"  tidemill up --target ingestion,validation --nats-url nats://nats:4222 --blob-url s3://bucket",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.checkUp(c, &o); err != nil {
				return err
			}
			o.Ready = func(r Running) { a.announce(r) }
			if len(o.With) > 0 {
				b, err := a.bundleOf(o.With)
				if err != nil {
					return err
				}
				o.Declare = func(ctx context.Context, client *call.Client) error {
					_, err := a.sendTo(ctx, client, b, false)
					return err
				}
			}
			err := a.Up(c.Context(), o)
			if o.Once { // it has an end of its own
				return err
			}
			return unlessInterrupted(c.Context(), err)
		},
	}
	connect(c, &o.Connection, 0)
	f := c.Flags()
	f.StringVar(&o.HTTP, "http", defaultHTTP, "address of the API, the dashboard and inference; port 0 takes a free one")
	f.StringVar(&o.NATS, "nats", defaultNATS, "address of the embedded NATS server; port 0 takes a free one")
	f.StringVar(&o.SigningKey, "signing-key", "", "`FILE` with the Ed25519 key that signs model packages (default: signing.key in the data directory, made at first start)")
	f.StringSliceVar(&o.Targets, "target", []string{"all"}, "targets to run, separated by commas")
	f.BoolVar(&o.Demo, "demo", false, "play half a year of real flights through it")
	f.BoolVar(&o.Once, "once", false, "with --demo: in a temporary data directory, to the end; the last line is a summary as JSON")
	f.StringArrayVar(&o.With, "with", nil, "with --demo: `FILE` of declarations to apply after the built-in ones; may be repeated")
	_ = c.MarkFlagFilename("with", "yaml", "yml")
	f.Uint64Var(&o.Shuffle, "shuffle", 0, "with --demo: shuffle everything but the dates by this seed, as a control")
	_ = f.MarkHidden("shuffle") // fails for a flag that isn't there
	_ = c.RegisterFlagCompletionFunc("target", fixed(append([]string{"all"}, a.Targets...)...))
	return c
}

func (a *app) checkUp(c *cobra.Command, o *UpOptions) error {
	if (o.Once || o.Shuffle != 0) && !o.Demo {
		return wrongly("tidemill up --demo --once", "--once goes with --demo")
	}
	if len(o.With) > 0 && !o.Demo {
		return wrongly("tidemill up --demo --with "+o.With[0], "--with goes with --demo; a running Tidemill takes declarations by 'tidemill apply'")
	}
	for _, t := range o.Targets {
		if t == "all" || slices.Contains(a.Targets, t) {
			continue
		}
		hint := resource.Suggest(t, a.Targets)
		if hint == "" {
			hint = "targets: all, " + strings.Join(a.Targets, ", ")
		}
		return wrongly(hint, "unknown target %q", t)
	}
	changed := c.Flags().Changed
	if o.Once {
		if changed("data-dir") {
			return wrongly("leave out one of them", "--once runs in a temporary data directory, it takes no --data-dir")
		}
		// It must not get in the way of a Tidemill that runs here already.
		if !changed("http") {
			o.HTTP = anyPort
		}
		if !changed("nats") {
			o.NATS = anyPort
		}
	}
	return nil
}

func (a *app) worker() *cobra.Command {
	o := WorkerOptions{}
	c := &cobra.Command{
		Use: "worker", Short: "Run training workers for a Tidemill that runs elsewhere", Args: needs(),
		Long: "Run training workers for a Tidemill that runs elsewhere. SIGTERM or Ctrl-C drains them: they take no more trials, those that\n" +
			"run may go on for --drain, and what isn't done by then goes to another worker, with its last checkpoint. A second\n" +
			"signal ends them at once.",
		Example: "  tidemill worker --pool gpu --slots 2 --nats-url nats://nats:4222 --nats-token $TOKEN --blob-url s3://bucket",
		RunE: func(c *cobra.Command, _ []string) error {
			for _, name := range []string{"nats-url", "blob-url"} {
				if !c.Flags().Changed(name) {
					return wrongly("give those that the platform uses: --nats-url, --nats-token and --blob-url", "a worker needs --%s", name)
				}
			}
			return unlessInterrupted(c.Context(), a.Worker(c.Context(), o))
		},
	}
	connect(c, &o.Connection, defaultDrain)
	return c
}

// unlessInterrupted is nil for what ended because a person wanted it, even while it was starting.
func unlessInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func connect(c *cobra.Command, o *Connection, drain time.Duration) {
	f := c.Flags()
	f.StringVar(&o.DataDir, "data-dir", ".tidemill", "where this process keeps its data")
	f.StringVar(&o.NATSURL, "nats-url", "", "NATS server or cluster to use, for example nats://nats:4222")
	f.StringVar(&o.NATSToken, "nats-token", "", "token of the NATS server")
	f.StringVar(&o.BlobURL, "blob-url", "", "object storage: file:///folder or s3://bucket (default: files in the data directory)")
	f.IntVar(&o.Replicas, "replicas", 1, "replicas of streams and documents on a NATS cluster")
	f.StringArrayVar(&o.TrustedKeys, "trusted-key", nil, "`FILE` with a public key whose signatures on model packages are trusted; may be repeated")
	f.StringVar(&o.Pool, "pool", "default", "pool whose trials the worker takes")
	f.IntVar(&o.Slots, "slots", 1, "trials that the worker runs at once")
	f.StringVar(&o.TrialUser, "trial-user", "", "`USER` that trainers run as: a name, uid or uid:gid; this takes root (default: whoever runs tidemill)")
	f.DurationVar(&o.Drain, "drain", drain, "how long trials may go on after SIGTERM; then they are handed to another worker")
	f.DurationVar(&o.Lease, "lease", defaultLease, "how soon another worker gets the trial of one that fell silent; all of a pool need the same")
	f.DurationVar(&o.CheckpointEvery, "checkpoint-every", defaultCheckpointEvery, "how often new checkpoints of trials are looked for, and stored")
	f.StringVar(&o.LogLevel, "log-level", "", "debug, info, warn or error (default: warn on a terminal, else info)")
	f.StringVar(&o.LogFormat, "log-format", "", "console or json (default: console on a terminal, else json)")
	// These fail for flags that aren't there.
	_ = c.RegisterFlagCompletionFunc("log-level", fixed("debug", "info", "warn", "error"))
	_ = c.RegisterFlagCompletionFunc("log-format", fixed("console", "json"))
	before := c.PreRunE
	c.PreRunE = func(c *cobra.Command, args []string) error {
		switch {
		case o.LogLevel != "" && !slices.Contains([]string{"debug", "info", "warn", "error"}, o.LogLevel):
			return wrongly("use debug, info, warn or error", "unknown --log-level %q", o.LogLevel)
		case o.LogFormat != "" && o.LogFormat != "console" && o.LogFormat != "json":
			return wrongly("use console or json", "unknown --log-format %q", o.LogFormat)
		case o.Slots < 1:
			return wrongly("", "--slots must be at least 1")
		case o.Drain < 0:
			return wrongly("", "--drain must not be negative")
		case o.CheckpointEvery < 10*time.Millisecond:
			return wrongly("", "--checkpoint-every must be at least 10ms")
		case o.Lease < time.Second:
			return wrongly("", "--lease must be at least 1s")
		case before != nil:
			return before(c, args)
		}
		return nil
	}
}

// announce tells that everything runs, and how to get at it: on standard output for a person, beside the log elsewhere.
func (a *app) announce(r Running) {
	out := a.Out
	if !a.IsTerminal(out) {
		out = a.Err
	}
	style := a.style(out)
	fmt.Fprintf(out, "\n  %s %s is ready\n\n", style.Bold("Tidemill"), a.Version)
	for _, line := range [][2]string{{"data", r.DataDir}, {"API", r.HTTP}, {"NATS", r.NATS}, {"dashboard", r.Login}} {
		if line[1] != "" {
			fmt.Fprintf(out, "  %-10s %s\n", line[0], line[1])
		}
	}
	hint := "Ctrl-C stops it."
	if r.Login != "" {
		hint = "The link opens the dashboard once; 'tidemill link' prints a new one. " + hint
	}
	fmt.Fprintf(out, "\n  %s\n\n", style.Dim(hint))
}

func (a *app) link() *cobra.Command {
	return &cobra.Command{
		Use: "link", Short: "Print a new one-time link to the dashboard", Args: needs(),
		Example: "  tidemill link\n  xdg-open $(tidemill link)",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			link, err := call.Post[api.LoginLink](c.Context(), client, "/api/v1/login-codes", nil, nil)
			if err != nil {
				return err
			}
			url := link.URL
			if link.Code != "" {
				// The address that works from here is the one that was just used.
				url = client.Base() + "/login?code=" + link.Code
			}
			fmt.Fprintln(a.Out, url)
			return nil
		},
	}
}

func (a *app) version() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Print the version of this program", Args: needs(), Example: "  tidemill version -o json"}
	f := format(c)
	c.RunE = func(*cobra.Command, []string) error {
		v := struct {
			Version  string `json:"version"`
			Go       string `json:"go"`
			Platform string `json:"platform"`
		}{a.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
		return a.show(*f, v, func(g *render.Grid) { g.Text("tidemill " + v.Version + " (" + v.Go + ", " + v.Platform + ")") })
	}
	return c
}
