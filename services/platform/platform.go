package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/dashboard"
	"github.com/tidemill/tidemill/events/client"
	"github.com/tidemill/tidemill/infra/auth"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/infra/natsserver"
	"github.com/tidemill/tidemill/infra/obs"
	"github.com/tidemill/tidemill/services/gateway"
	"github.com/tidemill/tidemill/services/internal/catalog"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/serving"
)

// process is one running Tidemill process.
type process struct {
	o       Options
	host    *host.Host
	guard   *auth.Guard
	metrics *obs.Metrics
	natsURL string
	started time.Time
	places  places
	closers []func() error // what was opened, to be closed in reverse
}

// stopWithin is how long everything may take to stop, after what drains has drained.
const stopWithin = 40 * time.Second

// Run runs the targets until ctx ends, and stops them in order: unready, stop hearing, finish or give back, then the server. It
// returns nil after a clean stop.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.complete(); err != nil {
		return err
	}
	p := &process{o: o, started: time.Now().UTC()}
	defer func() { err = errors.Join(err, p.close()) }()
	var listener net.Listener
	if needsHTTP(o.Targets) {
		if listener, err = listen(o.HTTP); err != nil {
			return err
		}
		p.later(func() error { return ignoreClosed(listener.Close()) })
	}
	if err := p.open(ctx); err != nil {
		return err
	}
	group, server, err := p.assemble(ctx, listener)
	if err != nil {
		return err
	}
	if err := group.Start(ctx); err != nil {
		return err
	}
	remove, err := p.announce(server, listener)
	if err == nil {
		defer remove()
		err = wait(ctx, group)
	}
	if server != nil {
		server.ready.Store(false)
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.o.Drain+stopWithin)
	defer cancel()
	return errors.Join(err, group.Stop(stop))
}

// wait returns nil when ctx ends, or the failure of a component.
func wait(ctx context.Context, group *lifecycle.Group) error {
	failed := make(chan error, 1)
	go func() { failed <- group.Wait() }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

func (p *process) later(close func() error) { p.closers = append(p.closers, close) }

func (p *process) close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	return errors.Join(errs...)
}

// open opens everything that targets share.
func (p *process) open(ctx context.Context) error {
	if err := os.MkdirAll(p.o.DataDir, 0o700); err != nil {
		return fmt.Errorf("make the data directory (--data-dir): %w", err)
	}
	nc, err := p.connect(ctx)
	if err != nil {
		return err
	}
	p.later(func() error { nc.Close(); return nil })
	keys, err := p.openKeys()
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	if err := bus.EnsureStreams(ctx, js, p.o.Replicas); err != nil {
		return err
	}
	p.metrics = obs.NewMetrics()
	p.host = &host.Host{NC: nc, JS: js, Bus: bus.New(js, bus.Options{Logger: p.o.Log}), Ledger: bus.NewLedger(js), Catalog: catalog.New(), Keys: keys,
		Metrics: p.metrics.Registry(), Log: p.o.Log, Clock: func() time.Time { return time.Now().UTC() }, Crash: host.CrashFromEnv(),
		Holder: holder(), Replicas: p.o.Replicas, LeaseTTL: p.o.LeaseTTL}
	if p.o.whole() {
		// The lock on the data directory keeps every other process away, so a lease that is still there is of a dead one.
		p.host.Holder, p.host.Reclaim = "local", true
	}
	return p.openLake(ctx)
}

func holder() string {
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	return name + "-" + strconv.Itoa(os.Getpid())
}

// connect reaches the external broker, or starts the embedded one.
func (p *process) connect(ctx context.Context) (*nats.Conn, error) {
	if p.o.NATSURL != "" {
		p.natsURL = p.o.NATSURL
		bounded, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		return natsserver.Connect(bounded, p.o.NATSURL, p.o.NATSToken)
	}
	if p.o.NATSToken == "" {
		token, err := secret(p.o.DataDir, "nats.token")
		if err != nil {
			return nil, err
		}
		p.o.NATSToken = token
	}
	hostName, port, err := splitAddress(p.o.NATS)
	if err != nil {
		return nil, fmt.Errorf("--nats: %w", err)
	}
	server, err := natsserver.Start(natsserver.Options{DataDir: p.o.DataDir, Host: hostName, Port: port, Token: p.o.NATSToken, Logger: p.o.Log})
	if err != nil {
		return nil, err
	}
	p.later(server.Shutdown)
	p.natsURL = server.URL()
	return server.Conn(ctx)
}

// splitAddress reads host:port; port 0 means any free one.
func splitAddress(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port", addr)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q is not a port", text)
	}
	if port == 0 {
		port = -1
	}
	return host, port, nil
}

func (p *process) openLake(ctx context.Context) error {
	store, err := lake.OpenStore(ctx, p.o.BlobURL, filepath.Join(p.o.DataDir, "cache"))
	if err != nil {
		return err
	}
	p.later(store.Close)
	if p.places, err = newPlaces(p.o); err != nil {
		return err
	}
	engine, err := lake.OpenEngine(ctx, lake.EngineOptions{Dirs: []string{store.Dir(), p.places.trials}})
	if err != nil {
		return err
	}
	p.later(engine.Close)
	executable, err := os.Executable()
	if err != nil {
		executable = ""
	}
	library, err := model.FindLibrary(os.Getenv, executable)
	if err != nil {
		return err
	}
	p.host.Blobs, p.host.Engine = store, engine
	if p.host.Command, err = p.commandOptions(); err != nil {
		return err
	}
	p.host.Runtime, err = model.Load(library)
	return err
}

// assemble makes the components and says what must run before what.
func (p *process) assemble(ctx context.Context, l net.Listener) (*lifecycle.Group, *httpServer, error) {
	token := p.o.Token
	if token == "" {
		var err error
		if token, err = secret(p.o.DataDir, "admin.token"); err != nil {
			return nil, nil, err
		}
		p.o.Token = token
	}
	p.guard = auth.New(token, p.host.Clock)
	group := &lifecycle.Group{}
	var server *httpServer
	if l != nil {
		server = newHTTPServer(l)
		server.routes.Handle("/metrics", p.metrics.Handler())
	}
	group.Add("catalog", p.followCatalog())
	names := []string{}
	for _, t := range targets {
		if !p.o.runs(t.name) {
			continue
		}
		c, err := t.make(ctx, p, routesOf(server))
		if err != nil {
			return nil, nil, err
		}
		group.Add(t.name, c, "catalog")
		names = append(names, t.name)
	}
	if server != nil {
		// It begins to answer last and ends first.
		group.Add("http", server, names...)
	}
	return group, server, nil
}

// followCatalog keeps the catalog up to date; it is ready when it has caught up with the ledger.
func (p *process) followCatalog() lifecycle.Component {
	return lifecycle.Func(func(ctx context.Context, ready func()) error {
		return p.host.Ledger.Follow(ctx, bus.FollowOptions{
			CaughtUp:     func(uint64) { ready() },
			Disconnected: func(err error) { p.o.Log.Warn("the ledger is out of reach", zap.Error(err)) },
		}, p.host.Catalog.Apply)
	})
}

func (p *process) gatewayOptions() gateway.Options {
	return gateway.Options{Guard: p.guard, Version: p.o.Version, Started: p.started, Targets: p.o.Targets, NATSURL: p.natsURL,
		Dashboard: dashboard.Handler()}
}

func (p *process) servingOptions() serving.Options {
	return serving.Options{Guard: p.guard, Version: p.o.Version}
}

// announce publishes how to reach the process and calls Ready.
func (p *process) announce(server *httpServer, l net.Listener) (remove func(), err error) {
	e := Endpoint{Endpoint: client.Endpoint{NATS: p.natsURL, NATSToken: p.o.NATSToken, Token: p.o.Token, PID: os.Getpid()}}
	remove = func() {}
	if server != nil {
		server.ready.Store(true)
		e.HTTP = "http://" + l.Addr().String()
		e.Login = e.HTTP + "/login?code=" + p.guard.NewCode()
	}
	if p.o.runs("gateway") {
		if remove, err = publishEndpoint(p.o.DataDir, e.Endpoint); err != nil {
			return nil, err
		}
	}
	p.o.Log.Info("ready", zap.Strings("targets", p.o.Targets), zap.Duration("after", time.Since(p.started)), zap.String("http", e.HTTP), zap.String("nats", p.natsURL))
	if p.o.Ready != nil {
		p.o.Ready(e)
	}
	return remove, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
