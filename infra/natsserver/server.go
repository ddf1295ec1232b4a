// Package natsserver runs a NATS server with JetStream inside the process, or connects to one outside. Acknowledged means on
// disk: the server syncs every write. A lock on the data directory keeps a second server away from it.
package natsserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// MaxPayload is the largest message, in bytes, that the embedded server takes; larger things travel as dataref.
const MaxPayload = 8 << 20

const startTimeout = 30 * time.Second

// Options say where the server keeps its data and where it listens.
type Options struct {
	// DataDir is created when missing. The server owns DataDir/nats and the lock file in DataDir.
	DataDir string
	// Host to listen on; "" means 127.0.0.1.
	Host string
	// Port to listen on; -1 picks a free one, 0 does not listen at all: only Conn reaches the server.
	Port int
	// Token, when set, is asked of every client, Conn excepted (it knows it).
	Token string
	// MaxStore bounds the disk that streams may reserve together, in bytes; 0 means 1 TiB. A stream reserves its own limit in full
	// when it is made, so a bound taken from the free disk would keep a small machine from starting.
	MaxStore int64
	// MaxMemory bounds the memory that memory streams may reserve, in bytes; 0 means 256 MiB.
	MaxMemory int64
	// Unsynced lets the server acknowledge before the data is on disk. It is for benchmarks and says so in the log.
	Unsynced bool
	// Logger gets the server's own lines, one level lower than the server rates them; nil drops them.
	Logger *zap.Logger
}

// A Server is a running embedded server.
type Server struct {
	server *server.Server
	lock   *dirLock
	token  string

	stopOnce sync.Once
	stopErr  error
}

// Start locks the data directory, starts the server and returns when it takes connections. Errors tell what to do: the
// directory is used by another Tidemill, the port is taken.
func Start(o Options) (*Server, error) {
	if o.DataDir == "" {
		return nil, errors.New("start NATS server: no data directory given")
	}
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = 256 << 20
	}
	if o.MaxStore == 0 {
		o.MaxStore = 1 << 40
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	lock, err := lockDir(o.DataDir)
	if err != nil {
		return nil, err
	}
	s, err := start(o)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return &Server{server: s, lock: lock, token: o.Token}, nil
}

func start(o Options) (*server.Server, error) {
	if err := checkPort(o.Host, o.Port); err != nil {
		return nil, err
	}
	log := &serverLog{log: o.Logger.WithOptions(zap.AddCallerSkip(1)).Sugar()}
	if o.Unsynced {
		o.Logger.Warn("NATS acknowledges before data is on disk: a power cut loses acknowledged rows and facts")
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "tidemill", Host: o.Host, Port: o.Port, DontListen: o.Port == 0, Authorization: o.Token,
		JetStream: true, StoreDir: filepath.Join(o.DataDir, "nats"), SyncAlways: !o.Unsynced,
		JetStreamMaxStore: o.MaxStore, JetStreamMaxMemory: o.MaxMemory, MaxPayload: MaxPayload,
		NoSigs: true, DisableJetStreamBanner: true,
	})
	if err != nil {
		return nil, fmt.Errorf("start NATS server in %s: %w", o.DataDir, err)
	}
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTimeout) || !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		if reason := log.lastFatal(); reason != "" {
			return nil, fmt.Errorf("start NATS server in %s: %s", o.DataDir, reason)
		}
		return nil, fmt.Errorf("start NATS server in %s: not ready after %s", o.DataDir, startTimeout)
	}
	return s, nil
}

// checkPort fails early and in words; the server itself would log the error and never become ready.
func checkPort(host string, port int) error {
	if port <= 0 {
		return nil
	}
	address := net.JoinHostPort(host, strconv.Itoa(port))
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("NATS address %s is taken by another process: stop it, or pass another --nats host:port", address)
	case err != nil:
		return fmt.Errorf("NATS can't listen on %s: %w: pass another --nats host:port", address, err)
	}
	return l.Close()
}

// URL is where clients on this machine or beside it connect; "" when the server does not listen.
func (s *Server) URL() string {
	if s.server.Addr() == nil {
		return ""
	}
	return s.server.ClientURL()
}

// Conn opens a connection inside the process; it passes no socket. Close it before Shutdown.
func (s *Server) Conn(ctx context.Context) (*nats.Conn, error) {
	return connect(ctx, "", s.token, nats.InProcessServer(s.server))
}

// Shutdown stops the server, waits until its files are closed and releases the data directory. Calling it twice is safe.
func (s *Server) Shutdown() error {
	s.stopOnce.Do(func() {
		s.server.Shutdown()
		s.server.WaitForShutdown()
		s.stopErr = s.lock.release()
	})
	return s.stopErr
}

// Run lets the server be a lifecycle.Component: it was ready when Start returned, and shuts down when ctx ends.
func (s *Server) Run(ctx context.Context, ready func()) error {
	ready()
	<-ctx.Done()
	return s.Shutdown()
}

// IsLocked tells whether a data directory is in use by a running server, and by which process (0 when unknown). It is for
// commands that want to explain themselves; Start checks by itself.
func IsLocked(dir string) (pid int, locked bool) {
	if _, err := os.Stat(filepath.Join(dir, lockName)); err != nil {
		return 0, false
	}
	lock, err := lockDir(dir)
	if err == nil {
		_ = lock.release()
		return 0, false
	}
	return readPID(filepath.Join(dir, lockName)), errors.Is(err, ErrInUse)
}
