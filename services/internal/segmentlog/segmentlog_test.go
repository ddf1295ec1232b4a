package segmentlog_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/natsserver/natstest"
	"github.com/tidemill/tidemill/services/internal/segmentlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func entry(dataset string, ordinal uint64) events.SegmentEntry {
	return events.SegmentEntry{Segment: events.Segment{Dataset: dataset, Ordinal: ordinal, Rows: int64(ordinal)}}
}

func TestOneOfTwoWritersAppends(t *testing.T) {
	t.Parallel()
	js := natstest.JetStream(t)
	require.NoError(t, bus.EnsureStreams(t.Context(), js, 1))
	ctx := t.Context()
	one, err := segmentlog.Open(ctx, js, "a")
	require.NoError(t, err)
	assert.Zero(t, one.Last())
	require.NoError(t, one.Scan(ctx, 1, func(events.SegmentEntry) error { return errors.New("there is none") }))
	other, err := segmentlog.Open(ctx, js, "a")
	require.NoError(t, err)
	elsewhere, err := segmentlog.Open(ctx, js, "b")
	require.NoError(t, err)

	require.NoError(t, one.Append(ctx, entry("a", 1)))
	require.ErrorIs(t, other.Append(ctx, entry("a", 1)), segmentlog.ErrConflict)
	require.NoError(t, elsewhere.Append(ctx, entry("b", 1)))
	require.NoError(t, one.Append(ctx, entry("a", 2)))
	require.NoError(t, one.Append(ctx, entry("a", 3)))
	require.ErrorIs(t, other.Append(ctx, entry("a", 1)), segmentlog.ErrConflict)

	again, err := segmentlog.Open(ctx, js, "a")
	require.NoError(t, err)
	assert.Equal(t, entry("a", 3), again.Last())
	var seen []uint64
	require.NoError(t, again.Scan(ctx, 2, func(e events.SegmentEntry) error { seen = append(seen, e.Ordinal); return nil }))
	assert.Equal(t, []uint64{2, 3}, seen)
	enough := errors.New("enough")
	require.ErrorIs(t, again.Scan(ctx, 1, func(events.SegmentEntry) error { return enough }), enough)
	require.NoError(t, again.Append(ctx, entry("a", 4)))
}
