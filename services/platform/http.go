package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"
)

// listen takes the address before anything else starts, so that a taken port is said at once.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the HTTP address %s is taken by another program: stop it, or choose another with --http", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for HTTP on %s (--http): %w", addr, err)
	}
	return l, nil
}

// httpServer serves routes until it is stopped; then it refuses new connections and lets requests finish.
type httpServer struct {
	listener net.Listener
	routes   chi.Router
	ready    atomic.Bool
}

const drain = 5 * time.Second

func newHTTPServer(l net.Listener) *httpServer {
	s := &httpServer{listener: l, routes: chi.NewRouter()}
	s.routes.Get("/livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	s.routes.Get("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("starting or stopping\n"))
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	return s
}

// Run serves.
func (s *httpServer) Run(ctx context.Context, ready func()) error {
	// Requests end with the server: streams of events would otherwise hold up a stop.
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{Handler: s.routes, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return base }}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(s.listener) }()
	ready()
	select {
	case err := <-ended:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	s.ready.Store(false)
	stop, done := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer done()
	server.RegisterOnShutdown(cancel)
	if err := server.Shutdown(stop); err != nil {
		return errors.Join(server.Close(), ignoreDeadline(err))
	}
	return nil
}

func ignoreDeadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// routesOf is the router of a server; targets that don't answer requests run without one.
func routesOf(s *httpServer) chi.Router {
	if s == nil {
		return chi.NewRouter()
	}
	return s.routes
}
