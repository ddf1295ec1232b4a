// Package segmentlog reads and extends the stream SEGMENTS: per dataset, every segment in order with the cursor in ROWS.
package segmentlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemill/tidemill/events"
)

// ErrConflict says that somebody else has appended an entry.
var ErrConflict = errors.New("another process has appended a segment")

// Log is the part of SEGMENTS that belongs to one dataset, as far as it was when it was opened or last extended. It belongs to
// one goroutine.
type Log struct {
	js      jetstream.JetStream
	dataset string
	last    events.SegmentEntry
	seq     uint64 // of last in SEGMENTS
}

// Open reads the newest entry of a dataset.
func Open(ctx context.Context, js jetstream.JetStream, dataset string) (*Log, error) {
	l := &Log{js: js, dataset: dataset}
	stream, err := js.Stream(ctx, events.StreamSegments)
	if err != nil {
		return nil, fmt.Errorf("open the segments of %s: %w", dataset, err)
	}
	msg, err := stream.GetLastMsgForSubject(ctx, events.SegmentsSubject(dataset))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(msg.Data, &l.last)
	}
	if err != nil {
		return nil, fmt.Errorf("open the segments of %s: %w", dataset, err)
	}
	l.seq = msg.Sequence
	return l, nil
}

// Last is the newest entry; the zero entry, of ordinal 0, before the first.
func (l *Log) Last() events.SegmentEntry { return l.last }

// Append adds the entry that follows Last; ErrConflict when Last is no longer the newest.
func (l *Log) Append(ctx context.Context, e events.SegmentEntry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("append segment %d of %s: %w", e.Ordinal, l.dataset, err)
	}
	ack, err := l.js.Publish(ctx, events.SegmentsSubject(l.dataset), text, jetstream.WithExpectLastSequencePerSubject(l.seq))
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		err = ErrConflict
	}
	if err != nil {
		return fmt.Errorf("append segment %d of %s: %w", e.Ordinal, l.dataset, err)
	}
	l.last, l.seq = e, ack.Sequence
	return nil
}

// Scan gives the entries from an ordinal through Last to visit, in order, until it fails. It reads the whole log.
func (l *Log) Scan(ctx context.Context, from uint64, visit func(events.SegmentEntry) error) error {
	if l.last.Ordinal < max(from, 1) {
		return nil
	}
	consumer, err := l.js.OrderedConsumer(ctx, events.StreamSegments, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{events.SegmentsSubject(l.dataset)}, DeliverPolicy: jetstream.DeliverAllPolicy,
	})
	if err != nil {
		return fmt.Errorf("scan the segments of %s: %w", l.dataset, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("scan the segments of %s: %w", l.dataset, err)
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("scan the segments of %s: %w", l.dataset, err)
		}
		var e events.SegmentEntry
		if err := json.Unmarshal(msg.Data(), &e); err != nil {
			return fmt.Errorf("scan the segments of %s: %w", l.dataset, err)
		}
		if e.Ordinal >= from {
			if err := visit(e); err != nil {
				return err
			}
		}
		if e.Ordinal >= l.last.Ordinal {
			return nil
		}
	}
}
