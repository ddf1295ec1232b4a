// Package gateway is the front door: the HTTP API under /api/v1, live events for people who watch, and the dashboard.
//
// It hears every fact, policy.evaluated and trial.progressed, and folds them into a read model in memory (package projection);
// any number of processes may do so. It says what persons ask for: resource.applied, resource.deleted, retrain.asked,
// rollback.asked, model.paused, model.resumed, quarantine.released and quarantine.dropped. Rows it takes go to ROWS, files to blob
// storage with a message in ROWS. Its state is one document per declared resource in the bucket "resources".
package gateway

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/core/rollout"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/auth"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/gateway/projection"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/internal/rows"
	"github.com/tidemill/tidemill/services/internal/scoring"
)

// Name is the service's name.
const Name = "gateway"

// The point at which a fault test kills the process: a file is at rest, and its place among the rows is not taken.
const CrashStored = "gateway.stored"

const (
	sweepEvery     = 30 * time.Second
	uploadsLast    = 24 * time.Hour // a body that was not taken by then belongs to a process that died
	defaultMaxBody = 2 << 30        // bytes of a file
)

// Options of the gateway.
type Options struct {
	Guard   *auth.Guard
	Version string
	Started time.Time
	Targets []string
	NATSURL string
	// Dashboard answers everything that is no API; nil: nothing does.
	Dashboard http.Handler
	// MaxBody bounds a body of rows, in bytes; 0: 2 GiB.
	MaxBody int64
}

// Service answers requests.
type Service struct {
	host       *host.Host
	o          Options
	log        *zap.Logger
	projection *projection.Projection
	live       *live
	resources  *state.Store[declared]
	rollouts   *state.Store[rollout.State] // deployment's; read only
	data       *rows.Data
	versions   *scoring.Versions
	scores     *scoreCache
	points     *pointCache
	metrics    *instruments
	dead       *bus.Dead
	// deciding makes requests of one process that check before they write take turns.
	deciding sync.Mutex
}

var _ lifecycle.Component = (*Service)(nil)

// New registers the routes on r and returns the component that follows the ledger. Requests are to be let in only once it is ready.
func New(ctx context.Context, h *host.Host, r chi.Router, o Options) (lifecycle.Component, error) {
	if o.MaxBody == 0 {
		o.MaxBody = defaultMaxBody
	}
	s := &Service{host: h, o: o, log: h.Log.With(zap.String("service", Name)), projection: projection.New(), live: newLive(),
		data: rows.New(h.Engine, h.Blobs), versions: scoring.New(h), scores: newScoreCache(), points: newPointCache(), dead: bus.NewDead(h.JS)}
	var err error
	if s.metrics, err = newInstruments(h.Metrics); err != nil {
		return nil, fmt.Errorf("start the gateway: %w", err)
	}
	if s.resources, err = host.State[declared](ctx, h, events.BucketResources); err != nil {
		return nil, fmt.Errorf("start the gateway: %w", err)
	}
	if s.rollouts, err = host.State[rollout.State](ctx, h, events.BucketDeployments); err != nil {
		return nil, fmt.Errorf("start the gateway: %w", err)
	}
	if err := s.routes(r); err != nil {
		return nil, fmt.Errorf("start the gateway: %w", err)
	}
	return s, nil
}

// Run follows the ledger, and then what belongs to its facts: evaluations and progress of cycles that are known by then.
func (s *Service) Run(ctx context.Context, ready func()) error {
	defer s.versions.Close()
	group, ctx := errgroup.WithContext(ctx)
	facts, evaluations, progress := make(chan struct{}), make(chan struct{}), make(chan struct{})
	group.Go(func() error { return s.follow(ctx, s.host.Ledger, facts, s.projection.Fact) })
	group.Go(func() error {
		if !reached(ctx, facts) {
			return nil
		}
		return s.follow(ctx, bus.LedgerOf(s.host.JS, events.StreamEvaluations), evaluations, s.projection.Evaluation)
	})
	group.Go(func() error {
		if !reached(ctx, facts) {
			return nil
		}
		return s.follow(ctx, bus.LedgerOf(s.host.JS, events.StreamProgress), progress, func(f events.Fact) error {
			p, err := s.projection.Progress(f)
			if err == nil && p.Trial != "" {
				s.live.send(p)
			}
			return err
		})
	})
	group.Go(func() error { s.sweep(ctx); return nil })
	group.Go(func() error {
		if reached(ctx, evaluations) && reached(ctx, progress) {
			ready()
		}
		return nil
	})
	return group.Wait()
}

func reached(ctx context.Context, what <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-what:
		return true
	}
}

// follow folds a stream of facts. One that can't be read is passed over: the ledger keeps it, and people must see the rest.
func (s *Service) follow(ctx context.Context, l *bus.Ledger, caughtUp chan<- struct{}, fold func(events.Fact) error) error {
	o := bus.FollowOptions{
		CaughtUp:     func(uint64) { close(caughtUp) },
		Disconnected: func(err error) { s.log.Warn("the ledger is out of reach", zap.Error(err)) },
	}
	return l.Follow(ctx, o, func(f events.Fact) error {
		if err := fold(f); err != nil {
			s.log.Warn("a fact can't be read", zap.String("event_id", f.ID), zap.Error(err))
		}
		return nil
	})
}

// sweep says what crashed requests left in outboxes of resources, and removes the bodies they left half-way.
func (s *Service) sweep(ctx context.Context) {
	if err := s.host.Blobs.SweepScratch(s.host.Clock().Add(-uploadsLast)); err != nil {
		s.log.Warn("old uploads stay", zap.Error(err))
	}
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if _, err := s.resources.Sweep(ctx, s.host.Bus); err != nil && ctx.Err() == nil {
			s.log.Warn("what was applied could not be said yet", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// say says what a person asked for, and waits until this process has folded it: who reads next, reads it.
func (s *Service) say(ctx context.Context, t events.Type, id, subject string, payload any) (events.Fact, error) {
	f, err := events.NewFact(id, t, Name, subject, s.host.Clock(), payload)
	if err != nil {
		return f, err
	}
	if f.Seq, err = s.host.Bus.Say(ctx, f); err != nil {
		return f, err
	}
	return f, s.folded(ctx, f.Seq)
}

// folded waits until the catalog and the read model have folded the ledger up to seq.
func (s *Service) folded(ctx context.Context, seq uint64) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := s.host.Catalog.WaitFor(ctx, seq); err != nil {
		return err
	}
	return s.projection.WaitFor(ctx, seq)
}
