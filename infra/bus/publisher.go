package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrClosed is what a closed publisher or subscriber answers.
var ErrClosed = errors.New("closed")

// Publisher is a Watermill Publisher over JetStream. A topic is a subject. A message's UUID travels as the broker's message id,
// its metadata as headers.
type Publisher struct {
	js     jetstream.JetStream
	closed atomic.Bool
}

// NewPublisher makes a publisher; the streams must exist before Publish.
func NewPublisher(js jetstream.JetStream) *Publisher { return &Publisher{js: js} }

// Close makes Publish fail from now on. Closing twice is safe.
func (p *Publisher) Close() error {
	p.closed.Store(true)
	return nil
}

// Publish stores the messages under the subject topic, in order, and returns when all are on disk. After an error any of them
// may have been stored; publishing them again does no harm within DuplicateWindow.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	if p.closed.Load() {
		return ErrClosed
	}
	acks := make([]jetstream.PubAckFuture, 0, len(messages))
	for _, m := range messages {
		ack, err := p.js.PublishMsgAsync(toNATS(topic, m))
		if err != nil {
			return fmt.Errorf("publish to %s: %w", topic, err)
		}
		acks = append(acks, ack)
	}
	for i, ack := range acks {
		ctx, cancel := context.WithTimeout(messages[i].Context(), publishTimeout)
		err := wait(ctx, ack)
		cancel()
		if err != nil {
			return fmt.Errorf("publish to %s: %w", topic, err)
		}
	}
	return nil
}

const publishTimeout = 10 * time.Second

func wait(ctx context.Context, ack jetstream.PubAckFuture) error {
	select {
	case <-ack.Ok():
		return nil
	case err := <-ack.Err():
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// toNATS turns a Watermill message into the broker's.
func toNATS(subject string, m *message.Message) *nats.Msg {
	out := nats.NewMsg(subject)
	out.Data = m.Payload
	for _, key := range slices.Sorted(maps.Keys(m.Metadata)) {
		out.Header.Set(key, m.Metadata[key])
	}
	// The broker looks at the id alone: one message on two subjects of a stream would be a duplicate.
	out.Header.Set(jetstream.MsgIDHeader, m.UUID+"@"+subject)
	return out
}

// fromNATS is the way back. A message without an id, from an outsider, is named by its place in the stream.
func fromNATS(in jetstream.Msg, d Delivery) *message.Message {
	id := strings.TrimSuffix(in.Headers().Get(jetstream.MsgIDHeader), "@"+d.Subject)
	if id == "" {
		id = fmt.Sprintf("%s-%d", d.Stream, d.Seq)
	}
	m := message.NewMessage(id, in.Data())
	for key := range in.Headers() {
		if key != jetstream.MsgIDHeader && key != metaRetryIn {
			m.Metadata.Set(key, in.Headers().Get(key))
		}
	}
	return m
}
