package jobs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/propagation"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
)

const (
	// DefaultAckWait is how soon another worker gets the job of one that died.
	DefaultAckWait = 10 * time.Second
	// DefaultAttempts is how often a job is tried before it becomes a dead letter.
	DefaultAttempts = 5
	// DefaultStopGrace is how long a stopping worker may take to leave its jobs.
	DefaultStopGrace = 30 * time.Second

	maxInWork = 10_000 // jobs of one kind and pool that may be with workers at once
)

// Delivery is a job at a worker.
type Delivery struct {
	Job
	// Attempt counts deliveries, from 1.
	Attempt int
	// Queued is when the job was published.
	Queued time.Time
}

// Consumer is one worker process's wish for work.
type Consumer struct {
	Kind, Pool string
	// Slots is how many jobs the worker does at once; 0 means 1.
	Slots int
	// Handler does a job. It ends with a verdict of package bus: nil is done; an error means again, later, elsewhere perhaps;
	// bus.Terminal means never again; ErrStale leaves the job to the worker that has it now. Its context ends when the worker was
	// asked to stop and Drain is over; a job that then ends with an error is handed back at once.
	Handler func(ctx context.Context, d Delivery) error
	// AckWait; 0 means DefaultAckWait. All workers of a kind and pool must agree. Heartbeats are sent three times as often.
	AckWait time.Duration
	// Attempts before a job becomes a dead letter; 0 means DefaultAttempts, less than 0 never: the handler gives up by itself.
	Attempts int
	// Drain is how long jobs may go on when the worker is asked to stop. It takes no new ones meanwhile.
	Drain time.Duration
	// StopGrace is how long handlers may take to end when Drain is over; 0 means DefaultStopGrace.
	StopGrace time.Duration
	// Logger hears what jobs fail with, once each time; nil hears nothing.
	Logger *zap.Logger
}

// Work does jobs until ctx ends (nil). A free slot takes one job; nothing waits in the worker that another could do.
func (q *Queue) Work(ctx context.Context, c Consumer) error {
	return q.Component(c).Run(ctx, func() {})
}

// Worker is Work as a lifecycle.Component.
type Worker struct {
	queue *Queue
	c     Consumer
}

// Component makes a worker of c that can be run.
func (q *Queue) Component(c Consumer) *Worker {
	if c.Slots == 0 {
		c.Slots = 1
	}
	if c.AckWait == 0 {
		c.AckWait = DefaultAckWait
	}
	switch {
	case c.Attempts == 0:
		c.Attempts = DefaultAttempts
	case c.Attempts < 0:
		c.Attempts = math.MaxInt
	}
	if c.StopGrace == 0 {
		c.StopGrace = DefaultStopGrace
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return &Worker{queue: q, c: c}
}

// name is the worker's in the broker and among the dead letters. No kind or pool has an underscore, so names can't collide.
func (w *Worker) name() string { return w.c.Kind + "_" + w.c.Pool }

// Run does jobs until ctx ends, and drains then.
func (w *Worker) Run(ctx context.Context, ready func()) error {
	for _, name := range []string{w.c.Kind, w.c.Pool} {
		if err := events.ValidName(name); err != nil {
			return fmt.Errorf("work: %w", err)
		}
	}
	subject := events.JobsSubject(w.c.Kind, w.c.Pool)
	subscriber := bus.NewSubscriber(w.queue.js, bus.SubscriberOptions{
		Stream: events.StreamJobs, AckWait: w.c.AckWait, MaxAckPending: maxInWork, CloseGrace: w.c.Drain + w.c.StopGrace,
		Consumer: func(string) bus.Consumer { return bus.Consumer{Durable: w.name(), Subjects: []string{subject}} },
		Trouble: func(_ string, err error) {
			w.c.Logger.Warn("fetching jobs was interrupted", zap.String("subject", subject), zap.Error(err))
		},
	})
	defer subscriber.Close()
	// Jobs outlive the wish to stop, by Drain.
	working, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	var slots sync.WaitGroup
	defer slots.Wait()
	defer giveUp(nil)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range w.c.Slots {
		messages, err := subscriber.Subscribe(ctx, subject)
		if err != nil {
			return fmt.Errorf("work on %s: %w", subject, err)
		}
		slots.Go(func() {
			for m := range messages {
				w.do(working, m)
			}
		})
	}
	ready()
	<-ctx.Done()
	idle := make(chan struct{})
	go func() {
		slots.Wait()
		close(idle)
	}()
	over := time.NewTimer(w.c.Drain)
	defer over.Stop()
	select {
	case <-idle:
	case <-over.C:
	}
	giveUp(context.Cause(ctx))
	<-idle
	return nil
}

// do gives one message to the handler and does what the verdict says. The handler's context ends with working.
func (w *Worker) do(working context.Context, m *message.Message) {
	ctx, end := context.WithCancelCause(context.WithoutCancel(m.Context()))
	defer end(nil)
	defer context.AfterFunc(working, func() { end(context.Cause(working)) })()
	d, _ := bus.DeliveryOf(ctx)
	delivery := Delivery{
		Job:     Job{ID: m.Metadata.Get(bus.HeaderJob), Kind: w.c.Kind, Pool: w.c.Pool, Payload: m.Payload},
		Attempt: d.Attempt, Queued: d.Stored,
	}
	err := w.call(ctx, m, delivery)
	switch {
	case errors.Is(err, ErrStale):
		// It is in other hands: done here, it would be taken from them; given back, it would be begun once more.
		bus.Leave(m)
		m.Nack()
		return
	case err != nil && ctx.Err() != nil:
		m.Nack() // stopping: handed back at once
		return
	}
	ruling := bus.Judge(err, d.Attempt, w.c.Attempts)
	fields := []zap.Field{
		zap.String("job", delivery.ID), zap.String("subject", d.Subject), zap.Int("attempt", d.Attempt), zap.Error(ruling.Reason),
	}
	switch ruling.Action {
	case bus.Redeliver:
		w.c.Logger.Warn("job will be tried again", append(fields, zap.Duration("after", ruling.Delay))...)
		bus.RetryIn(m, ruling.Delay)
		m.Nack()
		return
	case bus.Bury:
		w.c.Logger.Error("job became a dead letter", fields...)
		letter := bus.NewLetter(w.name(), d, m.Payload, ruling.Reason)
		letter.Job = delivery.ID
		if err := bus.NewDead(w.queue.js).Bury(ctx, letter); err != nil {
			w.c.Logger.Error("the dead letter could not be kept", append(fields, zap.NamedError("keeping", err))...)
			m.Nack()
			return
		}
	}
	m.Ack()
}

func (w *Worker) call(ctx context.Context, m *message.Message, d Delivery) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if d.ID == "" {
		return bus.Terminal(errors.New("a message without a job id"))
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(lower(m.Metadata)))
	return w.c.Handler(ctx, d)
}

// lower gives the propagator the trace context under the names it asks for.
func lower(m message.Metadata) map[string]string {
	return map[string]string{"traceparent": m.Get("traceparent"), "tracestate": m.Get("tracestate")}
}
