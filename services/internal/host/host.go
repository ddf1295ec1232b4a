// Package host is what a process lends to the services that run in it: connections, the ledger, the catalog, the lake, a
// clock. services/platform fills it; a service takes from it what it needs.
package host

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/command"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/catalog"
)

// Host is shared by the services of one process.
type Host struct {
	NC      *nats.Conn
	JS      jetstream.JetStream
	Bus     *bus.Bus
	Ledger  *bus.Ledger
	Catalog *catalog.Catalog
	Blobs   *lake.Store
	Engine  *lake.Engine
	Runtime *model.Runtime
	Keys    *model.Keyring  // sign and verify packages
	Command command.Options // of versions that a command answers for
	Metrics prometheus.Registerer
	Log     *zap.Logger
	// Clock is the wall clock, UTC.
	Clock func() time.Time
	// Crash kills the process at the named point when a test asked for it; in ordinary life it does nothing.
	Crash func(point string)
	// Holder names this process in leases. Reclaim: nothing else can run with this name, so a lease it held before is its own.
	Holder   string
	Reclaim  bool
	Replicas int
	// LeaseTTL is how long a lease outlives a dead holder; 0: the default of infra/state.
	LeaseTTL time.Duration
}

// OpenVersion reads a version's package, verifies it and opens what answers for it. The predictor must be closed.
func (h *Host) OpenVersion(ctx context.Context, ref events.Version) (model.Package, model.Predictor, error) {
	pkg, err := model.Read(ctx, h.Blobs, ref, h.Keys)
	if err != nil {
		return model.Package{}, nil, err
	}
	p, err := command.Opener{Runtime: h.Runtime, Options: h.Command}.Open(ctx, pkg)
	return pkg, p, err
}

// State opens a bucket of documents with the host's options.
func State[T any](ctx context.Context, h *Host, bucket string) (*state.Store[T], error) {
	return state.Open[T](ctx, h.JS, bucket, state.Options{Replicas: h.Replicas, Crash: h.Crash})
}

// Lease is the lease under which service decides.
func (h *Host) Lease(service string) *state.Lease {
	return state.NewLease(h.JS, events.BucketLeases, events.LeaseKey(service, ""), state.LeaseOptions{
		TTL: h.LeaseTTL, Holder: h.Holder, Reclaim: h.Reclaim, Replicas: h.Replicas})
}

// CrashEnv names the environment variable that kills the process at a point: "<point>" or "<point>:<n>" for the n-th passing.
// It exists for the fault tests, which kill a real process at the worst moments.
const CrashEnv = "TIDEMILL_CRASH_AT"

// CrashFromEnv reads CrashEnv.
func CrashFromEnv() func(point string) {
	want, count, _ := strings.Cut(os.Getenv(CrashEnv), ":")
	if want == "" {
		return func(string) {}
	}
	left, err := strconv.Atoi(count)
	if err != nil {
		left = 1
	}
	var mu sync.Mutex
	return func(point string) {
		if point != want {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if left--; left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal ends the process; nothing after this point may happen
		}
	}
}
