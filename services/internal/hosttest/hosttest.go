// Package hosttest gives tests of services a small world: a real broker, a blob store and DuckDB on a temporary directory, and
// hosts as processes have them.
package hosttest

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/infra/natsserver"
	"github.com/tidemill/tidemill/infra/natsserver/natstest"
	"github.com/tidemill/tidemill/services/internal/catalog"
	"github.com/tidemill/tidemill/services/internal/host"
)

// Patience is how long a test waits for what must happen.
const Patience = 2 * time.Minute

// World is what processes share: the broker, and the directory with the blobs.
type World struct {
	Server *natsserver.Server
	JS     jetstream.JetStream // of the test itself
	Bus    *bus.Bus
	Ledger *bus.Ledger
	Blobs  *lake.Store
	Engine *lake.Engine
	Keys   *model.Keyring

	hosts     int
	revisions map[string]uint64
}

// New makes a world that ends with the test.
func New(t testing.TB) *World {
	t.Helper()
	s := natstest.Start(t)
	js := natstest.OpenJetStream(t, natstest.Conn(t, s))
	require.NoError(t, bus.EnsureStreams(t.Context(), js, 1))
	at := url.URL{Scheme: "file", Path: filepath.Join(t.TempDir(), "blobs"), RawQuery: "create"} // names of subtests hold a #
	store, err := lake.OpenStore(t.Context(), at.String(), "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	engine, err := lake.OpenEngine(t.Context(), lake.EngineOptions{Dirs: []string{store.Dir()}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	return &World{Server: s, JS: js, Bus: bus.New(js, bus.Options{}), Ledger: bus.NewLedger(js), Blobs: store, Engine: engine, Keys: Keys(t),
		revisions: map[string]uint64{}}
}

// Keys sign packages and trust themselves. They are the same for all tests, so that a package fits into any world.
func Keys(t testing.TB) *model.Keyring {
	t.Helper()
	keys, err := model.NewKeyring(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	require.NoError(t, err)
	return keys
}

// Host is a process of its own, with its own connection, catalog, metrics and name; the caller may change it before services use it.
func (w *World) Host(t testing.TB) *host.Host {
	t.Helper()
	nc := natstest.Conn(t, w.Server)
	return w.HostOn(t, nc)
}

// HostOn is Host over a connection of the caller's.
func (w *World) HostOn(t testing.TB, nc *nats.Conn) *host.Host {
	t.Helper()
	js := natstest.OpenJetStream(t, nc)
	w.hosts++
	h := &host.Host{NC: nc, JS: js, Bus: bus.New(js, bus.Options{}), Ledger: bus.NewLedger(js), Catalog: catalog.New(), Blobs: w.Blobs, Engine: w.Engine, Keys: w.Keys,
		Metrics: prometheus.NewRegistry(), Log: zap.NewNop(), Clock: func() time.Time { return time.Now().UTC() }, Crash: func(string) {},
		Holder: fmt.Sprintf("host-%d", w.hosts), Replicas: 1, LeaseTTL: time.Second}
	w.Run(t, lifecycle.Func(func(ctx context.Context, ready func()) error {
		return h.Ledger.Follow(ctx, bus.FollowOptions{CaughtUp: func(uint64) { ready() }}, h.Catalog.Apply)
	}))
	return h
}

// Run starts a component, waits until it is ready, and returns how to stop it; that happens at the end of the test at the latest.
func (w *World) Run(t testing.TB, c lifecycle.Component) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- c.Run(ctx, func() { close(ready) }) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			assert.NoError(t, err)
		case <-time.After(Patience):
			assert.Fail(t, "the component does not stop")
		}
	})
	t.Cleanup(stop)
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		require.NoError(t, err, "the component ended before it was ready")
	case <-time.After(Patience):
		require.Fail(t, "the component does not become ready")
	}
	return stop
}

// Apply declares resources as the gateway does.
func (w *World) Apply(t testing.TB, yaml string) {
	t.Helper()
	list, err := resource.Parse([]byte(yaml), "test.yaml")
	require.NoError(t, err)
	for _, r := range list {
		id := r.Kind + "/" + r.Metadata.Name
		w.revisions[id]++
		w.Say(t, events.ResourceAppliedType, r.Metadata.Name, events.ResourceApplied{
			Kind: r.Kind, Name: r.Metadata.Name, Revision: w.revisions[id], Digest: r.Digest, Resource: r.Canonical})
	}
}

// Say says a fact that a test makes up.
func (w *World) Say(t testing.TB, ty events.Type, subject string, payload any) events.Fact {
	t.Helper()
	f, err := events.NewFact(events.DeriveID("test", nats.NewInbox()), ty, "test", subject, time.Now(), payload)
	require.NoError(t, err)
	f.Seq, err = w.Bus.Say(t.Context(), f)
	require.NoError(t, err)
	return f
}

// Said is every fact of a type about a name, in order.
func (w *World) Said(t testing.TB, ty events.Type, name string) []events.Fact {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out []events.Fact
	err := w.Ledger.Follow(ctx, bus.FollowOptions{Subjects: []string{events.FactSubject(ty, name)}, CaughtUp: func(uint64) { cancel() }},
		func(f events.Fact) error { out = append(out, f); return nil })
	require.NoError(t, err)
	return out
}

// Payloads are the payloads of Said.
func Payloads[T any](t testing.TB, w *World, ty events.Type, name string) []T {
	t.Helper()
	var out []T
	for _, f := range w.Said(t, ty, name) {
		p, err := events.PayloadOf[T](f)
		require.NoError(t, err)
		out = append(out, p)
	}
	return out
}

// Await polls until done says so; it fails the test after Patience.
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			require.Fail(t, "waited in vain: "+what)
		}
		<-tick.C
	}
}
