package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/events/client"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

const pathRows = 2000 // four segments of 500

// TestSameRowsByAnyPathAreTheSameSnapshot publishes the same rows in every way there is. With the same segment bounds the bytes
// at rest are the same, so what is trained on has one name.
func TestSameRowsByAnyPathAreTheSameSnapshot(t *testing.T) {
	t.Parallel()
	m := harness.Up(t, harness.Dir(t), nil)
	ways := map[string]func(t *testing.T, dataset string){
		"parquet": byFile(m, "visits.parquet"),
		"csv":     byFile(m, "visits.csv"),
		"ndjson":  byFile(m, "visits.ndjson"),
		"stdin":   byStdin(m),
		"client":  byClient(m),
		"chunks":  byChunks(m),
		"clouds":  byCloudEvents(m),
	}
	writeFiles(t, m.Home)
	names := []string{}
	for name, publish := range ways {
		names = append(names, name)
		m.Apply(harness.Declared{Dataset: name, Model: "of-" + name, Initial: pathRows, SegmentAge: time.Minute}.YAML())
		publish(t, name)
	}
	chains, snapshots := map[string][]string{}, map[string][]string{}
	for _, name := range names {
		d, model := m.Settled(name, "of-"+name, pathRows, 60*time.Second)
		require.Zero(t, d.Quarantined, "%s: %v", name, d.Reasons)
		require.EqualValues(t, pathRows, d.Accepted)
		require.EqualValues(t, 4, d.Segments, name)
		require.NotNil(t, model.Champion, name)
		cycles := m.Cycles("of-" + name)
		require.Len(t, cycles, 1)
		chains[d.Chain] = append(chains[d.Chain], name)
		id := cycles[0].Snapshot.ID
		snapshots[id] = append(snapshots[id], name)
		require.Equal(t, events.SnapshotID(d.Chain, cycles[0].Snapshot.Window), id)
	}
	require.Len(t, chains, 1, "chains differ by path: %v", chains)
	require.Len(t, snapshots, 1, "snapshots differ by path: %v", snapshots)
}

// writeFiles writes the rows in every format into dir.
func writeFiles(t *testing.T, dir string) {
	t.Helper()
	csv := filepath.Join(dir, "visits.csv")
	require.NoError(t, os.WriteFile(csv, []byte(harness.VisitsCSV(0, pathRows)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "visits.ndjson"), []byte(harness.VisitsNDJSON(0, pathRows, false)), 0o600))
	engine, err := lake.OpenEngine(t.Context(), lake.EngineOptions{Dirs: []string{dir}, Threads: 1})
	require.NoError(t, err)
	defer func() { require.NoError(t, engine.Close()) }()
	_, err = engine.DB().ExecContext(t.Context(), fmt.Sprintf("COPY (SELECT \"at\"::TIMESTAMP AS \"at\", id, pages::DOUBLE AS pages, source, spent::DOUBLE AS spent FROM read_csv(%s)) TO %s (FORMAT parquet)",
		lake.Literal(csv), lake.Literal(filepath.Join(dir, "visits.parquet"))))
	require.NoError(t, err)
}

func byFile(m *harness.Tidemill, name string) func(*testing.T, string) {
	return func(_ *testing.T, dataset string) { m.Must("publish", dataset, filepath.Join(m.Home, name)) }
}

func byStdin(m *harness.Tidemill) func(*testing.T, string) {
	return func(t *testing.T, dataset string) {
		r := m.RunWith(harness.VisitsNDJSON(0, pathRows, false), "publish", dataset, "-")
		require.Zero(t, r.Code, r.Stderr)
	}
}

func byClient(m *harness.Tidemill) func(*testing.T, string) {
	return func(t *testing.T, dataset string) {
		c, err := client.Connect(t.Context(), client.Options{URL: m.Endpoint.NATS, Token: m.Endpoint.NATSToken})
		require.NoError(t, err)
		defer func() { require.NoError(t, c.Close()) }()
		var rows []any
		for _, row := range harness.VisitRows(0, pathRows, false) {
			rows = append(rows, row)
		}
		done, err := c.Publish(t.Context(), dataset, rows...)
		require.NoError(t, err)
		require.Equal(t, pathRows, done.Rows)
	}
}

// byChunks sends bodies over HTTP that don't end where segments do.
func byChunks(m *harness.Tidemill) func(*testing.T, string) {
	return func(t *testing.T, dataset string) {
		for from := 0; from < pathRows; from += 333 {
			to := min(from+333, pathRows)
			body := harness.VisitsNDJSON(from, to, false)
			done, err := call.PostBody[api.Published](t.Context(), m.API, "/api/v1/datasets/"+dataset+"/rows", nil,
				call.Body{Type: events.ContentNDJSON, Reader: bytes.NewReader([]byte(body)), Length: int64(len(body))})
			require.NoError(t, err)
			require.EqualValues(t, to-from, done.Rows)
		}
	}
}

// byCloudEvents publishes each row as an event of its own, in structured and in binary mode.
func byCloudEvents(m *harness.Tidemill) func(*testing.T, string) {
	return func(t *testing.T, dataset string) {
		js := m.Broker()
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		for i, row := range harness.VisitRows(0, pathRows, false) {
			msg := &nats.Msg{Subject: events.RowsSubject(dataset), Data: row, Header: nats.Header{}}
			if i%2 == 0 {
				b, err := json.Marshal(map[string]any{"specversion": "1.0", "id": fmt.Sprint(i), "source": "/shop", "type": "shop.visit", "data": json.RawMessage(row)})
				require.NoError(t, err)
				msg.Data = b
				msg.Header.Set(events.HeaderContent, events.ContentType)
			} else {
				for k, v := range map[string]string{"ce-specversion": "1.0", "ce-id": fmt.Sprint(i), "ce-source": "/shop", "ce-type": "shop.visit"} {
					msg.Header[k] = []string{v}
				}
				msg.Header.Set(events.HeaderContent, events.ContentJSON)
			}
			_, err := js.PublishMsgAsync(msg)
			require.NoError(t, err)
		}
		select {
		case <-js.PublishAsyncComplete():
		case <-ctx.Done():
			t.Fatal("rows were not acknowledged in time")
		}
	}
}

// TestAModelMayComeAfterItsRows: who has published already must not wait for more rows until the first model begins.
func TestAModelMayComeAfterItsRows(t *testing.T) {
	t.Parallel()
	m := harness.Up(t, harness.Dir(t), nil)
	d := harness.Declared{}
	m.Apply(d.DatasetYAML())
	m.Must("publish", "visits", writeRows(t, m, "first.ndjson", 0, 3000))
	m.Apply(d.YAML())
	harness.Until(t, time.Minute, "there is a champion", func() bool { return m.Model("buyers").Champion != nil })
}
