// Package ingestion turns the rows of each dataset into segments at rest.
//
// It hears no facts: it reads ROWS in order, one loop per declared dataset, checks every row against the dataset's contract and
// gathers what is accepted into Parquet and what is refused into quarantine. It says segment.written. Its state is the
// stream SEGMENTS: one entry per segment holds the segment and the cursor in ROWS, appended by compare-and-set, so that a row
// is in exactly one entry whatever happens to the process.
package ingestion

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/services/internal/decider"
	"github.com/tidemill/tidemill/services/internal/host"
)

// Name is the service's name.
const Name = "ingestion"

// The points at which a fault test kills the process: after the Parquet is at rest and before its entry, and after the entry
// and before its fact.
const (
	CrashParquet = "ingestion.parquet"
	CrashEntry   = "ingestion.entry"
)

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// Service ingests.
type Service struct {
	host    *host.Host
	log     *zap.Logger
	metrics *metrics
}

// New makes the service; it ingests while it runs and holds its lease.
func New(_ context.Context, h *host.Host) (lifecycle.Component, error) {
	m, err := newMetrics(h.Metrics)
	if err != nil {
		return nil, fmt.Errorf("start ingestion: %w", err)
	}
	s := &Service{host: h, log: h.Log.With(zap.String("service", Name)), metrics: m}
	return decider.New(h, decider.Spec{Name: Name, While: s.supervise}), nil
}

// supervise keeps one loop running for every declared dataset until ctx ends. It looks again after every fact.
func (s *Service) supervise(ctx context.Context) error {
	var loops sync.WaitGroup
	defer loops.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	running := map[string]context.CancelFunc{}
	for {
		seen := s.host.Catalog.Applied()
		declared := map[string]bool{}
		for _, d := range s.host.Catalog.List(resource.KindDataset) {
			declared[d.Name()] = true
			if running[d.Name()] != nil {
				continue
			}
			own, stop := context.WithCancel(ctx)
			running[d.Name()] = stop
			loops.Go(func() { s.ingest(own, d.Name()) })
		}
		for name, stop := range running {
			if !declared[name] {
				stop()
				delete(running, name)
			}
		}
		if err := s.host.Catalog.WaitFor(ctx, seen+1); err != nil {
			return nil
		}
	}
}

// ingest runs the loop of one dataset, again and again from what is committed, until ctx ends.
func (s *Service) ingest(ctx context.Context, dataset string) {
	log := s.log.With(zap.String("dataset", dataset))
	defer s.metrics.lag.DeleteLabelValues(dataset) // whoever ingests knows it
	backoff := minBackoff
	for {
		l := newLoop(s.host, s.metrics, log, dataset)
		err := guarded(ctx, l.run)
		if ctx.Err() != nil {
			return
		}
		if l.segments > 0 {
			backoff = minBackoff
		}
		log.Warn("ingestion was interrupted; it goes on from the last segment", zap.Error(err), zap.Duration("after", backoff))
		if lifecycle.Pause(ctx, backoff) != nil {
			return
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// guarded turns a panic into an error: what is wrong with the rows of one dataset must not end the process.
func guarded(ctx context.Context, run func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return run(ctx)
}
