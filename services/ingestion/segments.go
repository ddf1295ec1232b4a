package ingestion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemill/tidemill/events"
)

// errTakenOver says that somebody else has appended an entry: this process only thought it held the lease.
var errTakenOver = errors.New("another process has appended a segment")

// segmentLog is the part of the stream SEGMENTS that belongs to one dataset.
type segmentLog struct {
	js      jetstream.JetStream
	dataset string
	last    events.SegmentEntry // the newest entry; the zero entry before the first
	seq     uint64              // its sequence in SEGMENTS
}

// load reads the newest entry.
func (l *segmentLog) load(ctx context.Context) error {
	l.last, l.seq = events.SegmentEntry{}, 0
	stream, err := l.js.Stream(ctx, events.StreamSegments)
	if err != nil {
		return fmt.Errorf("load the last segment: %w", err)
	}
	msg, err := stream.GetLastMsgForSubject(ctx, events.SegmentsSubject(l.dataset))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load the last segment: %w", err)
	}
	if err := json.Unmarshal(msg.Data, &l.last); err != nil {
		return fmt.Errorf("load the last segment (SEGMENTS %d): %w", msg.Sequence, err)
	}
	l.seq = msg.Sequence
	return nil
}

// append adds the entry that follows the newest one; errTakenOver when that is no longer the newest.
func (l *segmentLog) append(ctx context.Context, e events.SegmentEntry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("append segment %d: %w", e.Ordinal, err)
	}
	ack, err := l.js.Publish(ctx, events.SegmentsSubject(l.dataset), text, jetstream.WithExpectLastSequencePerSubject(l.seq))
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return fmt.Errorf("append segment %d: %w", e.Ordinal, errTakenOver)
	}
	if err != nil {
		return fmt.Errorf("append segment %d: %w", e.Ordinal, err)
	}
	l.last, l.seq = e, ack.Sequence
	return nil
}

// scan gives every entry to visit, oldest first.
func (l *segmentLog) scan(ctx context.Context, visit func(events.SegmentEntry) error) error {
	if l.last.Ordinal == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	consumer, err := l.js.OrderedConsumer(ctx, events.StreamSegments, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{events.SegmentsSubject(l.dataset)}, DeliverPolicy: jetstream.DeliverAllPolicy,
	})
	if err != nil {
		return fmt.Errorf("scan segments: %w", err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("scan segments: %w", err)
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("scan segments: %w", err)
		}
		var e events.SegmentEntry
		if err := json.Unmarshal(msg.Data(), &e); err != nil {
			return fmt.Errorf("scan segments: %w", err)
		}
		if err := visit(e); err != nil {
			return err
		}
		if e.Ordinal >= l.last.Ordinal {
			return nil
		}
	}
}

// written is the fact of an entry. It depends on the entry alone: said again, it is the same.
func written(e events.SegmentEntry) (events.Fact, error) {
	return events.NewFact(events.SegmentStepID(e.Dataset, e.Ordinal, "written"), events.SegmentWrittenType, Name, e.Dataset, e.WrittenAt,
		events.SegmentWritten{SegmentEntry: e})
}
