package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/gateway"
	"github.com/tidemill/tidemill/services/internal/hosttest"
)

const rowsPath = "/api/v1/datasets/flights/rows"
const filesPath = "/api/v1/datasets/flights/files"

func row(i int) string {
	return fmt.Sprintf(`{"date":"2001-01-01T00:00:%02dZ","delay":%d,"origin":"SFO"}`, i%60, i%100)
}

func ndjson(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		b.WriteString(row(i) + "\n")
	}
	return b.String()
}

func (p *place) publish(path string, query url.Values, contentType, body string) (api.Published, error) {
	return call.PostBody[api.Published](p.t.Context(), p.api, path, query, text(contentType, body))
}

// waiting are the messages in ROWS.
func (p *place) waiting() []jetstream.Msg {
	p.t.Helper()
	c, err := p.JS.OrderedConsumer(p.t.Context(), events.StreamRows, jetstream.OrderedConsumerConfig{})
	require.NoError(p.t, err)
	var out []jetstream.Msg
	for {
		batch, err := c.FetchNoWait(1000)
		require.NoError(p.t, err)
		n := 0
		for m := range batch.Messages() {
			out, n = append(out, m), n+1
		}
		if n == 0 {
			return out
		}
	}
}

// rows are the rows in ROWS, with those that travel together in a message.
func (p *place) rows() []string {
	p.t.Helper()
	var out []string
	for _, m := range p.waiting() {
		if m.Headers().Get(events.HeaderContent) == events.ContentNDJSON {
			out = append(out, strings.Split(string(m.Data()), "\n")...)
			continue
		}
		out = append(out, string(m.Data()))
	}
	return out
}

func TestRowsAreStoredInOrder(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	const n = 2500
	body := "\n" + ndjson(0, n) + "  \n" + row(n) // blank lines are none; the last line may lack its end
	for range 2 {
		out, err := p.publish(rowsPath, url.Values{"id": {"once"}}, "application/x-ndjson; charset=utf-8", body)
		require.NoError(t, err)
		require.EqualValues(t, n+1, out.Rows)
		require.Equal(t, "flights", out.Dataset)
	}
	stored := p.rows()
	require.Len(t, stored, n+1, "the same id is the same body")
	for i, x := range stored {
		require.Equal(t, row(i), x)
	}
	messages := p.waiting()
	require.Equal(t, events.RowsSubject("flights"), messages[0].Subject())
	require.EqualValues(t, len(messages), get[api.Dataset](p, "/api/v1/datasets/flights", nil).Waiting)
	out, err := p.publish(rowsPath, nil, "application/x-ndjson", row(1)+"\n"+row(2))
	require.NoError(t, err)
	require.EqualValues(t, len(messages)+1, out.Sequence)
}

func TestRowsAsDocumentsAndEvents(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	event := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/x","type":"t","data":%s}`, row(3))
	for _, c := range []struct{ contentType, body string }{
		{"application/json", row(0)},
		{"application/json", "[" + row(1) + ", " + row(2) + "]"},
		{"application/cloudevents+json", event},
		{"application/cloudevents-batch+json", "[" + event + "]"},
	} {
		_, err := p.publish(rowsPath, nil, c.contentType, c.body)
		require.NoError(t, err, c.body)
	}
	require.Equal(t, []string{row(0), row(1), row(2), row(3), row(3)}, p.rows())
	forged, err := events.EncodeRowsFile("flights", p.host.Clock(), events.RowsFile{Batch: "x", File: events.Blob{Key: "quarantine/x"}})
	require.NoError(t, err)
	_, err = p.publish(rowsPath, nil, "application/cloudevents+json", string(forged))
	refused(t, err, http.StatusBadRequest, "event 1")
	_, err = p.publish(rowsPath, nil, "application/json", `{"a":`)
	refused(t, err, http.StatusBadRequest, "not JSON")
	require.Len(t, p.rows(), 5)
}

func TestWrongBodiesOfRows(t *testing.T) {
	t.Parallel()
	p := open(t, func(o *gateway.Options) { o.MaxBody = 5 << 20 })
	p.apply(declarations)
	_, err := p.publish("/api/v1/datasets/flihgts/rows", nil, "application/x-ndjson", row(0))
	refused(t, err, http.StatusNotFound, `did you mean "flights"?`)
	_, err = p.publish(rowsPath, nil, "application/msword", row(0))
	refused(t, err, http.StatusUnsupportedMediaType, "application/msword", "text/csv")
	_, err = p.publish(filesPath, url.Values{"name": {"x.docx"}}, "application/octet-stream", row(0))
	refused(t, err, http.StatusUnsupportedMediaType)
	_, err = p.publish(filesPath, nil, "text/csv", strings.Repeat("x", 6<<20))
	refused(t, err, http.StatusRequestEntityTooLarge, "5242880")
	_, err = p.publish(rowsPath, nil, "application/x-ndjson", ndjson(0, 1000)+`{"origin":"`+strings.Repeat("x", 2<<20)+`"}`)
	refused(t, err, http.StatusRequestEntityTooLarge, "line 1001", "the 1000 rows before are stored", "?id=")
	require.Len(t, p.rows(), 1000)
}

// TestAFullBacklogRefuses fills ROWS; nothing may be dropped, and the answer says when to try again.
func TestAFullBacklogRefuses(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	stream, err := p.JS.Stream(t.Context(), events.StreamRows)
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	config.MaxBytes = 2000
	_, err = p.JS.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	_, err = p.publish(rowsPath, nil, "application/x-ndjson", ndjson(0, 100))
	refused(t, err, http.StatusServiceUnavailable, "backlog is full")
	resp, err := http.DefaultClient.Do(request(t, p, filesPath, "application/x-ndjson", bytes.NewReader([]byte(ndjson(0, 3)+strings.Repeat("\n", 10)))))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode, "a file takes one message")
	for resp.StatusCode == http.StatusOK {
		resp, err = http.DefaultClient.Do(request(t, p, rowsPath, "application/x-ndjson", strings.NewReader(ndjson(0, 5))))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
}

func request(t *testing.T, p *place, path, contentType string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+path, body)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", contentType)
	return req
}

const csv = "date,delay,distance,origin\n2001-01-01T00:00:00Z,3,100,\"S\n\"\"FO\"\n\n2001-01-01T00:01:00Z,4,100,LAX\n"

func TestAFileTakesItsPlaceOnce(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	first, err := p.publish(filesPath, url.Values{"name": {"january.csv"}}, "text/csv", csv)
	require.NoError(t, err)
	require.EqualValues(t, 2, first.Rows)
	require.NotEmpty(t, first.Batch)
	b := get[api.Batch](p, "/api/v1/datasets/flights/batches/"+first.Batch, nil)
	require.Equal(t, api.Batch{Batch: first.Batch, Rows: 2}, b, "a batch is known before ingestion has seen it")

	again, err := p.publish(filesPath, url.Values{"name": {"other name.csv"}}, "text/csv", csv)
	require.NoError(t, err)
	require.Equal(t, first.Batch, again.Batch, "the same bytes are the same batch")
	messages := p.waiting()
	require.Len(t, messages, 1)
	require.Equal(t, events.ContentType, messages[0].Headers().Get(events.HeaderContent))
	f, _, isFile, err := events.DecodeRowsFile(messages[0].Data())
	require.NoError(t, err)
	require.True(t, isFile)
	require.Equal(t, events.RowsFile{Batch: first.Batch, Name: "january.csv", Format: "csv", Rows: 2,
		File: events.Blob{Key: "files/" + events.SHA256([]byte(csv)) + ".csv", SHA256: events.SHA256([]byte(csv)), Bytes: int64(len(csv))}}, f)
	raw, err := p.Blobs.Get(t.Context(), f.File.Key)
	require.NoError(t, err)
	require.Equal(t, csv, string(raw))

	// Once ingestion has told of it, sending it again is answered without a message, for ever.
	p.written(1, func(s *events.SegmentWritten) { s.Batch, s.Rows, s.Quarantined, s.Quarantine = first.Batch, 1, 1, nil })
	b = get[api.Batch](p, "/api/v1/datasets/flights/batches/"+first.Batch, nil)
	require.True(t, b.Done)
	require.EqualValues(t, 1, b.Quarantined)
	for _, query := range []url.Values{{"again": {"true"}}, {"id": {"b"}}} {
		other, err := p.publish(filesPath, query, "text/csv", csv)
		require.NoError(t, err)
		require.NotEqual(t, first.Batch, other.Batch)
	}
	require.Len(t, p.waiting(), 3)
	_, err = call.Get[api.Batch](t.Context(), p.api, "/api/v1/datasets/flights/batches/"+events.DeriveID("x"), nil)
	refused(t, err, http.StatusNotFound)
	entries, err := os.ReadDir(p.Blobs.Scratch())
	require.NoError(t, err)
	require.Empty(t, entries, "uploads are left behind")
}

// written says segment.written of flights, folded.
func (p *place) written(ordinal uint64, change func(*events.SegmentWritten)) events.Fact {
	p.t.Helper()
	s := payload(p.t, events.SegmentWrittenType, func(s *events.SegmentWritten) {
		s.Ordinal, s.Release, s.Batch, s.EndsBatch, s.Cursor = ordinal, 0, "", true, events.Cursor{Sequence: ordinal}
		s.TotalAccepted, s.TotalRefused = 2000*int64(ordinal), 3*int64(ordinal)
		s.WrittenAt = p.host.Clock()
		change(s)
	})
	f := p.say(events.Fact{}, events.SegmentWrittenType, "flights", "", s)
	p.settle(f)
	return f
}

func TestRowsAsAFileHaveNoIdentity(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	one, err := p.publish(rowsPath, nil, "text/csv", csv)
	require.NoError(t, err)
	two, err := p.publish(rowsPath, nil, "text/csv", csv)
	require.NoError(t, err)
	require.NotEqual(t, one.Batch, two.Batch, "the same rows twice are twice the rows")
	three, err := p.publish(rowsPath, url.Values{"id": {"a"}}, "text/csv", csv)
	require.NoError(t, err)
	four, err := p.publish(rowsPath, url.Values{"id": {"a"}}, "text/csv", csv)
	require.NoError(t, err)
	require.Equal(t, three.Batch, four.Batch)
	require.Len(t, p.waiting(), 3)
}

func TestFilesThatCannotBeRowsAreNotStored(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	good := parquet(t, p, "SELECT now()::TIMESTAMP AS date, 1.5 AS delay, 'SFO' AS origin FROM range(500)")
	out, err := p.publish(filesPath, url.Values{"name": {"good.parquet"}}, events.ContentParquet, good)
	require.NoError(t, err)
	require.EqualValues(t, 500, out.Rows)
	cases := []struct{ name, contentType, body, says string }{
		{"cut.parquet", events.ContentParquet, good[:len(good)/2], "Parquet"},
		{"type.parquet", events.ContentParquet, parquet(t, p, "SELECT now()::TIMESTAMP AS date, 'late' AS delay"), `"delay"`},
		{"column.parquet", events.ContentParquet, parquet(t, p, "SELECT now()::TIMESTAMP AS date, 1.0 AS delay, 1 AS gate"), `"gate"`},
		{"column.csv", "text/csv", "date,delay,gate\n2001-01-01,3,1\n", `"gate"`},
		{"missing.csv", "text/csv", "date\n2001-01-01\n", `"delay"`},
		{"header.csv", "text/csv", "date,delay\n", "no rows"},
		{"empty.csv", "text/csv", "", "empty"},
		{"empty.ndjson", events.ContentNDJSON, " \n", "no rows"},
	}
	for _, c := range cases {
		_, err := p.publish(filesPath, url.Values{"name": {c.name}}, c.contentType, c.body)
		refused(t, err, http.StatusUnprocessableEntity, c.name, c.says)
	}
	require.Len(t, p.waiting(), 1)
	stored, err := p.Blobs.List(t.Context(), "files/")
	require.NoError(t, err)
	require.Len(t, stored, 1)
}

// parquet is the file that a query gives.
func parquet(t *testing.T, p *place, query string) string {
	t.Helper()
	path := filepath.Join(p.Blobs.Scratch(), "test.parquet")
	_, err := p.Engine.DB().ExecContext(context.Background(), fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet)", query, lake.Literal(path)))
	require.NoError(t, err)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	return string(b)
}

// TestACrashBeforeAFilesPlaceLosesNothing sends a file again after the process died between storing and announcing it.
func TestACrashBeforeAFilesPlaceLosesNothing(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	h := w.Host(t)
	var crashed atomic.Bool
	h.Crash = func(point string) {
		if point == gateway.CrashStored && crashed.CompareAndSwap(false, true) {
			panic(http.ErrAbortHandler)
		}
	}
	p := openOn(t, w, h)
	p.apply(declarations)
	_, err := p.publish(filesPath, nil, "text/csv", csv)
	require.Error(t, err)
	require.Empty(t, p.waiting())
	_, err = p.publish(filesPath, nil, "text/csv", csv)
	require.NoError(t, err)
	require.Len(t, p.waiting(), 1)
}

func TestWaitingCountsOneDatasetAmongOthers(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	p.apply(strings.Replace(strings.Split(declarations, "---\n")[0], "name: flights", "name: trains", 1))
	for i := range 5 {
		_, err := p.publish(rowsPath, nil, "application/json", row(i))
		require.NoError(t, err)
		_, err = p.publish("/api/v1/datasets/trains/rows", nil, "application/json", row(i))
		require.NoError(t, err)
	}
	require.EqualValues(t, 5, get[api.Dataset](p, "/api/v1/datasets/flights", nil).Waiting)
	p.written(1, func(s *events.SegmentWritten) { s.Cursor = events.Cursor{Sequence: 5} })
	require.EqualValues(t, 2, get[api.Dataset](p, "/api/v1/datasets/flights", nil).Waiting)
	p.written(2, func(s *events.SegmentWritten) { s.Cursor = events.Cursor{Sequence: 9, Offset: 3} })
	require.EqualValues(t, 1, get[api.Dataset](p, "/api/v1/datasets/flights", nil).Waiting, "what is half done waits")
	p.written(3, func(s *events.SegmentWritten) { s.Cursor = events.Cursor{Sequence: 9} })
	require.EqualValues(t, 0, get[api.Dataset](p, "/api/v1/datasets/flights", nil).Waiting)
	list := get[api.List[api.Dataset]](p, "/api/v1/datasets", nil).Items
	require.EqualValues(t, 5, list[1].Waiting)
	b, err := json.Marshal(list[0])
	require.NoError(t, err)
	require.Contains(t, string(b), `"cursor":{"sequence":9}`)
}
