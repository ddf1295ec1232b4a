// Package serving answers with the champions: one row at a time or many over the Open Inference Protocol, and whole files.
//
// It hears no fact and says none, and any number of replicas may run. It follows the bucket "deployments": a new champion is
// loaded beside the old one, which goes when its last request is done, so that a change of versions fails and delays no request.
// What it predicts is logged on events.PredictionsSubject (the format is at Prediction).
package serving

import (
	"context"
	"fmt"
	"time"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/core/rollout"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/auth"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/host"
)

// Name is the service's name.
const Name = "serving"

// Options of the service.
type Options struct {
	// Guard protects what isn't the inference protocol: scoring whole files.
	Guard *auth.Guard
	// Version of Tidemill, for the server's metadata.
	Version string
	// LogFraction of the predictions is logged, 0 to 1; 0 means all, below 0 none.
	LogFraction float64
	// Refresh is how often declarations are compared and failed loads tried again; 0: every second.
	Refresh time.Duration
}

// Service serves the champions of all models.
type Service struct {
	host     *host.Host
	options  Options
	docs     *state.Store[rollout.State]
	models   *models
	metrics  *metrics
	log      *predictionLog
	requests requestPool
}

// New makes the service and adds its routes to r. They answer 503 until it runs and has loaded the champions.
func New(ctx context.Context, h *host.Host, r chi.Router, o Options) (lifecycle.Component, error) {
	if o.Refresh <= 0 {
		o.Refresh = time.Second
	}
	m, err := newMetrics(h.Metrics)
	if err != nil {
		return nil, fmt.Errorf("start serving: %w", err)
	}
	docs, err := host.State[rollout.State](ctx, h, events.BucketDeployments)
	if err != nil {
		return nil, fmt.Errorf("start serving: %w", err)
	}
	s := &Service{host: h, options: o, docs: docs, metrics: m, models: newModels(h, m)}
	if s.log, err = newPredictionLog(h, o.LogFraction, m.dropped, &s.requests); err != nil {
		return nil, fmt.Errorf("start serving: %w", err)
	}
	s.routes(r)
	return s, nil
}

// Run follows the deployments until ctx ends. It is ready when every champion there is at the start was loaded or found
// impossible to load.
func (s *Service) Run(ctx context.Context, ready func()) error {
	defer s.models.close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return s.docs.Watch(ctx, state.WatchOptions{
			CaughtUp: func() {
				s.models.ready.Store(true)
				ready()
			},
			Disconnected: func(err error) {
				s.host.Log.Warn("the deployments are out of reach; the loaded versions serve on", zap.Error(err))
			},
		}, func(c state.Change[rollout.State]) error {
			if c.Deleted {
				c.Doc.Value = rollout.New(c.Key)
			}
			return s.models.follow(ctx, c.Key, c.Doc.Value)
		})
	})
	group.Go(func() error {
		tick := time.NewTicker(s.options.Refresh)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				s.models.refresh(ctx)
			}
		}
	})
	group.Go(func() error { return s.log.run(ctx) })
	return group.Wait()
}
