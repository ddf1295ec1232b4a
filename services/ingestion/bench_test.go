package ingestion_test

import (
	"testing"
	"time"

	"github.com/tidemill/tidemill/services/internal/hosttest"
)

// BenchmarkIngest compares rows/s from the first publish to the last committed segment with publishing the same bytes in the same
// atomic batches to the same broker when nothing reads them.
func BenchmarkIngest(b *testing.B) {
	const n = 200_000
	rows := rowsOf(0, n)
	var raw, whole, backlog time.Duration
	for range b.N {
		w := hosttest.New(b)
		started := time.Now()
		publish(b, w, rows...)
		raw += time.Since(started)

		w.Apply(b, declaration(50_000, "2s", "")) // the rows that wait are a backlog
		started = time.Now()
		stop := ingest(b, w)
		awaitRows(b, w, n)
		backlog += time.Since(started)

		started = time.Now()
		publish(b, w, rows...)
		awaitRows(b, w, 2*n)
		whole += time.Since(started)
		stop()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(n*b.N)/raw.Seconds(), "raw-rows/s")
	b.ReportMetric(float64(n*b.N)/whole.Seconds(), "rows/s")
	b.ReportMetric(float64(n*b.N)/backlog.Seconds(), "backlog-rows/s")
	b.ReportMetric(raw.Seconds()/whole.Seconds(), "of-raw")
}

// BenchmarkFile reports rows/s of a Parquet file of many small segments.
func BenchmarkFile(b *testing.B) {
	const n = 300_000
	w := hosttest.New(b)
	file := parquet(b, w, rowsOf(0, n))
	w.Apply(b, declaration(2000, "2s", ""))
	ingest(b, w)
	b.ResetTimer()
	started := time.Now()
	for i := range b.N {
		sendFile(b, w, fileOf(i, "parquet", n), file)
		awaitRows(b, w, int64(n*(i+1)))
	}
	b.ReportMetric(float64(n*b.N)/time.Since(started).Seconds(), "rows/s")
}
