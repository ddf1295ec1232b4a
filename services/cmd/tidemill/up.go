package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/tidemill/tidemill/events/client"
	"github.com/tidemill/tidemill/infra/obs"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli"
	"github.com/tidemill/tidemill/services/demo"
	"github.com/tidemill/tidemill/services/platform"
	"github.com/tidemill/tidemill/workers/runtime/guard"
)

// up runs the platform, or some of its targets, and the demo when it was asked for.
func up(ctx context.Context, o cli.UpOptions) error {
	p := options(o.Connection)
	p.HTTP, p.NATS, p.Targets, p.SigningKey = o.HTTP, o.NATS, o.Targets, o.SigningKey
	if err := platform.CheckTargets(o.Targets); err != nil {
		return cli.WrongUse(err)
	}
	if o.Once {
		dir, err := os.MkdirTemp("", "tidemill-demo-")
		if err != nil {
			return fmt.Errorf("make a folder for the demo: %w", err)
		}
		defer os.RemoveAll(dir)
		p.DataDir = filepath.Join(dir, "data")
		// Python packages are large: what one run installs is there for the next.
		if cache, err := os.UserCacheDir(); err == nil && os.Getenv(platform.VenvsVariable) == "" {
			p.Venvs = filepath.Join(cache, "tidemill", "venvs")
		}
	}
	// The demo tells its own story.
	log, err := logger(o.Connection, o.Demo)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	p.Log = log
	ready := make(chan platform.Endpoint, 1)
	p.Ready = func(e platform.Endpoint) {
		o.Ready(cli.Running{DataDir: absolute(p.DataDir), HTTP: e.HTTP, NATS: e.NATS, Login: e.Login})
		ready <- e
	}
	if !o.Demo {
		return platform.Run(ctx, p)
	}
	return withDemo(ctx, p, o, ready)
}

// absolute is a path as a person can use it anywhere.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// worker runs the worker alone.
func worker(ctx context.Context, o cli.WorkerOptions) error {
	p := options(o.Connection)
	p.Targets = []string{"worker"}
	log, err := logger(o.Connection, false)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	p.Log = log
	return platform.Run(ctx, p)
}

// options are what up and worker share. Secrets may come from the environment: one in a flag shows in the process list.
func options(c cli.Connection) platform.Options {
	p := platform.Options{DataDir: c.DataDir, NATSURL: c.NATSURL, NATSToken: c.NATSToken, BlobURL: c.BlobURL, Replicas: c.Replicas, TrustedKeys: c.TrustedKeys,
		Pool: c.Pool, Slots: c.Slots, TrialUser: c.TrialUser, Drain: c.Drain, Lease: c.Lease, CheckpointEvery: c.CheckpointEvery, Version: version, Token: os.Getenv("TIDEMILL_TOKEN")} // replicas of gateway and serving share it
	if self, err := guard.Self(); err == nil { // without one, what a killed worker leaves is ended by its next start
		p.Watchdog = self
	}
	if p.NATSToken == "" && p.NATSURL != "" {
		p.NATSToken = os.Getenv("TIDEMILL_NATS_TOKEN")
	}
	return p
}

// logger logs to standard error. Where a person looks on it is quiet, unless they ask for more.
func logger(c cli.Connection, quiet bool) (*zap.Logger, error) {
	if c.LogLevel == "" && (quiet || isTerminal(os.Stderr)) {
		c.LogLevel = "warn"
	}
	log, _, err := obs.NewLogger(obs.LogOptions{Level: c.LogLevel, Format: obs.Format(c.LogFormat), Out: os.Stderr})
	if err != nil {
		return nil, cli.WrongUse(err)
	}
	return log, nil
}

// withDemo plays the demo beside the platform. With --once the process ends with it.
func withDemo(ctx context.Context, p platform.Options, o cli.UpOptions, ready <-chan platform.Endpoint) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- platform.Run(ctx, p) }()
	select {
	case err := <-ended:
		return err
	case e := <-ready:
		played := make(chan error, 1)
		go func() {
			defer close(played)
			played <- play(ctx, o, e)
		}()
		select {
		case err := <-ended:
			stop()
			for range played { // it ended because the platform did: err says why
			}
			return err
		case err := <-played:
			if o.Once {
				stop()
				return errors.Join(err, <-ended)
			}
			if err != nil && ctx.Err() == nil {
				fmt.Fprintf(os.Stderr, "the demo ended early: %v\n", err)
			}
			return <-ended
		}
	}
}

func play(ctx context.Context, o cli.UpOptions, e platform.Endpoint) error {
	c, err := client.Connect(ctx, client.Options{URL: e.NATS, Token: e.NATSToken, Name: "demo"})
	if err != nil {
		return err
	}
	defer c.Close()
	d := demo.Options{API: call.New(e.HTTP, e.Token), Shuffle: o.Shuffle, Out: os.Stderr, Infer: true, Declare: o.Declare,
		Publish: func(ctx context.Context, rows [][]byte) (uint64, error) {
			batch := make([]any, len(rows))
			for i, r := range rows {
				batch[i] = r
			}
			done, err := c.Publish(ctx, "flights", batch...)
			return done.Sequence, err
		}}
	if !o.Once {
		d.Pause = 300 * time.Millisecond
	}
	s, err := demo.Run(ctx, d)
	if err != nil {
		return err
	}
	if o.Once {
		return json.NewEncoder(os.Stdout).Encode(s)
	}
	b, err := json.MarshalIndent(s, "  ", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "\n  The replay is over:\n  %s\n\n  Tidemill keeps running; press Ctrl-C to stop it. Try: tidemill why flight-delay\n", strings.TrimSpace(string(b)))
	return nil
}
