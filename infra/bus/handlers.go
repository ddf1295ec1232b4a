package bus

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/events"
)

const routerCloseTimeout = 10 * time.Second

// Subscription is one handler of facts.
type Subscription struct {
	// Name is the handler's own, in the whole installation: the broker remembers under it what was handled, dead letters are filed
	// under it. It satisfies events.ValidName.
	Name string
	// Subjects are filters made by the functions of events.
	Subjects []string
	// Attempts before a fact becomes a dead letter; 0 means DefaultAttempts.
	Attempts int
	// Handler acts on one fact at a time, in ledger order; the next comes after the verdict. Its context carries the fact as Cause,
	// its trace, and a Delivery; it ends when the handlers are asked to stop.
	Handler func(ctx context.Context, fact events.Fact) error
}

// Handlers are subscriptions that start and stop together: a lifecycle.Component. It may be run again after it has ended, as a
// service does when it gets its lease back.
type Handlers struct {
	bus           *Bus
	subscriptions []Subscription
}

// Handlers makes a component of subscriptions.
func (b *Bus) Handlers(subscriptions ...Subscription) *Handlers {
	return &Handlers{bus: b, subscriptions: subscriptions}
}

// Handle adds a subscription; call it before Run.
func (h *Handlers) Handle(s Subscription) { h.subscriptions = append(h.subscriptions, s) }

// Run hears facts until ctx ends. A handler that is at work then gets its context cancelled; unless it still finishes, its fact
// is given back and heard again.
func (h *Handlers) Run(ctx context.Context, ready func()) error {
	router, subscriber, err := h.router()
	if err != nil {
		return err
	}
	defer subscriber.Close()
	for _, s := range h.subscriptions { // a router that fails half-way can't be stopped in order
		if err := subscriber.SubscribeInitialize(s.Name); err != nil {
			return fmt.Errorf("hear facts: %w", err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- router.Run(context.WithoutCancel(ctx)) }()
	select {
	case <-router.Running():
		ready()
	case err := <-ended:
		return fmt.Errorf("hear facts: %w", err)
	}
	select {
	case <-ctx.Done():
	case err := <-ended:
		return err
	}
	subscriber.stop() // ends the contexts of handlers; the router then waits for them
	if err := router.Close(); err != nil {
		return fmt.Errorf("stop hearing facts: %w", err)
	}
	return <-ended
}

func (h *Handlers) router() (*message.Router, *Subscriber, error) {
	byName := make(map[string]Subscription, len(h.subscriptions))
	for _, s := range h.subscriptions {
		if err := events.ValidName(s.Name); err != nil {
			return nil, nil, fmt.Errorf("handler: %w", err)
		}
		if _, twice := byName[s.Name]; twice {
			return nil, nil, fmt.Errorf("handler %s: the name is taken", s.Name)
		}
		if len(s.Subjects) == 0 || s.Handler == nil {
			return nil, nil, fmt.Errorf("handler %s: needs subjects and a function", s.Name)
		}
		byName[s.Name] = s
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: routerCloseTimeout}, watermill.NopLogger{})
	if err != nil {
		return nil, nil, fmt.Errorf("hear facts: %w", err)
	}
	subscriber := NewSubscriber(h.bus.js, SubscriberOptions{
		Stream: events.StreamFacts, AckWait: h.bus.o.AckWait,
		Consumer: func(topic string) Consumer { return Consumer{Durable: topic, Subjects: byName[topic].Subjects} },
		Trouble: func(topic string, err error) {
			h.bus.log.Warn("hearing facts was interrupted", zap.String("handler", topic), zap.Error(err))
		},
	})
	for _, s := range h.subscriptions {
		router.AddConsumerHandler(s.Name, s.Name, subscriber, func(m *message.Message) error { return h.bus.handle(s, m) })
	}
	return router, subscriber, nil
}

// handle gives one message to its handler and does what Judge says.
func (b *Bus) handle(s Subscription, m *message.Message) error {
	d, _ := DeliveryOf(m.Context())
	if only := m.Metadata.Get(headerReplayFor); only != "" && only != s.Name {
		return nil
	}
	fact, err := decode(m.Payload, d.Seq)
	if err != nil {
		err = Terminal(err)
	} else {
		err = b.call(m.Context(), s, fact)
	}
	if err != nil && m.Context().Err() != nil {
		return err // stopping: given back, and not held against the fact
	}
	ruling := Judge(err, d.Attempt, s.Attempts)
	fields := []zap.Field{
		zap.String("handler", s.Name), zap.String("subject", d.Subject), zap.Uint64("seq", d.Seq), zap.String("event_id", fact.ID),
		zap.String("cycle_id", fact.CycleID), zap.Int("attempt", d.Attempt), zap.Error(ruling.Reason),
	}
	switch ruling.Action {
	case Redeliver:
		b.log.Warn("fact will be tried again", append(fields, zap.Duration("after", ruling.Delay))...)
		RetryIn(m, ruling.Delay)
		return ruling.Reason
	case Bury:
		b.log.Error("fact became a dead letter", fields...)
		letter := NewLetter(s.Name, d, m.Payload, ruling.Reason)
		letter.ContentType = m.Metadata.Get(headerContentType)
		if err := NewDead(b.js).Bury(m.Context(), letter); err != nil {
			RetryIn(m, maxBackoff)
			return err
		}
	}
	return nil
}

// call runs the handler inside a span; a panic becomes an error with the stack.
func (b *Bus) call(ctx context.Context, s Subscription, fact events.Fact) (err error) {
	ctx, span := b.tracer.Start(withTraceParent(ctx, fact.TraceParent), s.Name+" "+fact.Type.Short(),
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
			attribute.String("cloudevents.event_id", fact.ID), attribute.String("cloudevents.event_type", string(fact.Type)),
			attribute.String("cloudevents.event_subject", fact.Subject), attribute.String("tidemill.cycle_id", fact.CycleID)))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}()
	return s.Handler(WithCause(ctx, fact), fact)
}
