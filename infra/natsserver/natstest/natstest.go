// Package natstest gives tests a real server of their own.
package natstest

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/infra/natsserver"
)

// Start starts a server in a temporary directory that only Conn reaches, and stops it when the test ends.
func Start(t testing.TB) *natsserver.Server {
	t.Helper()
	return StartWith(t, natsserver.Options{DataDir: t.TempDir()})
}

// StartWith is Start with options of the caller's.
func StartWith(t testing.TB, o natsserver.Options) *natsserver.Server {
	t.Helper()
	s, err := natsserver.Start(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Shutdown()) })
	return s
}

// Conn opens a connection to the server, closed when the test ends.
func Conn(t testing.TB, s *natsserver.Server) *nats.Conn {
	t.Helper()
	nc, err := s.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// JetStream starts a server and opens a JetStream context on it.
func JetStream(t testing.TB) jetstream.JetStream {
	t.Helper()
	return OpenJetStream(t, Conn(t, Start(t)))
}

// OpenJetStream opens a JetStream context on a connection.
func OpenJetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}
