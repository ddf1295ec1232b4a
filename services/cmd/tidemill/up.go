package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidemill/tidemill/events/client"
	"github.com/tidemill/tidemill/infra/obs"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/command"
	"github.com/tidemill/tidemill/services/demo"
	"github.com/tidemill/tidemill/services/platform"
)

// up runs the platform, or some of its targets, and the demo when it was asked for.
func up(ctx context.Context, o command.UpOptions) error {
	p := platform.Options{DataDir: o.DataDir, HTTP: o.HTTP, NATS: o.NATS, NATSURL: o.NATSURL, NATSToken: o.NATSToken, BlobURL: o.BlobURL,
		Targets: o.Targets, Pool: o.Pool, Slots: o.Slots, Replicas: o.Replicas, Version: version,
		Token: os.Getenv("TIDEMILL_TOKEN")} // replicas of gateway and serving share it
	if p.NATSToken == "" && p.NATSURL != "" {
		p.NATSToken = os.Getenv("TIDEMILL_NATS_TOKEN") // a secret in a flag shows in the process list
	}
	if err := platform.CheckTargets(o.Targets); err != nil {
		return command.WrongUse(err)
	}
	if o.Once {
		dir, err := os.MkdirTemp("", "tidemill-demo-")
		if err != nil {
			return fmt.Errorf("make a folder for the demo: %w", err)
		}
		defer os.RemoveAll(dir)
		p.DataDir, p.HTTP, p.NATS = filepath.Join(dir, "data"), "127.0.0.1:0", "127.0.0.1:0"
		if o.LogLevel == "info" {
			o.LogLevel = "warn" // the demo tells its own story
		}
	}
	log, _, err := obs.NewLogger(obs.LogOptions{Level: o.LogLevel, Format: obs.Format(o.LogFormat), Out: os.Stderr})
	if err != nil {
		return command.WrongUse(err)
	}
	defer func() { _ = log.Sync() }()
	p.Log = log
	ready := make(chan platform.Endpoint, 1)
	p.Ready = func(e platform.Endpoint) {
		greet(os.Stderr, p, e)
		ready <- e
	}
	if !o.Demo {
		return platform.Run(ctx, p)
	}
	return withDemo(ctx, p, o, ready)
}

func greet(w io.Writer, p platform.Options, e platform.Endpoint) {
	if e.HTTP == "" {
		return
	}
	fmt.Fprintf(w, "\n  Tidemill %s is up.\n  dashboard  %s   (opens once; 'tidemill link' prints another)\n  API        %s/api/v1\n  NATS       %s\n  data       %s\n\n",
		version, e.Login, e.HTTP, e.NATS, p.DataDir)
}

// withDemo plays the demo beside the platform. With --once the process ends with it.
func withDemo(ctx context.Context, p platform.Options, o command.UpOptions, ready <-chan platform.Endpoint) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- platform.Run(ctx, p) }()
	select {
	case err := <-ended:
		return err
	case e := <-ready:
		played := make(chan error, 1)
		go func() { played <- play(ctx, o, e) }()
		select {
		case err := <-ended:
			stop()
			<-played
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

func play(ctx context.Context, o command.UpOptions, e platform.Endpoint) error {
	c, err := client.Connect(ctx, client.Options{URL: e.NATS, Token: e.NATSToken, Name: "demo"})
	if err != nil {
		return err
	}
	defer c.Close()
	d := demo.Options{API: call.New(e.HTTP, e.Token), Shuffle: o.Shuffle, Out: os.Stderr, Infer: true,
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
