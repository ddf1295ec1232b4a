// Package monitoring watches data and champions. It lets the champion score each accepted segment before anything trains on it,
// and holds the figures against what policies declare: a performance trigger is a monitor of a metric, a drift trigger one of
// columns.
//
// It hears segment.accepted, segment.quarantined, model.ready, resource.applied, resource.deleted and its own timer.fired. It says alert.raised,
// alert.resolved and segment.observed. Its state is one document per model, and one per dataset for alerts about data alone, in
// the bucket "monitoring".
package monitoring

import (
	"context"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/core/profile"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/decider"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/internal/rows"
	"github.com/tidemill/tidemill/services/internal/scoring"
)

// Name is the service's name.
const Name = "monitoring"

// CrashScored is the point after the champion scored a segment, before that is decided.
const CrashScored = "monitoring.scored"

// watch is what monitoring knows of one model, or (under the key of a dataset) of one dataset.
type watch struct {
	Champion *champion `json:"champion,omitempty"`
	// Recent are the segments that any declared window may still reach, by ordinal.
	Recent []seen `json:"recent,omitempty"`
	// Open are the open alerts by the monitor that found them.
	Open map[string]events.Alert `json:"open,omitempty"`
	// Last is the ordinal of the last segment that was taken in.
	Last uint64 `json:"last,omitempty"`
	// Dataset is whose ordinals these are.
	Dataset string `json:"dataset,omitempty"`
	// Fresh is when a dataset becomes stale by the wall clock; zero when nothing says so.
	Fresh time.Time `json:"fresh,omitzero"`
}

// on is what is known of a model that is on a dataset now: ordinals and alerts of another one mean nothing.
func (w watch) on(dataset string) watch {
	if w.Dataset != "" && w.Dataset != dataset {
		w.Recent, w.Open, w.Last = nil, nil, 0
	}
	return w
}

// champion is the version in service.
type champion struct {
	events.Version
	Metrics map[string]float64 `json:"metrics"` // at promotion, on the rows it was judged on
	// Reference is the merged profile of the rows it was trained on.
	Reference *events.Blob `json:"reference,omitempty"`
}

// seen is one observed segment.
type seen struct {
	Ordinal uint64       `json:"ordinal"`
	MinTime time.Time    `json:"minTime"`
	MaxTime time.Time    `json:"maxTime"`
	Version string       `json:"version,omitempty"` // that scored it
	Scores  *events.Blob `json:"scores,omitempty"`
	Profile events.Blob  `json:"profile"`
}

// Service watches.
type Service struct {
	host     *host.Host
	docs     *state.Store[watch]
	data     *rows.Data
	versions *scoring.Versions
	scores   *cache[scoring.Scored]
	profiles *cache[*profile.Profile]
}

// New makes the service; it decides while it runs and holds its lease.
func New(ctx context.Context, h *host.Host) (lifecycle.Component, error) {
	docs, err := host.State[watch](ctx, h, events.BucketMonitoring)
	if err != nil {
		return nil, fmt.Errorf("start monitoring: %w", err)
	}
	s := &Service{host: h, docs: docs, data: rows.New(h.Engine, h.Blobs), versions: scoring.New(h),
		scores: newCache[scoring.Scored](256), profiles: newCache[*profile.Profile](1024)}
	d := decider.New(h, decider.Spec{
		Name: Name,
		Hears: []events.Type{events.SegmentAcceptedType, events.SegmentQuarantinedType, events.ModelReadyType, events.ResourceAppliedType, events.ResourceDeletedType,
			events.TimerFiredType},
		Handle: s.handle,
		Outbox: docs,
		Timers: s.timers,
	})
	return lifecycle.Func(func(ctx context.Context, ready func()) error {
		defer s.versions.Close()
		return d.Run(ctx, ready)
	}), nil
}

func (s *Service) handle(ctx context.Context, f events.Fact) error {
	switch f.Type {
	case events.SegmentAcceptedType:
		return with(f, func(p events.SegmentAccepted) error { return s.accepted(ctx, f, p) })
	case events.SegmentQuarantinedType:
		return with(f, func(p events.SegmentQuarantined) error { return s.quarantined(ctx, f, p) })
	case events.ModelReadyType:
		return with(f, func(p events.ModelReady) error { return s.ready(ctx, f, p) })
	case events.TimerFiredType:
		return with(f, func(p events.TimerFired) error { return s.timer(ctx, f, p) })
	case events.ResourceAppliedType:
		return with(f, func(p events.ResourceApplied) error {
			if p.Kind != resource.KindModel {
				return nil
			}
			return s.declared(ctx, f, p.Name)
		})
	case events.ResourceDeletedType:
		return with(f, func(p events.ResourceDeleted) error {
			if p.Kind != resource.KindModel {
				return nil
			}
			return s.forget(ctx, f, p.Name)
		})
	}
	return nil
}

// with decodes the payload; one that can't be read will never be readable.
func with[T any](f events.Fact, do func(T) error) error {
	p, err := events.PayloadOf[T](f)
	if err != nil {
		return bus.Terminal(err)
	}
	return do(p)
}

// forget closes what is open about a model and drops its champion. Alerts about a model that is gone need no end.
func (s *Service) forget(ctx context.Context, f events.Fact, model string) error {
	_, err := s.docs.Decide(ctx, model, f, s.host.Bus, func(w watch, exists bool) (watch, []events.Fact, error) {
		if !exists {
			return w, nil, state.ErrUnchanged
		}
		return watch{}, nil, nil
	})
	return err
}
