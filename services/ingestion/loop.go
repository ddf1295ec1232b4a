package ingestion

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/internal/segmentlog"
)

// maxSegmentBytes bounds what a segment may hold in memory, whatever its number of rows. It decides where segments end, so it is
// a constant.
const maxSegmentBytes = 256 << 20

// loop ingests one dataset from its last committed segment on. It is made anew after every failure: what is in memory
// then is forgotten, and the rows come again from ROWS.
type loop struct {
	host    *host.Host
	metrics *metrics
	log     *zap.Logger
	dataset string

	written  *segmentlog.Log
	contract *contract
	done     *finished // files that are done; nil until it is needed
	segments int       // committed by this loop

	// The open segment.
	open       bool // something would be lost if it were not committed
	cursor     events.Cursor
	rows       *lake.SegmentWriter
	refused    *lake.QuarantineWriter
	unreadable int64 // refused rows of a file that are not in refused one by one
	warnings   map[rows.Reason]int
	age        *time.Timer

	purge    *time.Timer
	unpurged int // segments since the last purge
}

// contract is how rows of the dataset's current revision are checked.
type contract struct {
	revision uint64
	checker  *rows.Checker
	row      *rows.Row
	maxRows  int64
	maxAge   time.Duration
}

func newLoop(h *host.Host, m *metrics, log *zap.Logger, dataset string) *loop {
	return &loop{host: h, metrics: m, log: log, dataset: dataset, warnings: map[rows.Reason]int{}, age: stopped(), purge: stopped()}
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// run ingests until ctx ends (nil) or something fails.
func (l *loop) run(ctx context.Context) error {
	if err := l.start(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	in := make(chan chunk, chunksAhead)
	from := l.cursor.Sequence + 1
	if l.cursor.Offset > 0 {
		from-- // it was begun, not finished
	}
	reading.Go(func() { (&reader{js: l.host.JS, log: l.log, dataset: l.dataset, next: from}).run(ctx, in) })
	defer l.age.Stop()
	defer l.purge.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-in:
			if err := l.take(ctx, c); err != nil {
				return err
			}
			l.metrics.lag.WithLabelValues(l.dataset).Set(float64(c.pending))
		case <-l.age.C:
			if err := l.cut(ctx, part{}); err != nil {
				return err
			}
		case <-l.purge.C:
			l.purgeRows(ctx)
		}
	}
}

// start loads the cursor and says what a process that died could not say any more.
func (l *loop) start(ctx context.Context) error {
	var err error
	if l.written, err = segmentlog.Open(ctx, l.host.JS, l.dataset); err != nil {
		return err
	}
	if err := l.sayMissing(ctx); err != nil {
		return err
	}
	l.cursor = l.written.Last().Cursor
	stream, err := l.host.JS.Stream(ctx, events.StreamRows)
	if err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	if end := stream.CachedInfo().State.LastSeq; end < l.cursor.Sequence {
		return fmt.Errorf("ROWS ends at %d, but the rows of %s were ingested up to %d: the stream was made anew; restore it, or its rows would be skipped",
			end, l.dataset, l.cursor.Sequence)
	}
	l.unpurged = 1
	l.purge.Reset(purgeEvery)
	return nil
}

// take ingests a chunk with the contract of the current revision.
func (l *loop) take(ctx context.Context, c chunk) error {
	if err := l.renew(ctx); err != nil {
		return err
	}
	now := l.host.Clock()
	for _, m := range c.messages {
		if err := l.message(ctx, m, now); err != nil {
			return err
		}
	}
	return nil
}

// renew compiles the contract when the dataset has a new revision; the rows of a segment were all checked by one.
func (l *loop) renew(ctx context.Context) error {
	d, ok := l.host.Catalog.Dataset(l.dataset)
	if !ok {
		return fmt.Errorf("dataset %s is gone", l.dataset) // the supervisor is about to end this loop
	}
	if l.contract != nil && l.contract.revision == d.Revision {
		return nil
	}
	if l.open {
		if err := l.cut(ctx, part{}); err != nil {
			return err
		}
	}
	checker, err := rows.Compile(d.Dataset)
	if err != nil {
		return fmt.Errorf("contract of dataset %s: %w", l.dataset, err)
	}
	l.contract = &contract{revision: d.Revision, checker: checker, row: checker.NewRow(), maxRows: d.Dataset.Segment.MaxRows,
		maxAge: d.Dataset.Segment.MaxAge.Std()}
	l.rows = lake.NewSegmentWriter(l.host.Engine, l.host.Blobs, checker)
	l.refused = lake.NewQuarantineWriter(l.host.Engine, l.host.Blobs)
	return nil
}

// accept adds the row that was just decoded to the open segment.
func (l *loop) accept(row *rows.Row) {
	for i := range row.Warnings {
		l.warnings[row.Warnings[i].Reason]++
	}
	l.begin()
	l.rows.Append(row)
}

// refuse adds a refused row to the open segment.
func (l *loop) refuse(r lake.Refused) {
	l.begin()
	l.refused.Add(r)
}

// begin opens a segment and starts its age.
func (l *loop) begin() {
	if !l.open {
		l.open = true
		l.age.Reset(l.contract.maxAge)
	}
}

// full tells whether the open segment must end before the next row.
func (l *loop) full() bool {
	return l.rows.Rows() >= l.contract.maxRows || l.refused.Rows() >= l.contract.maxRows || l.rows.Bytes()+l.refused.Bytes() >= maxSegmentBytes
}
