package harness

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

// Get reads from the API what must be there.
func Get[T any](m *Tidemill, path string, query url.Values) T {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := call.Get[T](ctx, m.API, path, query)
	require.NoError(m.t, err, path)
	return out
}

// Apply declares resources by the API.
func (m *Tidemill) Apply(yaml string) []api.Applied {
	m.t.Helper()
	out, err := m.TryApply(yaml)
	require.NoError(m.t, err)
	return out
}

// TryApply is Apply where it may fail.
func (m *Tidemill) TryApply(yaml string) ([]api.Applied, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := call.PostBody[api.List[api.Applied]](ctx, m.API, "/api/v1/resources", nil,
		call.Body{Type: "application/yaml", Reader: strings.NewReader(yaml), Length: int64(len(yaml))})
	return out.Items, err
}

// Dataset is a dataset as it stands.
func (m *Tidemill) Dataset(name string) api.Dataset {
	m.t.Helper()
	return Get[api.Dataset](m, "/api/v1/datasets/"+name, nil)
}

// Model is a model as it stands.
func (m *Tidemill) Model(name string) api.Model {
	m.t.Helper()
	return Get[api.Model](m, "/api/v1/models/"+name, nil)
}

// Cycles of a model, newest first.
func (m *Tidemill) Cycles(model string) []api.Cycle {
	m.t.Helper()
	return Get[api.List[api.Cycle]](m, "/api/v1/models/"+model+"/cycles", nil).Items
}

// Segments of a dataset by ordinal.
func (m *Tidemill) Segments(dataset string) []api.Segment {
	m.t.Helper()
	newest := Get[api.List[api.Segment]](m, "/api/v1/datasets/"+dataset+"/segments", url.Values{"limit": {"10000"}}).Items
	out := make([]api.Segment, len(newest))
	for i, s := range newest {
		out[len(newest)-1-i] = s
	}
	return out
}

// Facts are all facts of some types (all of them when none is given) that the ledger holds now, in order.
func (m *Tidemill) Facts(types ...events.Type) []events.Fact {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	query := url.Values{"since": {"1"}, "follow": {"false"}}
	for _, t := range types {
		query.Add("types", t.Short())
	}
	if len(types) > 1 {
		query.Set("types", strings.Join(query["types"], ","))
	}
	var out []events.Fact
	err := m.API.Stream(ctx, query, func(e call.Event) error {
		if e.Name != "fact" {
			return nil
		}
		var f events.Fact
		if err := json.Unmarshal(e.Data, &f); err != nil {
			return fmt.Errorf("fact %s: %w", e.ID, err)
		}
		if _, err := fmt.Sscan(e.ID, &f.Seq); err != nil {
			return fmt.Errorf("id %q of a fact: %w", e.ID, err)
		}
		out = append(out, f)
		return nil
	})
	require.NoError(m.t, err)
	require.NoError(m.t, ctx.Err(), "the list of facts never ended")
	return out
}

// Said are the payloads of the facts of one type, each fact once: the ledger may hold a fact twice after a crash, with one id.
func Said[T any](m *Tidemill, ty events.Type) []T {
	m.t.Helper()
	var out []T
	seen := map[string]bool{}
	for _, f := range m.Facts(ty) {
		require.Equal(m.t, ty, f.Type)
		if seen[f.ID] {
			continue
		}
		seen[f.ID] = true
		p, err := events.PayloadOf[T](f)
		require.NoError(m.t, err)
		out = append(out, p)
	}
	return out
}

// Broker connects to the platform's broker until the end of the test.
func (m *Tidemill) Broker() jetstream.JetStream {
	m.t.Helper()
	nc, err := nats.Connect(m.Endpoint.NATS, nats.Token(m.Endpoint.NATSToken), nats.NoReconnect())
	require.NoError(m.t, err)
	m.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(m.t, err)
	return js
}

// IDs are the ids of the rows at rest in the accepted and refused segments of visits, as often as they are there.
func (m *Tidemill) IDs(dataset string) map[int64]int {
	m.t.Helper()
	dir := filepath.Join(m.Dir, "blobs")
	engine, err := lake.OpenEngine(context.Background(), lake.EngineOptions{Dirs: []string{dir}, Threads: 1})
	require.NoError(m.t, err)
	defer func() { require.NoError(m.t, engine.Close()) }()
	var paths []string
	for _, s := range m.Segments(dataset) {
		if s.Rows > 0 {
			paths = append(paths, filepath.Join(dir, filepath.FromSlash(s.Parquet.Key)))
		}
	}
	out := map[int64]int{}
	if len(paths) == 0 {
		return out
	}
	err = engine.Scan(context.Background(), "SELECT id FROM "+lake.ReadParquet(paths), func(row []driver.Value) error {
		id, ok := row[0].(int64)
		if !ok {
			return fmt.Errorf("id %v is a %T", row[0], row[0])
		}
		out[id]++
		return nil
	})
	require.NoError(m.t, err)
	return out
}

// RefusedIDs are the ids of the rows in quarantine.
func (m *Tidemill) RefusedIDs(dataset string) map[int64]int {
	m.t.Helper()
	out := map[int64]int{}
	for _, q := range Get[api.List[api.Quarantine]](m, "/api/v1/datasets/"+dataset+"/quarantine", nil).Items {
		path := fmt.Sprintf("/api/v1/datasets/%s/quarantine/%d/rows", dataset, q.Ordinal)
		for _, r := range Get[api.List[api.QuarantinedRow]](m, path, url.Values{"limit": {"10000"}}).Items {
			var row struct{ ID int64 }
			require.NoError(m.t, json.Unmarshal([]byte(r.Row), &row), r.Row)
			out[row.ID]++
		}
	}
	return out
}

// Settled waits until all rows that were sent are in segments, observed and decided on, and no cycle is in flight.
func (m *Tidemill) Settled(dataset, model string, sent int, within time.Duration) (d api.Dataset, state api.Model) {
	m.t.Helper()
	Eventually(m.t, within, "everything is settled", func() error {
		select {
		case <-m.Done():
			m.t.Fatalf("tidemill ended (exit code %d)", m.ExitCode())
		default:
		}
		d, state = m.Dataset(dataset), m.Model(model)
		switch {
		case d.Accepted+d.Quarantined < int64(sent):
			return fmt.Errorf("%d rows accepted and %d quarantined of %d", d.Accepted, d.Quarantined, sent)
		case state.Observed < d.Segments || state.Decided < state.Observed:
			return fmt.Errorf("%d segments, observed %d, decided %d", d.Segments, state.Observed, state.Decided)
		case state.Cycle != nil:
			return fmt.Errorf("%s is %s", state.Cycle.Cycle, state.Cycle.State)
		}
		return nil
	})
	return d, state
}

// Dir is a fresh data directory in a fresh home.
func Dir(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "data")
}
