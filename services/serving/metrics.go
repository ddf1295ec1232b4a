package serving

import (
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what operators see of serving. Requests for models that don't exist count under the model "".
type metrics struct {
	requests *prometheus.HistogramVec // seconds by model and status; its count is the number of requests
	loaded   prometheus.Gauge
	failed   *prometheus.CounterVec
	dropped  prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	const namespace, room = "tidemill", "serving"
	m := &metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Subsystem: room, Name: "request_seconds",
			Help: "Time to answer a request, by model and HTTP status.", Buckets: prometheus.ExponentialBuckets(0.00005, 2.5, 14)}, []string{"model", "status"}),
		loaded: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Subsystem: room, Name: "loaded_versions",
			Help: "Versions in memory, with those that finish their last requests."}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: room, Name: "load_failures_total",
			Help: "Attempts to load a version that failed, by model."}, []string{"model"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Subsystem: room, Name: "dropped_predictions_total",
			Help: "Predictions that were answered but not logged, because the log could not keep up or the broker refused them."}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.loaded, m.failed, m.dropped} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) observe(model string, status int, seconds float64) {
	m.requests.WithLabelValues(model, strconv.Itoa(status)).Observe(seconds)
}

// forget drops what was counted of a model that is gone.
func (m *metrics) forget(model string) {
	m.requests.DeletePartialMatch(prometheus.Labels{"model": model})
	m.failed.DeleteLabelValues(model)
}
