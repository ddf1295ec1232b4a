package ingestion_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/ingestion"
	"github.com/tidemill/tidemill/services/internal/hosttest"
)

// chain identifies the accepted segments of the log as validation does.
func chain(t *testing.T, w *hosttest.World) (chain string, bounds []int64) {
	t.Helper()
	for _, e := range entries(t, w) {
		if e.Rows > 0 {
			chain = events.NextChain(chain, e.Parquet.SHA256)
			bounds = append(bounds, e.Rows)
		}
	}
	return chain, bounds
}

func csv(rows [][]byte) []byte {
	out := "at,delay,from\n"
	for _, r := range rows {
		line := strings.NewReplacer(`{"at":"`, "", `","delay":`, ",", `,"from":"`, ",", `"}`, "").Replace(string(r))
		out += line + "\n"
	}
	return []byte(out)
}

// TestOnePath sends the same rows one by one, in chunks and as files of every format: the same segments come out.
func TestOnePath(t *testing.T) {
	t.Parallel()
	const n = 1050
	rows := rowsOf(0, n)
	chains := map[string]string{}
	for name, put := range map[string]func(w *hosttest.World){
		"rows": func(w *hosttest.World) { publish(t, w, rows...) },
		"chunks": func(w *hosttest.World) {
			for i := 0; i < n; i += 70 {
				send(t, w, join(rows[i:i+70]), events.HeaderContent, events.ContentNDJSON)
			}
		},
		"parquet": func(w *hosttest.World) { sendFile(t, w, fileOf(0, "parquet", n), parquet(t, w, rows)) },
		"csv":     func(w *hosttest.World) { sendFile(t, w, fileOf(0, "csv", -1), csv(rows)) },
		"ndjson":  func(w *hosttest.World) { sendFile(t, w, fileOf(0, "ndjson", -1), join(rows)) },
	} {
		w := hosttest.New(t)
		w.Apply(t, declaration(100, "400ms", ""))
		put(w)
		ingest(t, w)
		awaitRows(t, w, n)
		c, bounds := chain(t, w)
		assert.Equal(t, []int64{100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 50}, bounds, name)
		chains[name] = events.SnapshotID(c, events.Window{})
	}
	for name, id := range chains {
		assert.Equal(t, chains["rows"], id, name)
	}
}

func TestAFileHasItsOwnSegments(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, declaration(20, "300ms", ""))
	publish(t, w, rowsOf(0, 5)...)
	sendFile(t, w, fileOf(1, "ndjson", 40), join(rowsOf(5, 45)))
	sendFile(t, w, fileOf(2, "ndjson", 25), join(rowsOf(45, 70)))
	sendFile(t, w, fileOf(3, "ndjson", 0), []byte("\n"))
	publish(t, w, rowsOf(70, 73)...)
	sendFile(t, w, fileOf(1, "ndjson", 40), join(rowsOf(5, 45))) // again: a batch is one
	publish(t, w, rowsOf(73, 75)...)
	ingest(t, w)
	awaitRows(t, w, 75)
	type part struct {
		rows   int64
		batch  string
		ends   bool
		cursor events.Cursor
	}
	var got []part
	for _, e := range entries(t, w) {
		got = append(got, part{e.Rows, e.Batch, e.EndsBatch, e.Cursor})
	}
	assert.Equal(t, []part{
		{5, "", false, events.Cursor{Sequence: 5}},
		{20, "batch-1", false, events.Cursor{Sequence: 6, Offset: 20}},
		{20, "batch-1", true, events.Cursor{Sequence: 6}},
		{20, "batch-2", false, events.Cursor{Sequence: 7, Offset: 20}},
		{5, "batch-2", true, events.Cursor{Sequence: 7}},
		{0, "batch-3", true, events.Cursor{Sequence: 8}},
		{3, "", false, events.Cursor{Sequence: 11}},
		{2, "", false, events.Cursor{Sequence: 14}},
	}, got)
	requireRows(t, w, 75, nil)
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, declaration(100, "50ms", ""))
	ingest(t, w)
	whole := parquet(t, w, rowsOf(0, 30))
	total := int64(0)
	for i, c := range []struct {
		file    events.RowsFile
		bytes   []byte
		refused int64
		detail  string
	}{
		{fileOf(0, "parquet", 30), whole[:len(whole)-20], 30, "was cut off"},
		{fileOf(1, "parquet", -1), []byte("PAR"), 1, "PAR1"},
		{fileOf(2, "csv", 3), []byte("at,delay,form\n1,2,3\n"), 3, `did you mean "from"?`},
		{fileOf(3, "xlsx", 7), []byte("PK"), 7, "unknown format"},
		{func() events.RowsFile {
			f := fileOf(4, "csv", 12)
			f.File = events.Blob{Key: "incoming/nowhere.csv", SHA256: strings.Repeat("0", 64), Bytes: 5}
			return f
		}(), nil, 12, "no such object"},
	} {
		sendFile(t, w, c.file, c.bytes)
		total += c.refused
		awaitRows(t, w, total)
		log := entries(t, w)
		require.Len(t, log, i+1)
		e := log[i]
		assert.Zero(t, e.Rows)
		assert.Equal(t, map[string]int64{"unreadable": c.refused}, e.Reasons)
		assert.True(t, e.EndsBatch)
		assert.Contains(t, refusedRows(t, w, e)[0].Refusal.Detail, c.detail)
	}
	publish(t, w, row(0))
	awaitRows(t, w, total+1)
	requireRows(t, w, 1, nil)
}

func TestRefusedRowsComeBackOnce(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	w.Apply(t, declaration(100, "50ms", ""))
	stop := ingest(t, w)
	high := []byte(`{"at":"2099-05-01T00:00:00Z","delay":500.5}`)
	publish(t, w, row(0), high, []byte(`{"at":"2024-05-01T00:00:00Z"}`), []byte("nothing"))
	awaitRows(t, w, 4)
	e := entries(t, w)[0]
	require.EqualValues(t, 3, e.Quarantined)
	release := func(i int) {
		f := fileOf(i, "quarantine", e.Quarantined)
		f.File, f.Release = *e.Quarantine, e.Ordinal
		sendFile(t, w, f, nil)
	}
	release(1)
	release(2)
	awaitRows(t, w, 7)
	publish(t, w, row(1))
	awaitRows(t, w, 8)
	t.Run("nothing else comes in that way", func(t *testing.T) {
		foreign, err := w.Blobs.PutBytes(t.Context(), "incoming/foreign.parquet", parquet(t, w, rowsOf(0, 3)))
		require.NoError(t, err)
		for i, f := range []events.RowsFile{
			{Format: "quarantine", File: foreign, Release: 2}, {Format: "quarantine", File: foreign}, {Format: "quarantine", File: *e.Quarantine, Release: 3},
			{Format: "parquet", File: foreign, Release: 2}, {Format: "quarantine", File: *e.Quarantine},
		} {
			f.Batch, f.Rows = fmt.Sprint("foreign-", i), -1
			sendFile(t, w, f, nil)
			awaitRows(t, w, int64(9+i))
			log := entries(t, w)
			assert.Equal(t, map[string]int64{"unreadable": 1}, log[len(log)-1].Reasons, i)
		}
	})
	log := entries(t, w)
	back := log[1]
	assert.EqualValues(t, e.Ordinal, back.Release)
	assert.EqualValues(t, 1, back.Rows, "beyond its maximum and from 2099, but a person said so")
	assert.Equal(t, map[string]int64{"missing": 1, "malformed": 1}, back.Reasons, "these can't be rows")
	assert.Equal(t, []float64{0.5, 500.5, 1.5}, delays(t, w))

	// A new process knows it too.
	stop()
	ingest(t, w)
	release(3)
	publish(t, w, row(2))
	awaitRows(t, w, 14)
	assert.Equal(t, []float64{0.5, 500.5, 1.5, 2.5}, delays(t, w))
}

// TestKilledInsideAFile kills a process at every segment of a file and a chunk.
func TestKilledInsideAFile(t *testing.T) {
	t.Parallel()
	for _, point := range []string{ingestion.CrashParquet, ingestion.CrashEntry} {
		t.Run(strings.TrimPrefix(point, "ingestion."), func(t *testing.T) {
			t.Parallel()
			w := hosttest.New(t)
			w.Apply(t, declaration(10, "50ms", ""))
			publish(t, w, rowsOf(0, 3)...)
			sendFile(t, w, fileOf(1, "parquet", 32), parquet(t, w, rowsOf(3, 35)))
			send(t, w, join(rowsOf(35, 70)), events.HeaderContent, events.ContentNDJSON)
			sendFile(t, w, fileOf(2, "csv", 20), csv(rowsOf(70, 90)))
			for range 5 {
				killAt(t, w, point, 2)
			}
			ingest(t, w)
			awaitRows(t, w, 90)
			requireRows(t, w, 90, nil)
			ends := map[string]int{}
			for _, e := range entries(t, w) {
				if e.EndsBatch {
					ends[e.Batch]++
				}
			}
			assert.Equal(t, map[string]int{"batch-1": 1, "batch-2": 1}, ends)
			hosttest.Await(t, "every segment is said once", func() bool {
				said := w.Said(t, events.SegmentWrittenType, dataset)
				for i, f := range said {
					require.Equal(t, events.SegmentStepID(dataset, uint64(i+1), "written"), f.ID, fmt.Sprint(i))
				}
				return len(said) == len(entries(t, w))
			})
		})
	}
}
