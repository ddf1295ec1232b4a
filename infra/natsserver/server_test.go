package natsserver_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/infra/natsserver"
	"github.com/tidemill/tidemill/infra/natsserver/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDataSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := 1; round <= 2; round++ {
		s, err := natsserver.Start(natsserver.Options{DataDir: dir, Port: -1})
		require.NoError(t, err)
		nc, err := s.Conn(t.Context())
		require.NoError(t, err)
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		_, err = js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
		require.NoError(t, err)
		ack, err := js.Publish(t.Context(), "s.a", []byte("x"))
		require.NoError(t, err)
		assert.EqualValues(t, round, ack.Sequence)
		nc.Close()
		require.NoError(t, s.Shutdown())
		require.NoError(t, s.Shutdown(), "stopping twice is safe")
	}
}

func TestSecondServerOnOneDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := natsserver.Start(natsserver.Options{DataDir: dir})
	require.NoError(t, err)
	pid, locked := natsserver.IsLocked(dir)
	assert.True(t, locked)
	assert.Equal(t, os.Getpid(), pid)

	_, err = natsserver.Start(natsserver.Options{DataDir: dir})
	require.ErrorIs(t, err, natsserver.ErrInUse)
	assert.Equal(t, fmt.Sprintf("another Tidemill (pid %d) is using %s; stop it or pass --data-dir", os.Getpid(), dir), err.Error())

	require.NoError(t, s.Shutdown())
	_, locked = natsserver.IsLocked(dir)
	assert.False(t, locked)
	again, err := natsserver.Start(natsserver.Options{DataDir: dir})
	require.NoError(t, err)
	require.NoError(t, again.Shutdown())
}

func TestTakenPortIsExplained(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	dir := t.TempDir()
	_, err = natsserver.Start(natsserver.Options{DataDir: dir, Port: l.Addr().(*net.TCPAddr).Port})
	require.ErrorContains(t, err, l.Addr().String())
	require.ErrorContains(t, err, "--nats")
	_, locked := natsserver.IsLocked(dir)
	assert.False(t, locked, "a failed start must release the directory")
}

func TestTokenIsAsked(t *testing.T) {
	t.Parallel()
	s := natstest.StartWith(t, natsserver.Options{DataDir: t.TempDir(), Port: -1, Token: "secret"})
	natstest.Conn(t, s)
	_, err := natsserver.Connect(t.Context(), s.URL(), "wrong")
	require.ErrorIs(t, err, nats.ErrAuthorization)
	nc, err := natsserver.Connect(t.Context(), s.URL(), "secret")
	require.NoError(t, err)
	nc.Close()
}

func TestConnectWaitsForAServerThatIsComing(t *testing.T) {
	t.Parallel()
	first, err := natsserver.Start(natsserver.Options{DataDir: t.TempDir(), Port: -1})
	require.NoError(t, err)
	u, err := url.Parse(first.URL())
	require.NoError(t, err)
	port, err := strconv.Atoi(u.Port())
	require.NoError(t, err)
	require.NoError(t, first.Shutdown())

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	connected := make(chan error, 1)
	go func() {
		nc, err := natsserver.Connect(ctx, u.String(), "")
		if err == nil {
			nc.Close()
		}
		connected <- err
	}()
	natstest.StartWith(t, natsserver.Options{DataDir: t.TempDir(), Port: port})
	require.NoError(t, <-connected)
}

func TestServerThatDoesNotListenHasNoURL(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	assert.Empty(t, s.URL())
	require.NoError(t, natstest.Conn(t, s).FlushTimeout(time.Second))
}
