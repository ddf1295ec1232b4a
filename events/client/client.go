// Package client is how Go programs use Tidemill: publish rows of a dataset, and act when a model is ready.
//
// A row is acknowledged when it is on disk. Publishing is retried with the same message id, which the broker deduplicates for
// two minutes; a program that must not send twice over a longer time keeps its own position.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Options say where Tidemill is. The zero value finds it as the tidemill command does: TIDEMILL_NATS_URL and TIDEMILL_NATS_TOKEN,
// then endpoint.json in TIDEMILL_DATA_DIR, in .tidemill from the working directory upward, and in the user's state folder.
type Options struct {
	URL   string // nats://127.0.0.1:4222
	Token string
	Name  string // of this program, shown by the broker; default the executable's name
}

// Client is a connection to Tidemill's broker. It is safe for concurrent use.
type Client struct {
	nc *nats.Conn
	js jetstream.JetStream
}

// ErrNotFound says that no running Tidemill was found.
var ErrNotFound = errors.New("no Tidemill found: start one with 'tidemill up', or set TIDEMILL_NATS_URL")

// Connect connects to Tidemill.
func Connect(_ context.Context, o Options) (*Client, error) {
	if o.URL == "" {
		found, err := find()
		if err != nil {
			return nil, err
		}
		o.URL, o.Token = found.NATS, found.NATSToken
	}
	if o.Name == "" {
		o.Name = filepath.Base(os.Args[0])
	}
	options := []nats.Option{nats.Name(o.Name), nats.MaxReconnects(-1)}
	if o.Token != "" {
		options = append(options, nats.Token(o.Token))
	}
	nc, err := nats.Connect(o.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", o.URL, err)
	}
	return New(nc)
}

// New uses a connection that the caller owns and closes.
func New(nc *nats.Conn) (*Client, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	return &Client{nc: nc, js: js}, nil
}

// Close drains and closes the connection.
func (c *Client) Close() error { return c.nc.Drain() }

// Endpoint is the content of endpoint.json, which 'tidemill up' writes (mode 0600).
type Endpoint struct {
	HTTP      string `json:"http"`
	Token     string `json:"token"`
	NATS      string `json:"nats"`
	NATSToken string `json:"natsToken"`
	PID       int    `json:"pid"`
}

func find() (Endpoint, error) {
	if url := os.Getenv("TIDEMILL_NATS_URL"); url != "" {
		return Endpoint{NATS: url, NATSToken: os.Getenv("TIDEMILL_NATS_TOKEN")}, nil
	}
	return FindEndpoint()
}

// FindEndpoint reads the nearest endpoint.json: TIDEMILL_DATA_DIR, .tidemill from the working directory upward, the user's
// state folder. It returns ErrNotFound when there is none.
func FindEndpoint() (Endpoint, error) {
	for _, path := range endpointPaths() {
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return Endpoint{}, fmt.Errorf("read endpoint: %w", err)
		}
		var e Endpoint
		if err := json.Unmarshal(b, &e); err != nil {
			return Endpoint{}, fmt.Errorf("read endpoint %s: %w", path, err)
		}
		return e, nil
	}
	return Endpoint{}, ErrNotFound
}

func endpointPaths() []string {
	const file = "endpoint.json"
	if dir := os.Getenv("TIDEMILL_DATA_DIR"); dir != "" {
		return []string{filepath.Join(dir, file)}
	}
	var paths []string
	if dir, err := os.Getwd(); err == nil {
		for {
			paths = append(paths, filepath.Join(dir, ".tidemill", file))
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	if dir := StateDir(); dir != "" {
		paths = append(paths, filepath.Join(dir, file))
	}
	return paths
}

// StateDir is the user's state folder for Tidemill: $XDG_STATE_HOME/tidemill or ~/.local/state/tidemill; "" without a home.
func StateDir() string {
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "tidemill")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "tidemill")
	}
	return ""
}
