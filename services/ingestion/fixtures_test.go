package ingestion_test

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/events/client"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/services/ingestion"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/internal/hosttest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("25") // each starts a broker
	}
	goleak.VerifyTestMain(m)
}

const dataset = "trips"

// declaration has segments of maxRows rows that wait for maxAge.
func declaration(maxRows int, maxAge string, more string) string {
	return fmt.Sprintf(`
apiVersion: tidemill.dev/v1
kind: Dataset
metadata: {name: trips}
spec:
  columns:
    - {name: at, type: timestamp, eventTime: true}
    - {name: delay, type: float64, required: true, min: -10, max: 100}
    - {name: from, type: string}
  segment: {maxRows: %d, maxAge: %s}
%s`, maxRows, maxAge, more)
}

// ingest starts a process with the service.
func ingest(t testing.TB, w *hosttest.World, change ...func(*host.Host)) (stop func()) {
	t.Helper()
	h := w.Host(t)
	for _, c := range change {
		c(h)
	}
	c, err := ingestion.New(t.Context(), h)
	require.NoError(t, err)
	return w.Run(t, c)
}

// row is a good row; its delay tells rows apart.
func row(i int) []byte {
	return fmt.Appendf(nil, `{"at":"2024-05-01T%02d:%02d:%02dZ","delay":%d.5,"from":"city-%d"}`, i/3600%24, i/60%60, i%60, i%100, i%7)
}

func rowsOf(from, to int) [][]byte {
	var out [][]byte
	for i := from; i < to; i++ {
		out = append(out, row(i))
	}
	return out
}

// publish stores a message for each row, so that a row's place is its message's.
func publish(t testing.TB, w *hosttest.World, rows ...[]byte) {
	t.Helper()
	for start := 0; start < len(rows); start += client.MaxBatch {
		part := rows[start:min(start+client.MaxBatch, len(rows))]
		messages := make([]*nats.Msg, len(part))
		for i, row := range part {
			messages[i] = &nats.Msg{Subject: events.RowsSubject(dataset), Data: row, Header: nats.Header{}}
		}
		if len(messages) == 1 {
			_, err := w.JS.PublishMsg(t.Context(), messages[0])
			require.NoError(t, err)
			continue
		}
		_, err := jetstreamext.PublishMsgBatch(t.Context(), w.JS, messages)
		require.NoError(t, err)
	}
}

// send publishes one message with headers.
func send(t testing.TB, w *hosttest.World, body []byte, headers ...string) {
	t.Helper()
	m := &nats.Msg{Subject: events.RowsSubject(dataset), Data: body, Header: nats.Header{}}
	for i := 0; i < len(headers); i += 2 {
		m.Header[headers[i]] = []string{headers[i+1]}
	}
	_, err := w.JS.PublishMsg(t.Context(), m)
	require.NoError(t, err)
}

// sendFile puts a file's bytes into the store and announces it.
func sendFile(t testing.TB, w *hosttest.World, f events.RowsFile, bytes []byte) {
	t.Helper()
	if bytes != nil {
		b, err := w.Blobs.PutBytes(t.Context(), "incoming/"+events.SHA256(bytes)+"."+f.Format, bytes)
		require.NoError(t, err)
		f.File = b
	}
	text, err := events.EncodeRowsFile(dataset, time.Now(), f)
	require.NoError(t, err)
	send(t, w, text, events.HeaderContent, events.ContentType)
}

// parquet makes a Parquet file of NDJSON rows.
func parquet(t testing.TB, w *hosttest.World, rows [][]byte) []byte {
	t.Helper()
	ndjson := filepath.Join(w.Blobs.Scratch(), "rows.ndjson")
	require.NoError(t, os.WriteFile(ndjson, join(rows), 0o600))
	out := filepath.Join(w.Blobs.Scratch(), "rows.parquet")
	_, err := w.Engine.DB().ExecContext(t.Context(), "COPY (SELECT * FROM read_json("+lake.Literal(ndjson)+
		", format = 'newline_delimited', columns = {'at': 'TIMESTAMP', 'delay': 'DOUBLE', 'from': 'VARCHAR'})) TO "+lake.Literal(out)+" (FORMAT parquet)")
	require.NoError(t, err)
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	return b
}

func join(rows [][]byte) []byte {
	var out []byte
	for _, r := range rows {
		out = append(append(out, r...), '\n')
	}
	return out
}

// entries reads the whole log of the dataset.
func entries(t testing.TB, w *hosttest.World) []events.SegmentEntry {
	t.Helper()
	stream, err := w.JS.Stream(t.Context(), events.StreamSegments)
	require.NoError(t, err)
	var out []events.SegmentEntry
	last, err := stream.GetLastMsgForSubject(t.Context(), events.SegmentsSubject(dataset))
	if err != nil {
		require.ErrorIs(t, err, jetstream.ErrMsgNotFound)
		return nil
	}
	for seq := uint64(1); seq <= last.Sequence; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		require.NoError(t, err)
		var e events.SegmentEntry
		require.NoError(t, json.Unmarshal(m.Data, &e))
		out = append(out, e)
	}
	return out
}

// totals of the newest entry.
func totals(t testing.TB, w *hosttest.World) (accepted, refused int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	stream, err := w.JS.Stream(ctx, events.StreamSegments)
	require.NoError(t, err)
	m, err := stream.GetLastMsgForSubject(ctx, events.SegmentsSubject(dataset))
	if err != nil {
		return 0, 0
	}
	var e events.SegmentEntry
	require.NoError(t, json.Unmarshal(m.Data, &e))
	return e.TotalAccepted, e.TotalRefused
}

// awaitRows waits until n rows are accepted or refused.
func awaitRows(t testing.TB, w *hosttest.World, n int64) {
	t.Helper()
	hosttest.Await(t, fmt.Sprintf("%d rows in segments", n), func() bool {
		accepted, refused := totals(t, w)
		return accepted+refused >= n
	})
}

// fileOf describes the i-th file of a test.
func fileOf(i int, format string, rows int64) events.RowsFile {
	return events.RowsFile{Batch: fmt.Sprintf("batch-%d", i), Name: fmt.Sprintf("file-%d.%s", i, format), Format: format, Rows: rows}
}

// killAt starts a process that stops dead at the n-th passing of a crash point: nothing after it happens.
func killAt(t testing.TB, w *hosttest.World, point string, n int) {
	t.Helper()
	killWhen(t, w, func(p string) bool {
		if p == point {
			n--
		}
		return p == point && n == 0
	})
}

// killWhen starts a process that stops dead when die says so at a crash point.
func killWhen(t testing.TB, w *hosttest.World, die func(point string) bool) {
	t.Helper()
	h := w.Host(t)
	c, err := ingestion.New(t.Context(), h)
	require.NoError(t, err)
	life, kill := context.WithCancel(context.Background())
	t.Cleanup(kill)
	h.Crash = func(point string) {
		if die(point) {
			kill()
		}
	}
	w.Run(t, lifecycle.Func(func(ctx context.Context, ready func()) error {
		defer context.AfterFunc(ctx, kill)()
		return c.Run(life, ready)
	}))
}

// delays are the delay column of all accepted rows, in the order of the segments.
func delays(t testing.TB, w *hosttest.World) []float64 {
	t.Helper()
	var out []float64
	for _, e := range entries(t, w) {
		if e.Rows == 0 {
			continue
		}
		path, err := w.Blobs.Local(t.Context(), e.Parquet)
		require.NoError(t, err)
		n := int64(0)
		require.NoError(t, w.Engine.Scan(t.Context(), "SELECT delay FROM "+lake.ReadParquet([]string{path}), func(v []driver.Value) error {
			out, n = append(out, v[0].(float64)), n+1
			return nil
		}))
		require.Equal(t, e.Rows, n)
	}
	return out
}

// requireRows requires that exactly the rows 0 to n-1, but for some, are in segments, in order and each once, and that the log is
// without gaps.
func requireRows(t testing.TB, w *hosttest.World, n int, without map[int]bool) {
	t.Helper()
	var want []float64
	for i := range n {
		if !without[i] {
			want = append(want, float64(i%100)+0.5)
		}
	}
	require.Equal(t, want, delays(t, w))
	requireLog(t, w)
}

// requireLog requires that the log adds up.
func requireLog(t testing.TB, w *hosttest.World) {
	t.Helper()
	var before events.SegmentEntry
	for _, e := range entries(t, w) {
		require.Equal(t, before.Ordinal+1, e.Ordinal)
		require.Equal(t, before.TotalAccepted+e.Rows, e.TotalAccepted)
		require.Equal(t, before.TotalRefused+e.Quarantined, e.TotalRefused)
		require.True(t, e.Cursor.Sequence > before.Cursor.Sequence || e.Cursor.Sequence == before.Cursor.Sequence && before.Cursor.Offset > 0 &&
			(e.Cursor.Offset > before.Cursor.Offset || e.Cursor.Offset == 0), "the cursor went from %v to %v", before.Cursor, e.Cursor)
		n := int64(0)
		for _, x := range e.Reasons {
			n += x
		}
		require.Equal(t, e.Quarantined, n)
		before = e
	}
}

// refusedRows reads the quarantine of an entry.
func refusedRows(t testing.TB, w *hosttest.World, e events.SegmentEntry) []lake.Refused {
	t.Helper()
	require.NotNil(t, e.Quarantine)
	path, err := w.Blobs.Local(t.Context(), *e.Quarantine)
	require.NoError(t, err)
	refused, err := lake.ReadQuarantine(t.Context(), w.Engine, path, 0, 1000)
	require.NoError(t, err)
	return refused
}
