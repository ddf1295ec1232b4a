package ingestion

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what operators see of ingestion. They count what is committed, in this process.
type metrics struct {
	accepted    *prometheus.CounterVec
	quarantined *prometheus.CounterVec
	warned      *prometheus.CounterVec
	segments    *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	lag         *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	const namespace = "tidemill"
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	m := &metrics{
		accepted:    counter("rows_accepted_total", "Rows in committed segments.", "dataset"),
		quarantined: counter("rows_quarantined_total", "Rows that the row contract refused, by reason.", "dataset", "reason"),
		warned:      counter("rows_warned_total", "Values that broke the row contract and were let pass, by reason.", "dataset", "reason"),
		segments:    counter("segments_written_total", "Committed segments.", "dataset"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Subsystem: Name, Name: "segment_seconds",
			Help: "Time to write and commit a segment.", Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 10)}, []string{"dataset"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Subsystem: Name, Name: "lag_messages",
			Help: "Messages of the dataset that wait in ROWS and have not been read."}, []string{"dataset"}),
	}
	for _, c := range []prometheus.Collector{m.accepted, m.quarantined, m.warned, m.segments, m.seconds, m.lag} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}
