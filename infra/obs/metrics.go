package obs

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Namespace is the first part of every metric's name.
const Namespace = "tidemill"

// Metrics is a registry of our own with constructors that register what they make. A metric's name is tidemill_<room>_<name>;
// making one twice with the same labels gives the same metric, so that services in one process may share it.
type Metrics struct{ registry *prometheus.Registry }

// NewMetrics makes a registry with the metrics of the process and the Go runtime.
func NewMetrics() *Metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Metrics{registry: r}
}

// Registry is for libraries that register by themselves.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler serves the metrics in Prometheus' and OpenMetrics' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, Registry: m.registry})
}

// Counter makes a counter; name ends in _total by convention.
func (m *Metrics) Counter(room, name, help string, labels ...string) *prometheus.CounterVec {
	return register(m, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: Namespace, Subsystem: room, Name: name, Help: help,
	}, labels))
}

// Gauge makes a gauge.
func (m *Metrics) Gauge(room, name, help string, labels ...string) *prometheus.GaugeVec {
	return register(m, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: Namespace, Subsystem: room, Name: name, Help: help,
	}, labels))
}

// Seconds makes a histogram of durations in seconds, from 100 µs to about a minute and a half; name ends in _seconds.
func (m *Metrics) Seconds(room, name, help string, labels ...string) *prometheus.HistogramVec {
	return register(m, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: Namespace, Subsystem: room, Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 16),
	}, labels))
}

// register panics when a name is used for two different things: that is a mistake in the program.
func register[C prometheus.Collector](m *Metrics, c C) C {
	err := m.registry.Register(c)
	if err == nil {
		return c
	}
	if twice := (prometheus.AlreadyRegisteredError{}); errors.As(err, &twice) {
		if existing, ok := twice.ExistingCollector.(C); ok {
			return existing
		}
	}
	panic(err)
}
