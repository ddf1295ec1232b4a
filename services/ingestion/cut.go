package ingestion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
)

const (
	purgeEvery    = 10 * time.Second
	purgeSegments = 20
)

// cut ends the open segment: it writes its rows, commits them together with the cursor, and says so.
func (l *loop) cut(ctx context.Context, p part) error {
	l.age.Stop()
	started := time.Now()
	e := l.entry(p)
	var err error
	if e.Quarantine, err = l.refused.Write(ctx); err != nil {
		return err
	}
	file, err := l.rows.Write(ctx)
	if err != nil {
		return err
	}
	e.Parquet, e.MinTime, e.MaxTime = file.Parquet, file.MinTime, file.MaxTime
	l.host.Crash(CrashParquet)
	if err := l.written.Append(ctx, e); err != nil {
		return err
	}
	l.host.Crash(CrashEntry)
	l.closed(e)
	l.metrics.seconds.WithLabelValues(l.dataset).Observe(time.Since(started).Seconds())
	if err := l.say(ctx, e); err != nil {
		return err
	}
	if l.unpurged++; l.unpurged >= purgeSegments {
		l.purgeRows(ctx)
	} else if l.unpurged == 1 {
		l.purge.Reset(purgeEvery)
	}
	return nil
}

// entry describes the open segment, but for what is known only when its Parquet is written.
func (l *loop) entry(p part) events.SegmentEntry {
	last := l.written.Last()
	e := events.SegmentEntry{
		Segment: events.Segment{Dataset: l.dataset, Ordinal: last.Ordinal + 1, Rows: l.rows.Rows(), Batch: p.batch, EndsBatch: p.ends},
		Release: p.release, Quarantined: l.refused.Rows() + l.unreadable, Cursor: l.cursor, WrittenAt: l.host.Clock().UTC(),
		SchemaRevision: l.contract.revision,
	}
	if reasons := l.refused.Reasons(); len(reasons) > 0 {
		if l.unreadable > 0 {
			reasons[string(unreadable)] += l.unreadable
		}
		e.Reasons = reasons
	}
	e.TotalAccepted, e.TotalRefused = last.TotalAccepted+e.Rows, last.TotalRefused+e.Quarantined
	return e
}

// closed forgets the open segment, which is committed, and counts it.
func (l *loop) closed(e events.SegmentEntry) {
	l.open, l.unreadable = false, 0
	l.segments++
	if l.done != nil {
		l.done.add(e)
	}
	l.metrics.segments.WithLabelValues(l.dataset).Inc()
	l.metrics.accepted.WithLabelValues(l.dataset).Add(float64(e.Rows))
	for reason, n := range e.Reasons {
		l.metrics.quarantined.WithLabelValues(l.dataset, reason).Add(float64(n))
	}
	for reason, n := range l.warnings {
		l.metrics.warned.WithLabelValues(l.dataset, string(reason)).Add(float64(n))
	}
	clear(l.warnings)
}

func (l *loop) say(ctx context.Context, e events.SegmentEntry) error {
	// It depends on the entry alone: said again, it is the same.
	f, err := events.NewFact(events.SegmentStepID(e.Dataset, e.Ordinal, "written"), events.SegmentWrittenType, Name, e.Dataset, e.WrittenAt,
		events.SegmentWritten{SegmentEntry: e})
	if err != nil {
		return err
	}
	if _, err := l.host.Bus.Say(ctx, f); err != nil {
		return fmt.Errorf("say segment %d: %w", e.Ordinal, err)
	}
	return nil
}

// sayMissing says the facts of entries after the last one that is in the ledger.
func (l *loop) sayMissing(ctx context.Context) error {
	said := uint64(0)
	f, err := l.host.Ledger.Last(ctx, events.FactSubject(events.SegmentWrittenType, l.dataset))
	if err == nil {
		var p events.SegmentWritten
		if p, err = events.PayloadOf[events.SegmentWritten](f); err == nil {
			said = p.Ordinal
		}
	}
	last := l.written.Last()
	switch {
	case err != nil && !errors.Is(err, bus.ErrNoFact):
		return err
	case said >= last.Ordinal:
		return nil
	case said == last.Ordinal-1: // the usual case: a process died between the entry and its fact
		return l.say(ctx, last)
	}
	return l.written.Scan(ctx, said+1, func(e events.SegmentEntry) error { return l.say(ctx, e) })
}

// purgeRows removes rows below the cursor of the last committed segment. When it fails it is tried again after the next segment.
func (l *loop) purgeRows(ctx context.Context) {
	if l.unpurged == 0 {
		return
	}
	cursor := l.written.Last().Cursor
	through := cursor.Sequence
	if cursor.Offset > 0 {
		through-- // it is not finished
	}
	if through == 0 {
		return
	}
	stream, err := l.host.JS.Stream(ctx, events.StreamRows)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(events.RowsSubject(l.dataset)), jetstream.WithPurgeSequence(through+1))
	}
	if err != nil {
		if ctx.Err() == nil {
			l.log.Warn("rows that are in segments could not be purged", zap.Error(err))
		}
		l.purge.Reset(purgeEvery)
		return
	}
	l.unpurged = 0
	l.purge.Stop()
}
