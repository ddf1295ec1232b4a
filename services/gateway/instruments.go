package gateway

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

// instruments are what operators see of the gateway.
type instruments struct {
	requests *prometheus.HistogramVec // its count is the number of requests
	streams  prometheus.Gauge
	rows     *prometheus.CounterVec
}

func newInstruments(r prometheus.Registerer) (*instruments, error) {
	const namespace = "tidemill"
	m := &instruments{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Subsystem: Name, Name: "request_seconds",
			Help: "Time to answer a request, by route and HTTP status.", Buckets: prometheus.ExponentialBuckets(0.0002, 3, 12)},
			[]string{"method", "route", "status"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Subsystem: Name, Name: "event_streams",
			Help: "Readers of server-sent events."}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: Name, Name: "rows_taken_total",
			Help: "Rows that the API took, as far as their number is known then."}, []string{"dataset"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.streams, m.rows} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// measure times requests by their route. Streams of events last as long as their readers, and are left out.
func (m *instruments) measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(wrapped, r)
		if wrapped.Header().Get("Content-Type") == eventStream {
			return
		}
		status := wrapped.Status()
		if status == 0 {
			status = http.StatusOK
		}
		m.requests.WithLabelValues(r.Method, chi.RouteContext(r.Context()).RoutePattern(), strconv.Itoa(status)).Observe(time.Since(began).Seconds())
	})
}
