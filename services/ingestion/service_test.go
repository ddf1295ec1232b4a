package ingestion_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/natsserver"
	"github.com/tidemill/tidemill/services/ingestion"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/internal/hosttest"
	"github.com/tidemill/tidemill/services/internal/segmentlog"
)

func TestRowsBecomeSegments(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, declaration(100, "50ms", ""))
	ingest(t, w)
	publish(t, w, rowsOf(0, 250)...)
	awaitRows(t, w, 250)
	log := entries(t, w)
	require.Len(t, log, 3)
	for i, rows := range []int64{100, 100, 50} {
		e := log[i]
		assert.EqualValues(t, i+1, e.Ordinal)
		assert.Equal(t, rows, e.Rows)
		assert.EqualValues(t, 1, e.SchemaRevision)
		assert.Equal(t, events.Cursor{Sequence: uint64(min(100*(i+1), 250))}, e.Cursor)
	}
	hosttest.Await(t, "every segment is said", func() bool { return len(w.Said(t, events.SegmentWrittenType, dataset)) == 3 })
	for i, p := range hosttest.Payloads[events.SegmentWritten](t, w, events.SegmentWrittenType, dataset) {
		assert.Equal(t, log[i], p.SegmentEntry)
	}
	requireRows(t, w, 250, nil)
}

func TestAnIdleSegmentEndsByAge(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, declaration(1000, "100ms", ""))
	ingest(t, w)
	publish(t, w, row(0))
	awaitRows(t, w, 1)
	publish(t, w, []byte("nothing"))
	awaitRows(t, w, 2)
	log := entries(t, w)
	require.Len(t, log, 2)
	assert.Zero(t, log[1].Rows, "a segment of refused rows alone")
	assert.Empty(t, log[1].Parquet)
	assert.Zero(t, log[1].MaxTime)
	assert.EqualValues(t, 1, log[1].Quarantined)
}

// TestWhatARowMayBe sends each message alone and looks at what became of it.
func TestWhatARowMayBe(t *testing.T) {
	t.Parallel()
	good := string(row(7))
	event := `{"specversion":"1.0","id":"1","source":"/s","type":"trip","datacontenttype":"application/json","data":` + good + `}`
	encoded := `{"specversion":"1.0","id":"1","source":"/s","type":"trip","data_base64":"eyJhdCI6IjIwMjQtMDUtMDFUMDA6MDA6MDdaIiwiZGVsYXkiOjcuNX0="}`
	w := hosttest.New(t)
	w.Apply(t, declaration(1000, "1ms", ""))
	ingest(t, w)
	tomorrow := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	accepted, refused := int64(0), int64(0)
	for name, c := range map[string]struct {
		body    string
		headers []string
		rows    int64
		reasons map[string]int64
	}{
		"bare":                      {body: good, rows: 1},
		"json":                      {body: good, headers: []string{"Content-Type", "application/json; charset=utf-8"}, rows: 1},
		"structured event":          {body: event, headers: []string{"Content-Type", "application/cloudevents+json"}, rows: 1},
		"structured event, odd":     {body: event, headers: []string{"content-type", "Application/CloudEvents+JSON; charset=UTF-8"}, rows: 1},
		"structured event, base64":  {body: encoded, headers: []string{"Content-Type", "application/cloudevents+json"}, rows: 1},
		"structured event, untyped": {body: event, rows: 1},
		"binary event": {body: good, headers: []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "trip",
			"Content-Type", "application/json"}, rows: 1},
		"event about a file type": {body: strings.Replace(event, "trip", "my.rows.file.v1", 1), headers: []string{"Content-Type", "application/cloudevents+json"}, rows: 1},
		"chunk":                   {body: good + "\n\n" + good + "\r\n" + good, headers: []string{"Content-Type", "application/x-ndjson"}, rows: 3},
		"chunk with a bad line": {body: good + "\n{\n" + good + "\n", headers: []string{"Content-Type", "application/x-ndjson"}, rows: 2,
			reasons: map[string]int64{"malformed": 1}},
		"malformed":       {body: `{"at":`, reasons: map[string]int64{"malformed": 1}},
		"nothing":         {body: ``, reasons: map[string]int64{"malformed": 1}},
		"a list":          {body: `[` + good + `]`, reasons: map[string]int64{"malformed": 1}},
		"unknown column":  {body: strings.Replace(good, "from", "form", 1), reasons: map[string]int64{"unknownColumn": 1}},
		"wrong type":      {body: strings.Replace(good, "7.5", `"x"`, 1), reasons: map[string]int64{"wrongType": 1}},
		"missing":         {body: strings.Replace(good, "7.5", `null`, 1), reasons: map[string]int64{"missing": 1}},
		"below":           {body: strings.Replace(good, "7.5", `-11`, 1), reasons: map[string]int64{"belowMin": 1}},
		"above":           {body: strings.Replace(good, "7.5", `101`, 1), reasons: map[string]int64{"aboveMax": 1}},
		"of 2099":         {body: strings.Replace(good, "2024", `2099`, 1), reasons: map[string]int64{"future": 1}},
		"of tomorrow":     {body: `{"at":"` + tomorrow + `","delay":1}`, reasons: map[string]int64{"future": 1}},
		"no UTF-8":        {body: strings.Replace(good, "city", "\xff\xfe", 1), reasons: map[string]int64{"malformed": 1}},
		"bare CSV":        {body: "a,b\n1,2", headers: []string{"Content-Type", "text/csv"}, reasons: map[string]int64{"malformed": 1}},
		"event, no event": {body: `{"rows.file.v1":`, headers: []string{"Content-Type", "application/cloudevents+json"}, reasons: map[string]int64{"malformed": 1}},
		"event, no file": {body: `{"specversion":"1.0","id":"1","source":"/s","type":"dev.tidemill.rows.file.v1","data":7}`,
			headers: []string{"Content-Type", "application/cloudevents+json"}, reasons: map[string]int64{"malformed": 1}},
	} {
		send(t, w, []byte(c.body), c.headers...)
		accepted += c.rows
		refused += sum(c.reasons)
		awaitRows(t, w, accepted+refused)
		log := entries(t, w)
		last := log[len(log)-1]
		assert.Equal(t, c.rows, last.Rows, name)
		assert.Equal(t, c.reasons, last.Reasons, name)
		assert.Equal(t, sum(c.reasons), last.Quarantined, name)
		assert.Equal(t, c.reasons == nil, last.Quarantine == nil, name)
		a, r := totals(t, w)
		require.Equal(t, []int64{accepted, refused}, []int64{a, r}, name)
	}
}

func sum(reasons map[string]int64) (n int64) {
	for _, x := range reasons {
		n += x
	}
	return n
}

func TestRefusedRowsCanBeRead(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, declaration(1000, "300ms", ""))
	ingest(t, w)
	publish(t, w, row(0), []byte(`{"at":"2024-05-01T00:00:00Z","delay":500}`))
	send(t, w, []byte("{}\n"+string(row(1))+"\nnonsense"), events.HeaderContent, events.ContentNDJSON)
	awaitRows(t, w, 5)
	e := entries(t, w)[0]
	refused := refusedRows(t, w, e)
	require.Len(t, refused, 3)
	assert.Equal(t, `{"at":"2024-05-01T00:00:00Z","delay":500}`, refused[0].Raw)
	assert.Equal(t, "500 is above the maximum 100", refused[0].Refusal.Detail)
	assert.Equal(t, []uint64{2, 3, 3}, []uint64{refused[0].Sequence, refused[1].Sequence, refused[2].Sequence})
	assert.Equal(t, []int64{0, 0, 2}, []int64{refused[0].Offset, refused[1].Offset, refused[2].Offset})
}

func TestWarnKeepsValueViolations(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, declaration(1000, "200ms", "  onViolation: warn"))
	registry := prometheus.NewRegistry()
	ingest(t, w, func(h *host.Host) { h.Metrics = registry })
	publish(t, w, row(0), []byte(`{"at":"2024-05-01T00:00:00Z","delay":500}`), []byte(`{"at":"2024-05-01T00:00:00Z"}`))
	awaitRows(t, w, 3)
	accepted, refused := totals(t, w)
	assert.EqualValues(t, []int64{2, 1}, []int64{accepted, refused})
	hosttest.Await(t, "metrics", func() bool {
		n, err := testutil.GatherAndCount(registry, "tidemill_segments_written_total")
		return err == nil && n == 1
	})
	assert.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP tidemill_rows_accepted_total Rows in committed segments.
# TYPE tidemill_rows_accepted_total counter
tidemill_rows_accepted_total{dataset="trips"} 2
# HELP tidemill_rows_quarantined_total Rows that the row contract refused, by reason.
# TYPE tidemill_rows_quarantined_total counter
tidemill_rows_quarantined_total{dataset="trips",reason="missing"} 1
# HELP tidemill_rows_warned_total Values that broke the row contract and were let pass, by reason.
# TYPE tidemill_rows_warned_total counter
tidemill_rows_warned_total{dataset="trips",reason="aboveMax"} 1
`), "tidemill_rows_accepted_total", "tidemill_rows_quarantined_total", "tidemill_rows_warned_total"))
}

func TestASegmentEndsWithTheRevision(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, declaration(1000, "1h", ""))
	h := w.Host(t)
	c, err := ingestion.New(t.Context(), h)
	require.NoError(t, err)
	w.Run(t, c)
	publish(t, w, rowsOf(0, 10)...)
	hosttest.Await(t, "the rows are read", func() bool { return delivered(t, w) == 10 })
	w.Apply(t, declaration(15, "200ms", ""))
	hosttest.Await(t, "the new revision", func() bool { d, ok := h.Catalog.Dataset(dataset); return ok && d.Revision == 2 })
	publish(t, w, rowsOf(10, 30)...)
	awaitRows(t, w, 30)
	log := entries(t, w)
	require.Len(t, log, 3)
	assert.Equal(t, []int64{10, 15, 5}, []int64{log[0].Rows, log[1].Rows, log[2].Rows})
	assert.Equal(t, []uint64{1, 2, 2}, []uint64{log[0].SchemaRevision, log[1].SchemaRevision, log[2].SchemaRevision})
}

// delivered is how many messages of ROWS its consumers have been given.
func delivered(t *testing.T, w *hosttest.World) uint64 {
	t.Helper()
	stream, err := w.JS.Stream(t.Context(), events.StreamRows)
	require.NoError(t, err)
	n := uint64(0)
	for info := range stream.ListConsumers(t.Context()).Info() {
		n += info.Delivered.Consumer
	}
	return n
}

func TestDatasetsComeAndGo(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	ingest(t, w)
	publish(t, w, rowsOf(0, 10)...) // before anybody has declared them
	w.Apply(t, declaration(10, "100ms", ""))
	awaitRows(t, w, 10)
	w.Say(t, events.ResourceDeletedType, dataset, events.ResourceDeleted{Kind: resource.KindDataset, Name: dataset, Revision: 2})
	stream, err := w.JS.Stream(t.Context(), events.StreamRows)
	require.NoError(t, err)
	hosttest.Await(t, "nobody reads the rows", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Consumers == 0
	})
	publish(t, w, rowsOf(10, 20)...)
	w.Apply(t, declaration(10, "100ms", ""))
	awaitRows(t, w, 20)
	requireRows(t, w, 20, nil)
}

func TestRowsAreSaidThatADeadProcessWrote(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, declaration(10, "1h", ""))
	killAt(t, w, ingestion.CrashEntry, 1)
	publish(t, w, rowsOf(0, 20)...)
	awaitRows(t, w, 10)
	hosttest.Await(t, "the process is dead", func() bool { return consumers(t, w) == 0 })
	assert.Empty(t, w.Said(t, events.SegmentWrittenType, dataset))
	ingest(t, w)
	hosttest.Await(t, "both facts", func() bool { return len(w.Said(t, events.SegmentWrittenType, dataset)) == 2 })
	for i, f := range w.Said(t, events.SegmentWrittenType, dataset) {
		assert.Equal(t, events.SegmentStepID(dataset, uint64(i+1), "written"), f.ID)
	}
}

func consumers(t *testing.T, w *hosttest.World) int {
	t.Helper()
	stream, err := w.JS.Stream(t.Context(), events.StreamRows)
	require.NoError(t, err)
	return stream.CachedInfo().State.Consumers
}

func TestRowsInSegmentsArePurged(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, declaration(10, "1h", ""))
	_, err := w.JS.Publish(t.Context(), events.RowsSubject("other"), []byte("{}"))
	require.NoError(t, err)
	publish(t, w, rowsOf(0, 205)...)
	ingest(t, w)
	stream, err := w.JS.Stream(t.Context(), events.StreamRows)
	require.NoError(t, err)
	hosttest.Await(t, "the rows of 19 or 20 segments are gone", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs <= 206-190
	})
	_, err = stream.GetLastMsgForSubject(t.Context(), events.RowsSubject("other"))
	require.NoError(t, err, "rows of another dataset stay")
	publish(t, w, rowsOf(205, 210)...)
	awaitRows(t, w, 210)
	requireRows(t, w, 210, nil)
}

// TestLargeMessages are near the broker's limit, many at a time.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, declaration(50_000, "1s", ""))
	chunk := join(rowsOf(0, 1000))
	chunk = bytes.Repeat(chunk, natsserver.MaxPayload/2/len(chunk))
	n := int64(bytes.Count(chunk, []byte("\n")))
	for range 8 {
		send(t, w, chunk, events.HeaderContent, events.ContentNDJSON)
	}
	ingest(t, w)
	awaitRows(t, w, 8*n)
	accepted, refused := totals(t, w)
	assert.Equal(t, []int64{8 * n, 0}, []int64{accepted, refused})
}

func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, declaration(7, "50ms", ""))
	stop := ingest(t, w)
	const parts, each = 6, 50
	for i := range parts {
		publish(t, w, rowsOf(i*each, (i+1)*each)...)
		next := ingest(t, w) // waits for the lease
		stop()
		stop = next
	}
	awaitRows(t, w, parts*each)
	requireRows(t, w, parts*each, nil)
}

func TestAnUnknownOwnerOfTheLogIsNoticed(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, declaration(10, "1h", ""))
	ingest(t, w)
	publish(t, w, rowsOf(0, 15)...)
	awaitRows(t, w, 10)
	// What a process does that was only thought dead: it commits the five rows that this one holds in its open segment.
	log := entries(t, w)
	other, err := segmentlog.Open(t.Context(), w.JS, dataset)
	require.NoError(t, err)
	e := log[0]
	e.Ordinal, e.Cursor, e.Rows, e.TotalAccepted = 2, events.Cursor{Sequence: 15}, 5, 15
	require.NoError(t, other.Append(t.Context(), e))
	publish(t, w, rowsOf(15, 25)...)
	awaitRows(t, w, 25)
	log = entries(t, w)
	require.Len(t, log, 3)
	assert.EqualValues(t, 10, log[2].Rows)
	assert.EqualValues(t, 25, log[2].Cursor.Sequence)
}

// TestAnUnfinishedMessageIsNotPurged kills a process after it has purged rows in the middle of a chunk.
func TestAnUnfinishedMessageIsNotPurged(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, declaration(10, "50ms", ""))
	publish(t, w, rowsOf(0, 10)...)
	send(t, w, join(rowsOf(10, 300)), events.HeaderContent, events.ContentNDJSON)
	killAt(t, w, ingestion.CrashParquet, 25)
	awaitRows(t, w, 240)
	stream, err := w.JS.Stream(t.Context(), events.StreamRows)
	require.NoError(t, err)
	require.EqualValues(t, 11, stream.CachedInfo().State.FirstSeq, "the rows before it are purged")
	ingest(t, w)
	awaitRows(t, w, 300)
	requireRows(t, w, 300, nil)
}
