package bus

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	pullHeartbeat   = 2 * time.Second
	minSubscribeGap = 50 * time.Millisecond
	maxSubscribeGap = 2 * time.Second
	firstNudge      = time.Millisecond
	lastNudge       = 64 * time.Millisecond

	metaRetryIn = "Tidemill-Retry-In"
	metaLeave   = "Tidemill-Leave"
)

// Delivery says where a message comes from and how often it was tried.
type Delivery struct {
	Stream, Subject string
	Seq             uint64 // in the stream
	Attempt         int    // from 1
	Stored          time.Time
}

type deliveryKey struct{}

// DeliveryOf returns the delivery of the message whose context ctx is or comes from.
func DeliveryOf(ctx context.Context) (Delivery, bool) {
	d, ok := ctx.Value(deliveryKey{}).(Delivery)
	return d, ok
}

// RetryIn delays the redelivery of a message that will be nacked.
func RetryIn(m *message.Message, d time.Duration) { m.Metadata.Set(metaRetryIn, d.String()) }

// Leave makes a message that will be nacked nobody's: the broker is told nothing, and delivers it again when AckWait is over,
// unless somebody else has it by now and holds it.
func Leave(m *message.Message) { m.Metadata.Set(metaLeave, "true") }

// subscription pulls one message at a time: what waits in a client's buffer ages as if it were being handled.
type subscription struct {
	subscriber *Subscriber
	topic      string
	out        chan *message.Message
}

func (s *subscription) run(ctx context.Context, consumer jetstream.Consumer) {
	defer close(s.out)
	gap := minSubscribeGap
	for {
		delivered, err := s.read(ctx, consumer)
		if ctx.Err() != nil {
			return
		}
		s.subscriber.o.Trouble(s.topic, err)
		if delivered {
			gap = minSubscribeGap
		}
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(gap):
			}
			gap = min(2*gap, maxSubscribeGap)
			again, err := s.subscriber.consumer(ctx, s.topic) // it may be gone with a server that lost its disk
			if err == nil {
				consumer = again
				break
			}
			s.subscriber.o.Trouble(s.topic, err)
		}
	}
}

// read delivers messages until something breaks.
func (s *subscription) read(ctx context.Context, consumer jetstream.Consumer) (delivered bool, err error) {
	messages, err := consumer.Messages(jetstream.PullMaxMessages(1), jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return false, err
	}
	defer messages.Stop()
	for {
		raw, err := next(ctx, messages)
		if err != nil {
			return delivered, err
		}
		delivered = true
		if err := s.deliver(ctx, raw); err != nil {
			return delivered, err
		}
	}
}

// next waits for the next message. With one message per pull request, an iterator forgets to ask for the next one when the answer
// to the last came faster than its own bookkeeping; it then only notices by a missing heartbeat, seconds later. Calling Next anew
// makes it ask. So the first waits are short.
func next(ctx context.Context, messages jetstream.MessagesContext) (jetstream.Msg, error) {
	for wait := firstNudge; wait <= lastNudge; wait *= 4 {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		msg, err := messages.Next(jetstream.NextMaxWait(wait))
		if !errors.Is(err, nats.ErrTimeout) {
			return msg, err
		}
	}
	return messages.Next(jetstream.NextContext(ctx))
}

// deliver hands one message out and stays with it until it is settled.
func (s *subscription) deliver(ctx context.Context, raw jetstream.Msg) error {
	if ctx.Err() != nil {
		return raw.Nak()
	}
	meta, err := raw.Metadata()
	if err != nil {
		return err
	}
	d := Delivery{
		Stream: meta.Stream, Subject: raw.Subject(), Seq: meta.Sequence.Stream, Attempt: int(meta.NumDelivered),
		Stored: meta.Timestamp,
	}
	m := fromNATS(raw, d)
	own, cancel := context.WithCancel(context.WithValue(ctx, deliveryKey{}, d))
	defer cancel()
	m.SetContext(own)

	beat := time.NewTicker(s.subscriber.o.AckWait / 3)
	defer beat.Stop()
	for handed := false; !handed; {
		select {
		case s.out <- m:
			handed = true
		case <-beat.C:
			_ = raw.InProgress()
		case <-ctx.Done():
			return raw.Nak()
		}
	}
	var grace <-chan time.Time
	closing := ctx.Done()
	for {
		select {
		case <-m.Acked():
			return raw.Ack()
		case <-m.Nacked():
			if m.Metadata.Get(metaLeave) != "" {
				return nil
			}
			if delay, err := time.ParseDuration(m.Metadata.Get(metaRetryIn)); err == nil && delay > 0 {
				return raw.NakWithDelay(delay)
			}
			return raw.Nak()
		case <-beat.C:
			_ = raw.InProgress() // if it gets lost, the next one may not be
		case <-closing:
			closing = nil
			timer := time.NewTimer(s.subscriber.o.CloseGrace)
			defer timer.Stop()
			grace = timer.C
		case <-grace:
			return raw.Nak()
		}
	}
}
