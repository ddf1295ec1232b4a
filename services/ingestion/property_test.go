package ingestion_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/ingestion"
	"github.com/tidemill/tidemill/services/internal/hosttest"
)

// mix is what a producer sends: the rows in order, and what should become of them.
type mix struct {
	sends   []func(t testing.TB, w *hosttest.World)
	rows    int
	bad     map[int]bool
	reasons map[string]int64
	ends    map[string]int
}

var badRows = map[string]string{
	"malformed": `{"at":"2024-05-01T00:00:00Z","delay":}`, "missing": `{"at":"2024-05-01T00:00:00Z"}`,
	"aboveMax": `{"at":"2024-05-01T00:00:00Z","delay":1e3}`, "future": `{"at":"2199-05-01T00:00:00Z","delay":1}`,
	"unknownColumn": `{"at":"2024-05-01T00:00:00Z","delay":1,"x":1}`,
}

func (m *mix) draw(rt *rapid.T) {
	m.bad, m.reasons, m.ends = map[int]bool{}, map[string]int64{}, map[string]int{}
	for i := range rapid.IntRange(1, 8).Draw(rt, "messages") {
		n := rapid.IntRange(1, 40).Draw(rt, "rows")
		var list [][]byte
		for range n {
			if kind := rapid.SampledFrom([]string{"", "", "", "malformed", "missing", "aboveMax", "future", "unknownColumn"}).Draw(rt, "row"); kind != "" {
				m.bad[m.rows] = true
				m.reasons[kind]++
				list = append(list, []byte(badRows[kind]))
			} else {
				list = append(list, row(m.rows))
			}
			m.rows++
		}
		switch rapid.SampledFrom([]string{"rows", "chunk", "file"}).Draw(rt, "message") {
		case "rows":
			m.sends = append(m.sends, func(t testing.TB, w *hosttest.World) { publish(t, w, list...) })
		case "chunk":
			m.sends = append(m.sends, func(t testing.TB, w *hosttest.World) {
				send(t, w, join(list), events.HeaderContent, events.ContentNDJSON)
			})
		case "file":
			f := fileOf(i, "ndjson", int64(n))
			m.ends[f.Batch] = 1
			m.sends = append(m.sends, func(t testing.TB, w *hosttest.World) { sendFile(t, w, f, join(list)) })
		}
	}
}

// TestExactlyOnce sends random mixes to processes that are killed at random points: every row is accepted or refused once and in
// its place, and each segment is said once.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := &mix{}
		m.draw(rt)
		maxRows := rapid.IntRange(1, 60).Draw(rt, "maxRows")
		deaths := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) death {
			return death{rapid.SampledFrom([]string{ingestion.CrashParquet, ingestion.CrashEntry}).Draw(rt, "point"), rapid.IntRange(1, 4).Draw(rt, "after")}
		}), 0, 4).Draw(rt, "deaths")
		t.Run("", func(t *testing.T) { m.check(t, maxRows, deaths) })
		if t.Failed() {
			rt.Fatal("see above")
		}
	})
}

type death struct {
	point string
	after int
}

func (m *mix) check(t *testing.T, maxRows int, deaths []death) {
	w := hosttest.New(t)
	w.Apply(t, declaration(maxRows, "30ms", ""))
	for _, d := range deaths {
		killAt(t, w, d.point, d.after)
	}
	for _, send := range m.sends {
		send(t, w)
	}
	ingest(t, w)
	awaitRows(t, w, int64(m.rows))
	requireRows(t, w, m.rows, m.bad)
	reasons, ends := map[string]int64{}, map[string]int{}
	for _, e := range entries(t, w) {
		for reason, n := range e.Reasons {
			reasons[reason] += n
		}
		if e.EndsBatch {
			ends[e.Batch]++
		}
	}
	require.Equal(t, m.reasons, reasons)
	require.Equal(t, m.ends, ends)
	hosttest.Await(t, "every segment is said", func() bool { return len(w.Said(t, events.SegmentWrittenType, dataset)) >= len(entries(t, w)) })
	for i, f := range w.Said(t, events.SegmentWrittenType, dataset) {
		require.Equal(t, events.SegmentStepID(dataset, uint64(i+1), "written"), f.ID, fmt.Sprint(i))
	}
}
