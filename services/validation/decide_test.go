package validation

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/events"
)

// TestAcceptedSegmentsAddUp: whatever is accepted or quarantined, each fact holds the sums of the accepted segments before it, the
// watermark never goes back, and the chain depends on the accepted segments alone.
func TestAcceptedSegmentsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var a, alone accepted
		var rows, bytes, batches int64
		var count uint64
		var highest, watermark time.Time
		batch, taken := "", false
		for i := range rapid.IntRange(1, 30).Draw(t, "segments") {
			p := events.SegmentWritten{SegmentEntry: events.SegmentEntry{Segment: events.Segment{Dataset: "d", Ordinal: uint64(i + 1),
				Parquet: events.Blob{SHA256: fmt.Sprint(i), Bytes: rapid.Int64Range(1, 1000).Draw(t, "bytes")}, Rows: rapid.Int64Range(1, 1000).Draw(t, "rows"),
				MaxTime: time.Unix(rapid.Int64Range(0, 100_000).Draw(t, "time"), 0).UTC()}}}
			if batch == "" && rapid.Bool().Draw(t, "begins a file") {
				batch, taken = fmt.Sprint("file-", i), false
			}
			p.Batch, p.EndsBatch = batch, batch != "" && rapid.Bool().Draw(t, "ends the file")
			v := verdict{lateness: time.Duration(rapid.IntRange(0, 1000).Draw(t, "lateness")) * time.Second}
			good := rapid.Bool().Draw(t, "good")
			if !good {
				v.violations = []events.Violation{{Rule: "volume"}}
			}
			if good {
				rows, bytes, count, taken = rows+p.Rows, bytes+p.Parquet.Bytes, count+1, true
				if p.MaxTime.After(highest) {
					highest = p.MaxTime
				}
			}
			if p.EndsBatch {
				if taken {
					batches++
				}
				batch = ""
			}
			next, f, err := a.decide(p, v, time.Unix(7, 0))
			require.NoError(t, err)
			a = next
			require.Equal(t, p.Ordinal, a.Ordinal)
			if !good {
				require.Equal(t, events.SegmentQuarantinedType, f.Type)
				continue
			}
			require.Equal(t, events.SegmentAcceptedType, f.Type)
			require.Equal(t, events.SegmentStepID("d", p.Ordinal, "accepted"), f.ID)
			s, err := events.PayloadOf[events.SegmentAccepted](f)
			require.NoError(t, err)
			alone, _, err = alone.decide(p, v, time.Unix(8, 0))
			require.NoError(t, err)
			require.Equal(t, alone.Chain, s.Chain)
			require.Equal(t, []any{rows, bytes, count, batches}, []any{s.TotalRows, s.TotalBytes, s.Accepted, s.Batches})
			require.False(t, s.Watermark.Before(watermark))
			require.False(t, s.Watermark.After(highest))
			require.False(t, s.Watermark.Before(highest.Add(-v.lateness)))
			watermark = s.Watermark
		}
	})
}
