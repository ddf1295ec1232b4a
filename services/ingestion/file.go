package ingestion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/events"
)

// unreadable is the reason of rows whose file can't be read.
const unreadable rows.Reason = "unreadable"

// endOfTime is the wall clock for rows that a person let in: none of them is too far in the future.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// part says which file a segment's rows come from; the zero part is none.
type part struct {
	batch   string
	release uint64
	ends    bool
}

// finished is what the log says about files so far.
type finished struct {
	batches    map[string]bool
	releases   map[uint64]bool
	quarantine map[uint64]events.Blob // refused rows by ordinal: what a person may let back in
}

func (f *finished) add(e events.SegmentEntry) {
	if e.Quarantine != nil {
		f.quarantine[e.Ordinal] = *e.Quarantine
	}
	if !e.EndsBatch {
		return
	}
	f.batches[e.Batch] = true
	if e.Release != 0 && e.Reasons[string(unreadable)] == 0 { // else nothing came back, and it may be tried again
		f.releases[e.Release] = true
	}
}

// file ingests a file that takes its place among the rows. Its segments hold only its rows, so the segment before it ends here.
func (l *loop) file(ctx context.Context, m message, f events.RowsFile) error {
	if f.Batch == "" {
		f.Batch = fmt.Sprintf("rows-%d", m.seq)
	}
	if l.open {
		if err := l.cut(ctx, part{}); err != nil {
			return err
		}
	}
	twice, err := l.seen(ctx, f)
	if err != nil {
		return err
	}
	if twice {
		l.log.Warn("a file is ingested already, so its second announcement is left out", zap.String("batch", f.Batch), zap.String("file", f.Name),
			zap.Uint64("release", f.Release))
		l.cursor = events.Cursor{Sequence: m.seq}
		return nil
	}
	p := part{batch: f.Batch, release: f.Release}
	offset, err := l.rowsOf(ctx, m, f, p)
	if errors.Is(err, lake.ErrBadFile) || errors.Is(err, lake.ErrNotFound) {
		l.log.Warn("a file can't be read", zap.String("batch", f.Batch), zap.String("file", f.Name), zap.Error(err))
		l.refuseRest(m, f, offset, err)
		err = nil
	}
	if err != nil {
		return err
	}
	l.cursor = events.Cursor{Sequence: m.seq}
	p.ends = true
	return l.cut(ctx, p)
}

// seen tells whether the file, or what it releases, is ingested already. A batch is one however often it is published.
func (l *loop) seen(ctx context.Context, f events.RowsFile) (bool, error) {
	if l.done == nil {
		done := &finished{batches: map[string]bool{}, releases: map[uint64]bool{}, quarantine: map[uint64]events.Blob{}}
		if err := l.written.Scan(ctx, 1, func(e events.SegmentEntry) error { done.add(e); return nil }); err != nil {
			return false, err
		}
		l.done = done
	}
	return l.done.batches[f.Batch] || f.Release != 0 && l.done.releases[f.Release], nil
}

// rowsOf ingests the rows of a file, but for those in committed segments, and leaves the last segment open. It returns how many
// rows are done.
func (l *loop) rowsOf(ctx context.Context, m message, f events.RowsFile, p part) (offset int64, err error) {
	offset = l.skip(m)
	// The contract is relaxed for rows that it refused before, and for no others.
	if released := l.done.quarantine[f.Release]; (f.Format == lake.FormatQuarantine || f.Release != 0) && (released.Key == "" || released != f.File ||
		f.Format != lake.FormatQuarantine) {
		return offset, fmt.Errorf("%w: %s does not hold the refused rows of segment %d", lake.ErrBadFile, f.Name, f.Release)
	}
	path, err := l.host.Blobs.Local(ctx, f.File)
	if err != nil {
		return offset, fmt.Errorf("file %s: %w", f.Name, err)
	}
	checker, now := l.contract.checker, l.host.Clock()
	if f.Release != 0 {
		checker, now = checker.Lenient(), endOfTime
	}
	in, err := lake.OpenFile(ctx, l.host.Engine, lake.File{Path: path, Name: f.Name, Format: f.Format}, checker, offset)
	if err != nil {
		return offset, err
	}
	defer in.Close()
	row := checker.NewRow()
	for {
		refused, err := in.Next(ctx, now, row)
		if errors.Is(err, io.EOF) {
			return offset, nil
		}
		if err != nil {
			return offset, err
		}
		// Only now it is known that the full segment is not the file's last one.
		if l.full() {
			l.cursor = events.Cursor{Sequence: m.seq, Offset: offset}
			if err := l.cut(ctx, p); err != nil {
				return offset, err
			}
		}
		offset++
		if refused != nil {
			refused.Sequence = m.seq
			l.refuse(*refused)
			continue
		}
		l.accept(row)
	}
}

// refuseRest refuses the rows of a file from offset on, as far as their number is known.
func (l *loop) refuseRest(m message, f events.RowsFile, offset int64, why error) {
	l.refuse(lake.Refused{Raw: string(m.data), Refusal: rows.Refusal{Reason: unreadable, Detail: why.Error()}, Sequence: m.seq, Offset: offset})
	l.unreadable = max(f.Rows-offset, 1) - 1
}
