package obs_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/infra/obs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLoggerWritesJSONUnlessOnATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, level, err := obs.NewLogger(obs.LogOptions{Out: &out})
	require.NoError(t, err)
	log.Debug("unheard")
	log.Info("promoted", obs.Cycle("c1"), obs.Event("e1"), obs.Model("m"), obs.Dataset("d"), obs.Subject("facts.x"))
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line), "one line of JSON: %s", &out)
	for key, want := range map[string]string{
		"level": "info", "msg": "promoted", "cycle_id": "c1", "event_id": "e1", "model": "m", "dataset": "d", "subject": "facts.x",
	} {
		assert.Equal(t, want, line[key], key)
	}
	assert.Contains(t, line, "time")

	out.Reset()
	level.SetLevel(zap.DebugLevel)
	log.Debug("heard")
	assert.Contains(t, out.String(), "heard")
}

func TestLoggerFormatsAndLevels(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, _, err := obs.NewLogger(obs.LogOptions{Out: &out, Format: obs.Console, Level: "warn"})
	require.NoError(t, err)
	log.Info("unheard")
	log.Warn("heard")
	assert.Regexp(t, `^\d\d:\d\d:\d\d\.\d{3}\tWARN\theard\n$`, out.String(), "no colours where no terminal is")
	_, _, err = obs.NewLogger(obs.LogOptions{Level: "loud"})
	require.ErrorContains(t, err, "use debug, info, warn or error")
	_, _, err = obs.NewLogger(obs.LogOptions{Format: "xml"})
	require.ErrorContains(t, err, "use auto, console or json")
	file, err := os.CreateTemp(t.TempDir(), "log")
	require.NoError(t, err)
	defer file.Close()
	log, _, err = obs.NewLogger(obs.LogOptions{Out: file})
	require.NoError(t, err)
	log.Info("x")
	text, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	assert.True(t, json.Valid(text), "a file is no terminal")
}

func TestMetricsAreServedAndShared(t *testing.T) {
	t.Parallel()
	m := obs.NewMetrics()
	m.Counter("ingestion", "rows_total", "Rows by what became of them.", "outcome").WithLabelValues("accepted").Add(3)
	m.Counter("ingestion", "rows_total", "Rows by what became of them.", "outcome").WithLabelValues("accepted").Add(4)
	m.Gauge("ingestion", "lag", "Rows not yet read.").WithLabelValues().Set(5)
	m.Seconds("serving", "infer_seconds", "Time of one request.", "model").WithLabelValues("m").Observe(0.01)
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := answer.Body.String()
	assert.Contains(t, text, `tidemill_ingestion_rows_total{outcome="accepted"} 7`)
	assert.Contains(t, text, "tidemill_ingestion_lag 5")
	assert.Contains(t, text, `tidemill_serving_infer_seconds_count{model="m"} 1`)
	assert.Contains(t, text, "go_goroutines")
	assert.Panics(t, func() { m.Gauge("ingestion", "rows_total", "Something else.") })
}

func TestTracingPassesContextOn(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	tracing := obs.NewTracing("training", "1.2.3", recorder)
	ctx, span := tracing.Provider().Tracer("test").Start(t.Context(), "train")
	header := propagation.MapCarrier{}
	tracing.Propagator().Inject(ctx, header)
	assert.Contains(t, header["traceparent"], span.SpanContext().TraceID().String())
	_, child := tracing.Provider().Tracer("test").Start(tracing.Propagator().Extract(t.Context(), header), "score")
	assert.Equal(t, span.SpanContext().TraceID(), child.SpanContext().TraceID())
	child.End()
	span.End()
	require.NoError(t, tracing.Shutdown(t.Context()))
	require.Len(t, recorder.Ended(), 2)
	var first sdktrace.ReadOnlySpan = recorder.Ended()[0]
	assert.Contains(t, first.Resource().String(), "service.name=training")
}
