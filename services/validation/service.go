// Package validation decides which segments may be trained on. It profiles each segment and holds it against the rules of its
// dataset.
//
// It hears segment.written and says segment.accepted or segment.quarantined. Its state is one document per dataset in the bucket
// "validation": the last ordinal it decided on, and what all accepted segments add up to.
package validation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/core/quality"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/decider"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/internal/segmentlog"
)

// Name is the service's name.
const Name = "validation"

// CrashProfiled is the point after a segment's profile is at rest and before anything is decided.
const CrashProfiled = "validation.profiled"

// gapDelay is how soon a segment is looked at again whose predecessor can't be found.
const gapDelay = 200 * time.Millisecond

// Service validates.
type Service struct {
	host *host.Host
	docs *state.Store[accepted]
}

// New makes the service; it decides while it runs and holds its lease.
func New(ctx context.Context, h *host.Host) (lifecycle.Component, error) {
	docs, err := host.State[accepted](ctx, h, events.BucketValidation)
	if err != nil {
		return nil, fmt.Errorf("start validation: %w", err)
	}
	s := &Service{host: h, docs: docs}
	return decider.New(h, decider.Spec{
		Name: Name, Hears: []events.Type{events.SegmentWrittenType}, Handle: s.handle,
		Outbox: docs,
	}), nil
}

// handle decides about one segment, and before it about any whose fact it has not heard.
func (s *Service) handle(ctx context.Context, f events.Fact) error {
	p, err := events.PayloadOf[events.SegmentWritten](f)
	if err != nil {
		return bus.Terminal(err)
	}
	doc, err := s.docs.Get(ctx, p.Dataset)
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	if p.Ordinal > doc.Value.Ordinal+1 {
		if err := s.catchUp(ctx, f, doc.Value.Ordinal+1, p); err != nil {
			return err
		}
	}
	return s.validate(ctx, f, f, p, p.Ordinal > doc.Value.Ordinal)
}

// catchUp decides about the segments from an ordinal up to p, whose facts became dead letters or never came. The log of segments
// is what happened, its facts are only the news. Without it every later segment would have to wait for a person.
func (s *Service) catchUp(ctx context.Context, f events.Fact, from uint64, p events.SegmentWritten) error {
	log, err := segmentlog.Open(ctx, s.host.JS, p.Dataset)
	if err != nil {
		return err
	}
	next := from
	err = log.Scan(ctx, from, func(e events.SegmentEntry) error {
		if e.Ordinal >= p.Ordinal || e.Ordinal != next {
			return nil
		}
		next++
		// Without a cause of its own: the document knows by the ordinal what it has taken in.
		return s.validate(ctx, f, events.Fact{}, events.SegmentWritten{SegmentEntry: e}, true)
	})
	if err == nil && next < p.Ordinal {
		err = bus.RetryAfter(fmt.Errorf("segment %d of %s came, but segment %d is nowhere", p.Ordinal, p.Dataset, next), gapDelay)
	}
	return err
}

// validate decides about one segment, once. The facts that follow are linked to f; cause is what the document remembers. fresh is
// false for a segment that was decided before: then only what is left to be said is said.
func (s *Service) validate(ctx context.Context, f, cause events.Fact, p events.SegmentWritten, fresh bool) error {
	var v verdict
	if fresh {
		var err error
		if v, err = s.judge(ctx, p); err != nil {
			return err
		}
		s.host.Crash(CrashProfiled)
	}
	_, err := s.docs.Decide(ctx, p.Dataset, cause, s.host.Bus, func(a accepted, _ bool) (accepted, []events.Fact, error) {
		if p.Ordinal != a.Ordinal+1 {
			return a, nil, state.ErrUnchanged
		}
		next, fact, err := a.decide(p, v, s.host.Clock())
		return next, []events.Fact{fact.Caused(f)}, err
	})
	if err != nil {
		return fmt.Errorf("validate segment %d of %s: %w", p.Ordinal, p.Dataset, err)
	}
	return nil
}

// verdict is what was found out about a segment.
type verdict struct {
	profile    events.Blob
	lateness   time.Duration
	violations []events.Violation
	warnings   []events.Violation
}

// judge profiles the segment and checks the rules of the revision that checked its rows. It may run again: the same segment has the
// same profile under the same key. Freshness is measured when the segment was written, not when validation came to it.
func (s *Service) judge(ctx context.Context, p events.SegmentWritten) (verdict, error) {
	d, ok := s.host.Catalog.At(resource.KindDataset, p.Dataset, p.SchemaRevision)
	if !ok {
		return verdict{}, bus.Terminal(fmt.Errorf("segment %d: the ledger holds no revision %d of dataset %s", p.Ordinal, p.SchemaRevision, p.Dataset))
	}
	v := verdict{lateness: d.Dataset.Clock.Lateness.Std()}
	if p.Rows == 0 {
		v.violations = []events.Violation{quality.Empty(p.Quarantined, p.Reasons)}
		return v, nil
	}
	found, blob, err := s.examine(ctx, d.Dataset, p)
	if err != nil {
		return verdict{}, fmt.Errorf("profile segment %d of %s: %w", p.Ordinal, p.Dataset, err)
	}
	v.profile = blob
	v.violations, v.warnings = quality.Check(d.Dataset.Rules, found, p.WrittenAt)
	if d.Dataset.OnViolation == "warn" {
		v.violations, v.warnings = nil, append(v.violations, v.warnings...)
	}
	return v, nil
}
