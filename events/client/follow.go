package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemill/tidemill/events"
)

// Follow says which facts a program wants, and from where.
type Follow struct {
	Types []events.Type // default: every type
	Name  string        // the model (or the dataset, of segment facts); default: all
	// Durable remembers how far the program is under this name, across restarts. Without it only new facts are seen (or those
	// from Since on).
	Durable string
	Since   uint64 // first FACTS sequence to see; 0: only new facts, or where Durable left off
}

// OnModelReady calls handle for each version that becomes champion, in order and one at a time, until ctx is done. A fact is
// acknowledged when handle returns nil; after an error it comes again, with a growing pause.
func (c *Client) OnModelReady(ctx context.Context, f Follow, handle func(context.Context, events.ModelReady) error) error {
	f.Types = []events.Type{events.ModelReadyType}
	return c.OnFact(ctx, f, func(ctx context.Context, fact events.Fact) error {
		ready, err := events.PayloadOf[events.ModelReady](fact)
		if err != nil {
			return err
		}
		return handle(ctx, ready)
	})
}

// OnFact calls handle for each fact that f asks for, as OnModelReady does.
func (c *Client) OnFact(ctx context.Context, f Follow, handle func(context.Context, events.Fact) error) error {
	consumer, err := c.consumer(ctx, f.config())
	if err != nil {
		return fmt.Errorf("follow facts: %w", err)
	}
	for {
		msg, err := consumer.Next(jetstream.FetchContext(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, jetstream.ErrNoMessages):
			continue
		case err != nil:
			if err := pause(ctx, time.Second); err != nil {
				return nil
			}
			continue
		}
		if err := deliver(ctx, msg, handle); err != nil {
			return err
		}
	}
}

// consumer takes up a durable where it left off: what it has seen stays seen, only its filter may change.
func (c *Client) consumer(ctx context.Context, config jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	if config.Durable == "" {
		return c.js.CreateConsumer(ctx, events.StreamFacts, config)
	}
	old, err := c.js.Consumer(ctx, events.StreamFacts, config.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return c.js.CreateConsumer(ctx, events.StreamFacts, config)
	}
	if err != nil {
		return nil, err
	}
	had := old.CachedInfo().Config
	config.DeliverPolicy, config.OptStartSeq = had.DeliverPolicy, had.OptStartSeq
	return c.js.UpdateConsumer(ctx, events.StreamFacts, config)
}

func (f Follow) config() jetstream.ConsumerConfig {
	name := f.Name
	if name == "" {
		name = "*"
	}
	config := jetstream.ConsumerConfig{Durable: f.Durable, AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute,
		MaxAckPending: 1, DeliverPolicy: jetstream.DeliverNewPolicy}
	for _, t := range f.Types {
		config.FilterSubjects = append(config.FilterSubjects, events.FactSubject(t, name))
	}
	if f.Durable == "" {
		config.InactiveThreshold = 5 * time.Minute
	} else {
		config.Name = strings.NewReplacer(".", "-", " ", "-").Replace(f.Durable)
		config.Durable = config.Name
	}
	if f.Since > 0 {
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, f.Since
	}
	return config
}

func deliver(ctx context.Context, msg jetstream.Msg, handle func(context.Context, events.Fact) error) error {
	var fact events.Fact
	if err := json.Unmarshal(msg.Data(), &fact); err != nil {
		return errors.Join(fmt.Errorf("read fact on %s: %w", msg.Subject(), err), msg.Term())
	}
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("read fact on %s: %w", msg.Subject(), err)
	}
	fact.Seq = meta.Sequence.Stream
	stop := heartbeat(ctx, msg)
	err = handle(ctx, fact)
	stop()
	if err != nil {
		return ignoreClosed(ctx, msg.NakWithDelay(min(time.Minute, time.Second<<min(meta.NumDelivered, 6))))
	}
	// What was handled is acknowledged even if the program is told to stop meanwhile.
	done, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return ignoreClosed(ctx, msg.DoubleAck(done))
}

// heartbeat tells the broker that a long handler is alive.
func heartbeat(ctx context.Context, msg jetstream.Msg) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause(ctx, 20*time.Second) == nil {
			_ = msg.InProgress()
		}
	}()
	return func() { cancel(); <-done }
}

func ignoreClosed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
