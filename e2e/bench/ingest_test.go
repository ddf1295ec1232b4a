package bench

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events/client"
)

const (
	ingestRows   = 100_000
	ingestRounds = 3
	batchRows    = 1000
)

// BenchmarkIngest publishes rows in atomic batches until they are in committed segments, and the same batches to a plain stream
// of the same broker that nothing reads, a message for each row: same connection, same bytes, same durability. The client puts
// many rows into a message, which a plain publisher could do, too: that figure stands beside it, without an aim.
func BenchmarkIngest(b *testing.B) {
	m := harness.Up(b, harness.Dir(b), nil)
	js := m.Broker()
	m.Apply(harness.Declared{SegmentRows: ingestRows / 4, SegmentAge: time.Minute}.DatasetYAML())
	// The plain stream is what ROWS is, under another name and without a reader.
	_, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "PLAIN", Subjects: []string{"plain.*"}, Storage: jetstream.FileStorage, AllowAtomicPublish: true})
	require.NoError(b, err)

	var whole, raw, packed, ratio []float64
	for b.Loop() {
		for range ingestRounds {
			rows := harness.VisitRows(0, ingestRows, false)
			before := m.Dataset("visits").Accepted
			began := time.Now()
			publishAll(b, rows, func(ctx context.Context, batch [][]byte) error {
				_, err := client.PublishBatch(ctx, js, "visits", batch, "")
				return err
			})
			harness.Eventually(b, time.Minute, "all rows are in segments", func() error {
				if d := m.Dataset("visits"); d.Accepted-before < ingestRows {
					return fmt.Errorf("%d of %d rows", d.Accepted-before, ingestRows)
				}
				return nil
			})
			whole = append(whole, ingestRows/time.Since(began).Seconds())
			began = time.Now()
			publishAll(b, rows, func(ctx context.Context, batch [][]byte) error { return plainBatch(ctx, js, batch) })
			raw = append(raw, ingestRows/time.Since(began).Seconds())
			ratio = append(ratio, whole[len(whole)-1]/raw[len(raw)-1])
			began = time.Now()
			publishAll(b, rows, func(ctx context.Context, batch [][]byte) error { return plainChunk(ctx, js, batch) })
			packed = append(packed, ingestRows/time.Since(began).Seconds())
		}
	}
	note(b, figure{Name: "ingest: rows to committed segments", Value: median(whole), Unit: "rows/s"})
	note(b, figure{Name: "ingest: the same batches to a plain stream", Value: median(raw), Unit: "raw-rows/s"})
	note(b, figure{Name: "ingest: a message per batch to a plain stream", Value: median(packed), Unit: "packed-rows/s"})
	note(b, figure{Name: "ingest: ratio", Value: median(ratio), Unit: "ratio", Aim: "≥ 0.7"})
}

func publishAll(b *testing.B, rows [][]byte, publish func(ctx context.Context, batch [][]byte) error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for from := 0; from < len(rows); from += batchRows {
		require.NoError(b, publish(ctx, rows[from:min(from+batchRows, len(rows))]))
	}
}

// plainChunk stores a whole batch as one message.
func plainChunk(ctx context.Context, js jetstream.JetStream, batch [][]byte) error {
	_, err := js.Publish(ctx, "plain.visits", bytes.Join(batch, []byte{'\n'}))
	return err
}

// plainBatch is the broker's own atomic batch, with nothing of ours.
func plainBatch(ctx context.Context, js jetstream.JetStream, batch [][]byte) error {
	msgs := make([]*nats.Msg, len(batch))
	for i, row := range batch {
		msgs[i] = &nats.Msg{Subject: "plain.visits", Data: row, Header: nats.Header{}}
	}
	_, err := jetstreamext.PublishMsgBatch(ctx, js, msgs, jetstreamext.BatchFlowControl{AckFirst: false})
	return err
}
