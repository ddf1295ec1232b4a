package ingestion_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/hosttest"
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
}
