// Package projection folds the ledger into the read model that the API shows: datasets with their segments and quarantine, models
// with their versions, cycles and alerts. It is a pure fold in memory; every process that answers requests has its own.
//
// Facts come at least once and in order: what was folded already changes nothing. Lists are bounded, so that a long life costs no
// more memory than a short one; totals count everything.
package projection

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidemill/tidemill/events"
)

// Bounds of what is kept.
const (
	maxSegments = 2000 // per dataset
	maxBatches  = 1000 // per dataset
	maxCycles   = 500  // per model
	maxAlerts   = 500  // resolved ones; open alerts are all kept
)

// Projection is safe for concurrent use. What it returns is the caller's own, except for payloads of facts, which nobody changes.
type Projection struct {
	mu       sync.RWMutex
	moved    *sync.Cond
	applied  uint64
	datasets map[string]*dataset
	models   map[string]*model
	alerts   alerts
	declared map[declaration]time.Time
}

type declaration struct{ kind, name string }

// New returns an empty projection.
func New() *Projection {
	p := &Projection{datasets: map[string]*dataset{}, models: map[string]*model{}, declared: map[declaration]time.Time{}}
	p.alerts.open = map[string]int{}
	p.moved = sync.NewCond(p.mu.RLocker())
	return p
}

// Fact folds one fact of FACTS. An error means that its payload can't be read; such a fact is passed over.
func (p *Projection) Fact(f events.Fact) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.Seq <= p.applied {
		return nil
	}
	err := p.fold(f)
	p.applied = f.Seq
	p.moved.Broadcast()
	if err != nil {
		return fmt.Errorf("fold %s at sequence %d: %w", f.Type.Short(), f.Seq, err)
	}
	return nil
}

// fold knows what each type of fact changes.
func (p *Projection) fold(f events.Fact) error {
	switch f.Type {
	case events.ResourceAppliedType:
		return with(f, p.resourceApplied)
	case events.ResourceDeletedType:
		return with(f, p.resourceDeleted)
	case events.SegmentWrittenType:
		return with(f, func(f events.Fact, x events.SegmentWritten) { p.dataset(x.Dataset).written(x.SegmentEntry) })
	case events.SegmentAcceptedType:
		return with(f, func(f events.Fact, x events.SegmentAccepted) { p.dataset(x.Dataset).accepted(f, x) })
	case events.SegmentQuarantinedType:
		return with(f, func(f events.Fact, x events.SegmentQuarantined) { p.dataset(x.Dataset).refused(f, x) })
	case events.QuarantineReleasedType:
		return with(f, func(_ events.Fact, x events.QuarantineReleased) { p.dataset(x.Dataset).decided(x.Ordinal, Released) })
	case events.QuarantineDroppedType:
		return with(f, func(_ events.Fact, x events.QuarantineDropped) { p.dataset(x.Dataset).decided(x.Ordinal, Dropped) })
	case events.SegmentObservedType:
		return with(f, func(_ events.Fact, x events.SegmentObserved) { p.model(x.Model).observe(x) })
	case events.AlertRaisedType:
		return with(f, func(_ events.Fact, x events.AlertRaised) { p.alerts.raise(x.Alert) })
	case events.AlertResolvedType:
		return with(f, func(f events.Fact, x events.AlertResolved) { p.alerts.resolve(x.Alert, f.Time) })
	case events.ModelPausedType:
		return with(f, func(_ events.Fact, x events.ModelPaused) { p.model(x.Model).paused = true })
	case events.ModelResumedType:
		return with(f, func(_ events.Fact, x events.ModelResumed) { p.model(x.Model).paused = false })
	}
	return p.foldCycle(f)
}

// foldCycle folds the facts of cycles and versions.
func (p *Projection) foldCycle(f events.Fact) error {
	switch f.Type {
	case events.CycleRequestedType:
		return step(p, f, func(m *model, x events.CycleRequested) string { m.requested(f, x); return x.Cycle })
	case events.TrialStartedType:
		return step(p, f, func(m *model, x events.TrialStarted) string { m.trialStarted(x); return x.Cycle })
	case events.TrialFinishedType:
		return step(p, f, func(m *model, x events.TrialFinished) string { m.trialFinished(x); return x.Cycle })
	case events.CandidateTrainedType:
		return step(p, f, func(m *model, x events.CandidateTrained) string { m.trained(f, x); return x.Cycle })
	case events.CandidateFailedType:
		return step(p, f, func(_ *model, x events.CandidateFailed) string { return x.Cycle })
	case events.RefitRequestedType:
		return step(p, f, func(m *model, x events.RefitRequested) string { m.refits(f, x); return x.Cycle })
	case events.CandidateRefittedType:
		return step(p, f, func(m *model, x events.CandidateRefitted) string { m.refitted(f, x); return x.Cycle })
	case events.CandidateApprovedType:
		return step(p, f, func(m *model, x events.CandidateApproved) string { m.approved(f, x); return x.Cycle })
	case events.CandidateRejectedType:
		return step(p, f, func(m *model, x events.CandidateRejected) string { m.rejected(f, x); return x.Cycle })
	case events.RolloutStartedType:
		return step(p, f, func(m *model, x events.RolloutStarted) string { m.rollout(x); return x.Cycle })
	case events.RolloutRolledBackType:
		return step(p, f, func(m *model, x events.RolloutRolledBack) string { m.rolledBack(f, x); return f.CycleID })
	case events.ModelReadyType:
		return step(p, f, func(m *model, x events.ModelReady) string { m.ready(f, x); return x.Cycle })
	case events.CycleEndedType:
		return step(p, f, func(m *model, x events.CycleEnded) string { m.ended(f, x); return x.Cycle })
	}
	return nil
}

// with reads the payload for a function that folds it.
func with[T any](f events.Fact, fold func(events.Fact, T)) error {
	x, err := events.PayloadOf[T](f)
	if err == nil {
		fold(f, x)
	}
	return err
}

// step folds a fact about the model that is its subject, and notes it as a step of the cycle that fold names.
func step[T any](p *Projection, f events.Fact, fold func(*model, T) (cycle string)) error {
	return with(f, func(f events.Fact, x T) {
		m := p.model(f.Subject)
		if c := m.cycle(fold(m, x)); c != nil {
			c.step(f)
		}
	})
}

func (p *Projection) dataset(name string) *dataset {
	d := p.datasets[name]
	if d == nil {
		d = newDataset(name)
		p.datasets[name] = d
	}
	return d
}

func (p *Projection) model(name string) *model {
	m := p.models[name]
	if m == nil {
		m = newModel()
		p.models[name] = m
	}
	return m
}

func (p *Projection) resourceApplied(f events.Fact, x events.ResourceApplied) {
	p.declared[declaration{x.Kind, x.Name}] = f.Time
	if x.Kind == "Model" {
		p.model(x.Name).declare(x)
	}
}

func (p *Projection) resourceDeleted(f events.Fact, x events.ResourceDeleted) {
	delete(p.declared, declaration{x.Kind, x.Name})
	if x.Kind == "Model" {
		p.model(x.Name).forget()
		p.alerts.forget(x.Name, f.Time)
	}
}

// Applied is the sequence of the last folded fact.
func (p *Projection) Applied() uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.applied
}

// WaitFor blocks until every fact up to seq has been folded, or ctx is done.
func (p *Projection) WaitFor(ctx context.Context, seq uint64) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.moved.Broadcast()
	})
	defer stop()
	p.mu.RLock()
	defer p.mu.RUnlock()
	for p.applied < seq {
		if ctx.Err() != nil {
			return fmt.Errorf("wait for the read model to reach sequence %d (it is at %d): %w", seq, p.applied, context.Cause(ctx))
		}
		p.moved.Wait()
	}
	return nil
}

// Declared is when the current revision of a resource was applied.
func (p *Projection) Declared(kind, name string) time.Time {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.declared[declaration{kind, name}]
}

// newest returns up to limit entries, the last ones first; limit 0 is all.
func newest[T any](list []T, limit int) []T {
	if limit <= 0 || limit > len(list) {
		limit = len(list)
	}
	out := slices.Clone(list[len(list)-limit:])
	slices.Reverse(out)
	return out
}

// bound drops the oldest entries beyond most. It lets the list overshoot a little, so that dropping is rare.
func bound[T any](list []T, most int) []T {
	if len(list) > most+most/4 {
		return slices.Clone(list[len(list)-most:])
	}
	return list
}
