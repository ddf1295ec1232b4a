package validation_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/profile"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/internal/hosttest"
	"github.com/tidemill/tidemill/services/internal/segmentlog"
	"github.com/tidemill/tidemill/services/validation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const declaration = `
apiVersion: tidemill.dev/v1
kind: Dataset
metadata: {name: trips}
spec:
  columns:
    - {name: at, type: timestamp, eventTime: true}
    - {name: delay, type: float64}
    - {name: id, type: string}
  clock: {lateness: 10m}
  onViolation: %s
  rules:
    - {minRows: 3}
    - {column: delay, maxNulls: 0.5}
    - {column: id, minDistinct: 0.5, warn: true}
    - {column: delay, maxDistinct: 20, warn: true}
    - {maxRefused: 0.5}
    - {maxDelay: 1h}
`

var noon = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func validate(t testing.TB, w *hosttest.World, change ...func(*host.Host)) (stop func()) {
	t.Helper()
	h := w.Host(t)
	for _, c := range change {
		c(h)
	}
	c, err := validation.New(t.Context(), h)
	require.NoError(t, err)
	return w.Run(t, c)
}

// written makes a segment as ingestion does, of rows one minute apart from at on; null makes all delays null.
func written(t testing.TB, w *hosttest.World, ordinal uint64, at time.Time, n int, null bool) events.SegmentWritten {
	t.Helper()
	list, err := resource.Parse(fmt.Appendf(nil, declaration, "quarantine"), "test.yaml")
	require.NoError(t, err)
	c, err := rows.Compile(list[0].Dataset)
	require.NoError(t, err)
	sw, r := lake.NewSegmentWriter(w.Engine, w.Blobs, c), c.NewRow()
	for i := range n {
		delay := fmt.Sprint(ordinal * uint64(i))
		if null {
			delay = "null"
		}
		bad := c.JSON(fmt.Appendf(nil, `{"at":%q,"delay":%s,"id":"%d-%d"}`, at.Add(time.Duration(i)*time.Minute).Format(time.RFC3339), delay, ordinal, i), noon, r)
		require.Nil(t, bad)
		sw.Append(r)
	}
	file, err := sw.Write(t.Context())
	require.NoError(t, err)
	return events.SegmentWritten{SegmentEntry: events.SegmentEntry{Segment: events.Segment{Dataset: "trips", Ordinal: ordinal, Parquet: file.Parquet, Rows: file.Rows,
		MinTime: file.MinTime, MaxTime: file.MaxTime}, SchemaRevision: 1, WrittenAt: noon}}
}

func said(t testing.TB, w *hosttest.World) (accepted []events.SegmentAccepted, quarantined []events.SegmentQuarantined) {
	t.Helper()
	return hosttest.Payloads[events.SegmentAccepted](t, w, events.SegmentAcceptedType, "trips"),
		hosttest.Payloads[events.SegmentQuarantined](t, w, events.SegmentQuarantinedType, "trips")
}

func await(t testing.TB, w *hosttest.World, accepted, quarantined int) {
	t.Helper()
	hosttest.Await(t, fmt.Sprintf("%d accepted, %d quarantined", accepted, quarantined), func() bool {
		a, q := said(t, w)
		return len(a) >= accepted && len(q) >= quarantined
	})
}

func TestSegmentsAreAcceptedOrQuarantined(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, fmt.Sprintf(declaration, "quarantine"))
	validate(t, w)
	say := func(p events.SegmentWritten) { w.Say(t, events.SegmentWrittenType, "trips", p) }

	one := written(t, w, 1, noon.Add(-30*time.Minute), 10, false)
	one.Batch = "a.csv"
	two := written(t, w, 2, noon.Add(-50*time.Minute), 5, false) // late rows: the watermark stays
	two.Quarantined, two.Batch, two.EndsBatch = 5, "a.csv", true
	nulls := written(t, w, 3, noon.Add(-10*time.Minute), 4, true)
	nulls.Quarantined, nulls.Batch, nulls.EndsBatch = 9, "b.csv", true
	empty := events.SegmentWritten{SegmentEntry: events.SegmentEntry{Segment: events.Segment{Dataset: "trips", Ordinal: 4}, SchemaRevision: 1,
		WrittenAt: noon, Quarantined: 2, Reasons: map[string]int64{"malformed": 2}}}
	stale := written(t, w, 5, noon.Add(-3*time.Hour), 5, false)
	six := written(t, w, 6, noon.Add(-5*time.Minute), 3, false)
	for _, p := range []events.SegmentWritten{one, two, nulls, empty, stale, six} {
		say(p)
	}
	await(t, w, 3, 3)
	accepted, quarantined := said(t, w)

	chain := events.NextChain("", one.Parquet.SHA256)
	a := accepted[0]
	assert.Equal(t, one.Segment, a.Segment)
	assert.Equal(t, noon.Add(-21*time.Minute).Add(-10*time.Minute), a.Watermark)
	assert.Equal(t, []any{int64(10), one.Parquet.Bytes, uint64(1), int64(0), chain}, []any{a.TotalRows, a.TotalBytes, a.Accepted, a.Batches, a.Chain})
	text, err := w.Blobs.Get(t.Context(), a.Profile.Key)
	require.NoError(t, err)
	assert.Equal(t, "profiles/"+one.Parquet.SHA256+".json", a.Profile.Key)
	assert.Equal(t, events.SHA256(text), a.Profile.SHA256)
	p, err := profile.Decode(text)
	require.NoError(t, err)
	assert.EqualValues(t, 10, p.Rows)

	chain = events.NextChain(chain, two.Parquet.SHA256)
	a = accepted[1]
	assert.Equal(t, accepted[0].Watermark, a.Watermark)
	assert.Equal(t, []any{int64(15), one.Parquet.Bytes + two.Parquet.Bytes, uint64(2), int64(1), chain}, []any{a.TotalRows, a.TotalBytes, a.Accepted, a.Batches, a.Chain})

	chain = events.NextChain(chain, six.Parquet.SHA256)
	a = accepted[2]
	assert.Equal(t, []any{int64(18), uint64(3), int64(1), chain}, []any{a.TotalRows, a.Accepted, a.Batches, a.Chain}, "what is quarantined adds nothing, nor does its file")
	assert.True(t, a.Watermark.After(accepted[1].Watermark))

	q := quarantined[0]
	assert.Equal(t, nulls.Segment, q.Segment)
	require.Len(t, q.Violations, 2)
	assert.Equal(t, []string{"nulls", "refused"}, []string{q.Violations[0].Rule, q.Violations[1].Rule})
	require.Len(t, quarantined[1].Violations, 1)
	assert.Equal(t, "no row was accepted; 2 rows were refused (2 malformed)", quarantined[1].Violations[0].Message)
	require.Len(t, quarantined[2].Violations, 1)
	assert.Equal(t, "freshness", quarantined[2].Violations[0].Rule)
}

func TestWarnAcceptsWithWarnings(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, fmt.Sprintf(declaration, "warn"))
	validate(t, w)
	w.Say(t, events.SegmentWrittenType, "trips", written(t, w, 1, noon.Add(-30*time.Minute), 4, true))
	await(t, w, 1, 0)
	accepted, quarantined := said(t, w)
	assert.Empty(t, quarantined)
	require.Len(t, accepted[0].Warnings, 1)
	assert.Equal(t, "nulls", accepted[0].Warnings[0].Rule)
}

func TestASegmentIsDecidedOnce(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, fmt.Sprintf(declaration, "quarantine"))
	validate(t, w)
	one, two := written(t, w, 1, noon.Add(-30*time.Minute), 10, false), written(t, w, 2, noon.Add(-20*time.Minute), 10, false)
	for _, p := range []events.SegmentWritten{one, one, two, one, two} { // facts of other ids, as if the broker's memory had ended
		w.Say(t, events.SegmentWrittenType, "trips", p)
	}
	three := written(t, w, 3, noon.Add(-10*time.Minute), 10, false)
	w.Say(t, events.SegmentWrittenType, "trips", three)
	await(t, w, 3, 0)
	accepted, _ := said(t, w)
	require.Len(t, accepted, 3)
	assert.EqualValues(t, 30, accepted[2].TotalRows)
}

func TestAGapIsFilledFromTheLog(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, fmt.Sprintf(declaration, "quarantine"))
	log, err := segmentlog.Open(t.Context(), w.JS, "trips")
	require.NoError(t, err)
	var last events.SegmentWritten
	for i := range uint64(4) {
		last = written(t, w, i+1, noon.Add(-30*time.Minute), 10, false)
		require.NoError(t, log.Append(t.Context(), last.SegmentEntry))
	}
	validate(t, w)
	f := w.Say(t, events.SegmentWrittenType, "trips", last)
	await(t, w, 4, 0)
	for i, a := range w.Said(t, events.SegmentAcceptedType, "trips") {
		p, err := events.PayloadOf[events.SegmentAccepted](a)
		require.NoError(t, err)
		assert.EqualValues(t, i+1, p.Ordinal)
		assert.Equal(t, f.ID, a.CausationID)
	}
}

func TestASegmentWithoutPredecessorBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, fmt.Sprintf(declaration, "quarantine"))
	validate(t, w)
	w.Say(t, events.SegmentWrittenType, "trips", written(t, w, 2, noon.Add(-30*time.Minute), 10, false))
	dead := bus.NewDead(w.JS)
	hosttest.Await(t, "a dead letter", func() bool {
		letters, err := dead.List(t.Context(), validation.Name)
		return err == nil && len(letters) == 1
	})
	accepted, quarantined := said(t, w)
	assert.Empty(t, accepted)
	assert.Empty(t, quarantined)
}

// TestDistinctValues are counted exactly, of numbers as of strings.
func TestDistinctValues(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, fmt.Sprintf(declaration, "quarantine"))
	validate(t, w)
	for i, n := range []int{20, 21, 1200} {
		p := written(t, w, uint64(i+1), noon.Add(-21*time.Hour), n, false)
		p.WrittenAt = p.MaxTime
		w.Say(t, events.SegmentWrittenType, "trips", p)
	}
	await(t, w, 3, 0)
	accepted, _ := said(t, w)
	assert.Empty(t, accepted[0].Warnings)
	for i, n := range []int{21, 1200} {
		require.Len(t, accepted[i+1].Warnings, 1, "every id is distinct")
		assert.Equal(t, fmt.Sprintf("delay has %d distinct values; at most 20 are allowed", n), accepted[i+1].Warnings[0].Message)
	}
}

// TestTakeover stops one of two instances again and again, in the middle of its work.
func TestTakeover(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, fmt.Sprintf(declaration, "quarantine"))
	const n = 12
	var segments []events.SegmentWritten
	for i := range uint64(n) {
		segments = append(segments, written(t, w, i+1, noon.Add(-30*time.Minute), 5, false))
	}
	for _, p := range segments {
		w.Say(t, events.SegmentWrittenType, "trips", p)
	}
	var passed atomic.Int64
	reached := make(chan struct{}, 2*n)
	hook := func(h *host.Host) {
		h.Crash = func(point string) {
			if point == validation.CrashProfiled || point == "state.validation.decided" || point == "state.validation.said" {
				if passed.Add(1)%4 == 0 {
					reached <- struct{}{}
				}
			}
		}
	}
	validate(t, w, hook) // the one that is never stopped
	for range 3 {
		stop := validate(t, w, hook)
		select {
		case <-reached:
		case <-time.After(hosttest.Patience):
			require.Fail(t, "nothing is decided")
		}
		stop()
	}
	await(t, w, n, 0)
	accepted, _ := said(t, w)
	chain := ""
	for i, a := range accepted {
		assert.EqualValues(t, i+1, a.Ordinal)
		chain = events.NextChain(chain, segments[i].Parquet.SHA256)
		assert.Equal(t, chain, a.Chain)
	}
	assert.Len(t, accepted, n)
}

// BenchmarkReaction measures the time from a segment.written of 100 rows to its segment.accepted.
func BenchmarkReaction(b *testing.B) {
	w := hosttest.New(b)
	w.Apply(b, fmt.Sprintf(declaration, "warn"))
	validate(b, w)
	segments := make([]events.SegmentWritten, b.N)
	for i := range segments {
		segments[i] = written(b, w, uint64(i+1), noon.Add(-3*time.Hour), 100, false)
	}
	heard := make(chan uint64, 1)
	w.Run(b, lifecycle.Func(func(ctx context.Context, ready func()) error {
		ready()
		return w.Ledger.Follow(ctx, bus.FollowOptions{Subjects: []string{events.FactSubject(events.SegmentAcceptedType, "trips")}}, func(f events.Fact) error {
			p, err := events.PayloadOf[events.SegmentAccepted](f)
			heard <- p.Ordinal
			return err
		})
	}))
	b.ResetTimer()
	for i := range segments {
		w.Say(b, events.SegmentWrittenType, "trips", segments[i])
		require.Equal(b, uint64(i+1), <-heard)
	}
}
