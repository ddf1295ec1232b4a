package natsserver

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 250 * time.Millisecond
	pingInterval    = 10 * time.Second
	connectTimeout  = 5 * time.Second
)

// Connect joins an external server or cluster (comma-separated URLs). Once connected it reconnects for ever, every 250 to
// 500 ms; while it is away, publishing fails instead of being buffered without anybody knowing. The first connection must
// succeed before ctx ends.
func Connect(ctx context.Context, url, token string) (*nats.Conn, error) {
	return connect(ctx, url, token)
}

func connect(ctx context.Context, url, token string, more ...nats.Option) (*nats.Conn, error) {
	options := append([]nats.Option{
		nats.Name("tidemill"),
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(2),
	}, more...)
	if token != "" {
		options = append(options, nats.Token(token))
	}
	for {
		conn, err := nats.Connect(url, options...)
		if err == nil {
			return conn, nil
		}
		where := url
		if where == "" {
			where = "the embedded server"
		}
		err = fmt.Errorf("connect to NATS at %s: %w", where, err)
		if _, bounded := ctx.Deadline(); !bounded {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(reconnectWait):
		}
	}
}
