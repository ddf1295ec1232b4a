package cli_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/services/cli"
)

func TestUpHandsItsFlagsOn(t *testing.T) {
	t.Parallel()
	up := func(args ...string) (got cli.UpOptions) {
		x := newTerminal(false)
		x.config.Up = func(_ context.Context, o cli.UpOptions) error { got = o; return nil }
		require.Zero(t, x.run(t.Context(), nil, append([]string{"up"}, args...)...), x.err.String())
		got.Ready = nil
		return got
	}
	plain := cli.UpOptions{Connection: cli.Connection{DataDir: ".tidemill", Replicas: 1, Pool: "default", Slots: 1, Lease: 10 * time.Second, CheckpointEvery: 2 * time.Second},
		HTTP: "127.0.0.1:8080", NATS: "127.0.0.1:4222", Targets: []string{"all"}}
	require.Equal(t, plain, up())

	fleet := plain
	fleet.Targets, fleet.NATSURL, fleet.BlobURL, fleet.LogLevel, fleet.LogFormat = []string{"ingestion", "worker"}, "nats://n:1", "s3://b", "debug", "json"
	require.Equal(t, fleet, up("--target", "ingestion,worker", "--nats-url", "nats://n:1", "--blob-url", "s3://b", "--log-level", "debug", "--log-format", "json"))

	signs := plain
	signs.SigningKey = "my.key"
	require.Equal(t, signs, up("--signing-key", "my.key"))

	once := plain
	once.Demo, once.Once, once.Shuffle, once.HTTP, once.NATS = true, true, 7, "127.0.0.1:0", "127.0.0.1:0"
	require.Equal(t, once, up("--demo", "--once", "--shuffle", "7"), "it doesn't get in the way of another Tidemill")
	once.HTTP = "127.0.0.1:9"
	require.Equal(t, once, up("--demo", "--once", "--shuffle", "7", "--http", "127.0.0.1:9"))
}

func TestWorkerHandsItsFlagsOn(t *testing.T) {
	t.Parallel()
	x := newTerminal(false)
	var got cli.WorkerOptions
	x.config.Worker = func(_ context.Context, o cli.WorkerOptions) error { got = o; return nil }
	require.Zero(t, x.run(t.Context(), nil, "worker", "--pool", "gpu", "--slots", "2", "--nats-url", "nats://n:1", "--nats-token", "t", "--blob-url", "s3://b",
		"--trusted-key", "a.pub", "--trusted-key", "b.pub", "--drain", "5m"))
	require.Equal(t, cli.Connection{DataDir: ".tidemill", NATSURL: "nats://n:1", NATSToken: "t", BlobURL: "s3://b", Replicas: 1, Pool: "gpu", Slots: 2,
		Drain: 5 * time.Minute, Lease: 10 * time.Second, CheckpointEvery: 2 * time.Second, TrustedKeys: []string{"a.pub", "b.pub"}}, got.Connection)
	for _, wrong := range [][]string{{"--drain", "-1s"}, {"--lease", "10ms"}, {"--checkpoint-every", "0s"}} {
		require.Equal(t, 2, newTerminal(false).run(t.Context(), nil, append([]string{"worker", "--nats-url", "n", "--blob-url", "b"}, wrong...)...))
	}
}

func TestUpTellsWhereItIs(t *testing.T) {
	t.Parallel()
	running := cli.Running{DataDir: "/data", HTTP: "http://127.0.0.1:8080", NATS: "nats://127.0.0.1:4222", Login: "http://127.0.0.1:8080/login?code=abc"}
	x := newTerminal(true)
	x.env["NO_COLOR"] = "1"
	x.config.Up = func(_ context.Context, o cli.UpOptions) error { o.Ready(running); return nil }
	require.Zero(t, x.run(t.Context(), nil, "up"))
	golden(t, "up.txt", x.out.String())

	x = newTerminal(false)
	x.config.Up = func(_ context.Context, o cli.UpOptions) error { o.Ready(running); return nil }
	require.Zero(t, x.run(t.Context(), nil, "up", "--demo", "--once"))
	require.Empty(t, x.out.String(), "standard output is the demo's")
	require.Contains(t, x.err.String(), running.Login)
}

func TestUpsErrorsKeepTheirKind(t *testing.T) {
	t.Parallel()
	for code, err := range map[int]error{1: errors.New("the port is taken"), 2: cli.WrongUse(errors.New("no such level"))} {
		x := newTerminal(false)
		x.config.Up = func(context.Context, cli.UpOptions) error { return err }
		require.Equal(t, code, x.run(t.Context(), nil, "up"))
		require.Equal(t, "error: "+err.Error()+"\n", x.err.String())
	}
}

func TestInterruptedUpIsDone(t *testing.T) {
	t.Parallel()
	for code, args := range map[int][]string{0: {"up"}, 1: {"up", "--demo", "--once"}} {
		ctx, cancel := context.WithCancel(t.Context())
		x := newTerminal(false)
		x.config.Up = func(ctx context.Context, _ cli.UpOptions) error { cancel(); return fmt.Errorf("start: %w", ctx.Err()) }
		require.Equal(t, code, x.run(ctx, nil, args...), args)
	}
}
