package command

import (
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

func (a *app) up() *cobra.Command {
	o := UpOptions{}
	c := &cobra.Command{
		Use: "up", Short: "Run all of Tidemill, or some targets, in this process", Args: args(),
		Example: "  tidemill up\n  tidemill up --demo\n  tidemill up --target ingestion,validation --nats-url nats://nats:4222 --blob-url s3://bucket",
		RunE: func(c *cobra.Command, _ []string) error {
			if (o.Once || o.Shuffle != 0) && !o.Demo {
				return wrongly("--once goes with --demo")
			}
			return a.Up(c.Context(), o)
		},
	}
	f := c.Flags()
	common(c, &o)
	f.StringVar(&o.HTTP, "http", "127.0.0.1:8080", "address of the API, the dashboard and inference")
	f.StringVar(&o.NATS, "nats", "127.0.0.1:4222", "address of the embedded NATS server")
	f.StringSliceVar(&o.Targets, "target", []string{"all"}, "targets to run")
	f.BoolVar(&o.Demo, "demo", false, "play half a year of real flights through it")
	f.BoolVar(&o.Once, "once", false, "with --demo: in a temporary folder; print a JSON summary and end")
	f.Uint64Var(&o.Shuffle, "shuffle", 0, "with --demo: shuffle the flights by this seed, as a control")
	_ = f.MarkHidden("shuffle")
	return c
}

func (a *app) worker() *cobra.Command {
	o := UpOptions{Targets: []string{"worker"}, NATS: "127.0.0.1:0", HTTP: "127.0.0.1:0"}
	c := &cobra.Command{
		Use: "worker", Short: "Run training workers", Args: args(),
		Example: "  tidemill worker --pool gpu --slots 1 --nats-url nats://nats:4222 --blob-url s3://bucket",
		RunE: func(c *cobra.Command, _ []string) error {
			if o.NATSURL == "" {
				return wrongly("a worker needs the platform's NATS server: give --nats-url (and --nats-token), and the --blob-url that the platform uses")
			}
			return a.Worker(c.Context(), o)
		},
	}
	common(c, &o)
	return c
}

func common(c *cobra.Command, o *UpOptions) {
	f := c.Flags()
	f.StringVar(&o.DataDir, "data-dir", ".tidemill", "where this process keeps its data")
	f.StringVar(&o.NATSURL, "nats-url", "", "external NATS server or cluster")
	f.StringVar(&o.NATSToken, "nats-token", "", "token of the external NATS server (default: TIDEMILL_NATS_TOKEN)")
	f.StringVar(&o.BlobURL, "blob-url", "", "object storage: file:///dir or s3://bucket (default: files in the data directory)")
	f.IntVar(&o.Replicas, "replicas", 1, "replicas of streams and documents, on a NATS cluster")
	f.StringVar(&o.Pool, "pool", "default", "pool of the worker")
	f.IntVar(&o.Slots, "slots", 1, "trials that the worker runs at once")
	f.StringVar(&o.LogLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&o.LogFormat, "log-format", "", "console or json (default: console on a terminal)")
}

func (a *app) link() *cobra.Command {
	return &cobra.Command{
		Use: "link", Short: "Print a new one-time link to the dashboard", Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.api()
			if err != nil {
				return err
			}
			link, err := call.Post[api.LoginLink](c.Context(), client, "/api/v1/login-codes", nil, nil)
			if err != nil {
				return err
			}
			a.printf("%s/login?code=%s\n", client.Base(), link.Code)
			return nil
		},
	}
}
