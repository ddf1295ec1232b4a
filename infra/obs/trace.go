package obs

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Tracing makes spans and passes their context on by the W3C's traceparent, so that a cycle's facts share one trace id.
type Tracing struct{ provider *sdktrace.TracerProvider }

// NewTracing makes spans for a service. Without a processor spans go nowhere, but their ids still link facts; a deployment that
// exports hands its processor in.
func NewTracing(service, version string, processors ...sdktrace.SpanProcessor) *Tracing {
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(resource.NewSchemaless(
		attribute.String("service.name", service), attribute.String("service.version", version)))}
	for _, p := range processors {
		options = append(options, sdktrace.WithSpanProcessor(p))
	}
	return &Tracing{provider: sdktrace.NewTracerProvider(options...)}
}

// Provider is what other packages take.
func (t *Tracing) Provider() *sdktrace.TracerProvider { return t.provider }

// Propagator reads and writes traceparent and tracestate, as in HTTP headers.
func (t *Tracing) Propagator() propagation.TextMapPropagator { return propagation.TraceContext{} }

// Shutdown hands what is left to the processors.
func (t *Tracing) Shutdown(ctx context.Context) error { return t.provider.Shutdown(ctx) }
