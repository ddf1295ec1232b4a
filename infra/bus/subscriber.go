package bus

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
)

// DefaultAckWait is how soon a message whose process died reaches the next one. Handlers may run for longer: the
// subscriber sends heartbeats.
const DefaultAckWait = 3 * time.Second

const defaultCloseGrace = 5 * time.Second

// Consumer is the durable consumer behind a topic.
type Consumer struct {
	// Durable is its name: subscribers of one name share the messages, those of different names each get all.
	Durable string
	// Subjects it listens to.
	Subjects []string
}

// SubscriberOptions tune a Subscriber. Stream is required.
type SubscriberOptions struct {
	// Stream is where its consumers read.
	Stream string
	// Group prefixes the durable names of topics when Consumer is nil.
	Group string
	// Consumer finds the consumer of a topic; nil: the topic is the subject, the durable is made of Group and topic.
	Consumer func(topic string) Consumer
	// AckWait; 0 means DefaultAckWait.
	AckWait time.Duration
	// MaxAckPending is how many messages of a consumer may be with handlers at once; 0 means 1, which keeps the order, also over
	// retries and among several subscribers.
	MaxAckPending int
	// CloseGrace is how long Close waits for messages that are with handlers; 0 means 5 s. Then they are given back.
	CloseGrace time.Duration
	// Trouble, when set, is told what keeps a subscription from reading; it goes on by itself.
	Trouble func(topic string, err error)
}

// Subscriber is a Watermill Subscriber over JetStream's durable consumers. Delivery is at least once, from the stream's beginning
// for a new consumer. The next message comes after the last was acked or nacked; RetryIn delays the redelivery of a nacked one.
// A message's context ends when it is settled or the subscription closes, and carries a Delivery.
type Subscriber struct {
	js jetstream.JetStream
	o  SubscriberOptions

	mu      sync.Mutex
	closed  bool
	closing chan struct{}
	running sync.WaitGroup
}

// NewSubscriber makes a subscriber; the stream must exist before Subscribe.
func NewSubscriber(js jetstream.JetStream, o SubscriberOptions) *Subscriber {
	if o.AckWait == 0 {
		o.AckWait = DefaultAckWait
	}
	if o.MaxAckPending == 0 {
		o.MaxAckPending = 1
	}
	if o.CloseGrace == 0 {
		o.CloseGrace = defaultCloseGrace
	}
	if o.Trouble == nil {
		o.Trouble = func(string, error) {}
	}
	return &Subscriber{js: js, o: o, closing: make(chan struct{})}
}

// SubscribeInitialize makes the topic's consumer, so that it keeps messages before anybody subscribes.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	_, err := s.consumer(ctx, topic)
	return err
}

// Subscribe delivers the topic's messages until ctx ends or the subscriber is closed; then the channel closes.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	consumer, err := s.consumer(ctx, topic)
	if err != nil {
		return nil, err
	}
	sub := &subscription{subscriber: s, topic: topic, out: make(chan *message.Message)}
	s.running.Go(func() {
		ctx, cancel := context.WithCancel(ctx)
		s.running.Go(func() {
			select {
			case <-s.closing:
			case <-ctx.Done():
			}
			cancel()
		})
		sub.run(ctx, consumer)
		cancel()
	})
	return sub.out, nil
}

func (s *Subscriber) consumer(ctx context.Context, topic string) (jetstream.Consumer, error) {
	c := s.find(topic)
	consumer, err := s.js.CreateOrUpdateConsumer(ctx, s.o.Stream, jetstream.ConsumerConfig{
		Durable: c.Durable, FilterSubjects: c.Subjects, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: s.o.AckWait, MaxAckPending: s.o.MaxAckPending, MaxDeliver: -1,
	})
	if err != nil {
		return nil, fmt.Errorf("make consumer %s of %s: %w", c.Durable, s.o.Stream, err)
	}
	return consumer, nil
}

func (s *Subscriber) find(topic string) Consumer {
	if s.o.Consumer != nil {
		return s.o.Consumer(topic)
	}
	name := strings.NewReplacer(".", "-", "*", "any", ">", "all", " ", "-").Replace(topic)
	if s.o.Group != "" {
		name = s.o.Group + "-" + name
	}
	return Consumer{Durable: name, Subjects: []string{topic}}
}

// Close ends every subscription and waits for them. Closing twice is safe.
func (s *Subscriber) Close() error {
	s.stop()
	s.running.Wait()
	return nil
}

// stop asks every subscription to end.
func (s *Subscriber) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
}
