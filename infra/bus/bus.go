package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/events"
)

const (
	headerContentType = "Content-Type"
	tracerName        = "github.com/tidemill/tidemill/infra/bus"
)

// Options of a Bus; the zero value works.
type Options struct {
	// Logger hears what handlers fail with, once each time; nil hears nothing.
	Logger *zap.Logger
	// Tracer makes a span around each handler; nil makes none, but trace contexts are still passed on.
	Tracer trace.TracerProvider
	// AckWait is how soon a fact reaches another process when its handler's process died; 0 means DefaultAckWait.
	AckWait time.Duration
}

// Bus says facts and lets them be heard. It is safe for concurrent use.
type Bus struct {
	js     jetstream.JetStream
	log    *zap.Logger
	tracer trace.Tracer
	o      Options
}

// New makes a bus over a connection; EnsureStreams must have run.
func New(js jetstream.JetStream, o Options) *Bus {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Tracer == nil {
		o.Tracer = noop.NewTracerProvider()
	}
	return &Bus{js: js, log: o.Logger, tracer: o.Tracer.Tracer(tracerName), o: o}
}

// Say stores a fact on its subject, under its id, and returns its sequence in the stream once it is on disk. A fact said twice
// within DuplicateWindow is stored once. A fact without a trace context gets the one of ctx.
func (b *Bus) Say(ctx context.Context, fact events.Fact) (seq uint64, err error) {
	if fact.TraceParent == "" {
		fact.TraceParent = traceParent(ctx)
	}
	text, err := json.Marshal(fact)
	if err != nil {
		return 0, fmt.Errorf("say %s: %w", fact.Type.Short(), err)
	}
	msg := nats.NewMsg(fact.Where())
	msg.Data = text
	msg.Header.Set(jetstream.MsgIDHeader, fact.ID)
	msg.Header.Set(headerContentType, events.ContentType)
	ack, err := b.js.PublishMsg(ctx, msg)
	if err != nil {
		return 0, fmt.Errorf("say %s on %s: %w", fact.Type.Short(), msg.Subject, err)
	}
	return ack.Sequence, nil
}

type causeKey struct{}

// Cause returns the fact that is being handled; ok is false outside of a handler.
func Cause(ctx context.Context) (cause events.Fact, ok bool) {
	cause, ok = ctx.Value(causeKey{}).(events.Fact)
	return cause, ok
}

// WithCause returns a context in which f is the cause. Handlers get such a context; others that act on a fact make it.
func WithCause(ctx context.Context, f events.Fact) context.Context {
	return context.WithValue(ctx, causeKey{}, f)
}

// Caused links f to the fact that is being handled: causation id and sequence, cycle and trace context, where f has none.
func Caused(ctx context.Context, f events.Fact) events.Fact {
	if f.TraceParent == "" {
		f.TraceParent = traceParent(ctx)
	}
	if cause, ok := Cause(ctx); ok && f.CausationID == "" {
		f = f.Caused(cause)
	}
	return f
}

const traceParentKey = "traceparent"

func traceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceParentKey]
}

func withTraceParent(ctx context.Context, parent string) context.Context {
	if parent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{traceParentKey: parent})
}

// decode reads a fact off the wire and notes where it lies.
func decode(data []byte, seq uint64) (events.Fact, error) {
	var f events.Fact
	if err := json.Unmarshal(data, &f); err != nil {
		return f, fmt.Errorf("message %d is not a fact: %w", seq, err)
	}
	f.Seq = seq
	return f, nil
}
