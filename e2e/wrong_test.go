package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/model/onnxgraph"
	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

// exit codes as the design has them.
const (
	failed      = 1
	usedWrongly = 2
)

// refused runs a command that must fail with a code and say all of some texts.
func refused(t *testing.T, r harness.Result, code int, says ...string) {
	t.Helper()
	require.Equal(t, code, r.Code, "exit code; it printed\n%s%s", r.Stdout, r.Stderr)
	for _, text := range says {
		require.Contains(t, r.Stderr, text)
	}
	require.NotContains(t, r.Stderr, "goroutine ", "a stack is no error message")
}

// TestWrongRowsAreQuarantinedWithTheReason publishes one bad row between two good ones, in every way a row can be bad.
func TestWrongRowsAreQuarantinedWithTheReason(t *testing.T) {
	t.Parallel()
	m := harness.Up(t, harness.Dir(t), nil)
	good := func(i int) string { return string(harness.VisitAt(i, false).JSON()) }
	cases := []struct{ name, row, reason, detail string }{
		{"unknown-column", `{"at":"2024-03-01T00:01:00Z","id":1,"pages":3,"source":"ad","spend":4,"spent":4}`, "unknownColumn", "spent"},
		{"wrong-type", `{"at":"2024-03-01T00:01:00Z","id":1,"pages":"many","source":"ad","spent":4}`, "wrongType", "many"},
		{"malformed", `{"at":"2024-03-01T00:01:00Z","id":1,"pages":`, "malformed", ""},
		{"no-object", `[1,2,3]`, "malformed", ""},
		{"missing", `{"at":"2024-03-01T00:01:00Z","id":1,"pages":3,"source":"ad"}`, "missing", ""},
		{"below-min", `{"at":"2024-03-01T00:01:00Z","id":1,"pages":-3,"source":"ad","spent":4}`, "belowMin", "-3"},
		{"future", `{"at":"2099-03-01T00:01:00Z","id":1,"pages":3,"source":"ad","spent":4}`, "future", "2099"},
	}
	for _, c := range cases {
		m.Apply(harness.Declared{Dataset: c.name}.DatasetYAML())
		file := filepath.Join(m.Home, c.name+".ndjson")
		require.NoError(t, os.WriteFile(file, []byte(good(0)+"\n"+c.row+"\n"+good(2)+"\n"), 0o600))
		out := m.Run("publish", c.name, file)
		require.Zero(t, out.Code, "%s: quarantined rows are counted, not failed on: %s", c.name, out.Stderr)
		require.Contains(t, out.Stdout+out.Stderr, c.reason, c.name)

		d := m.Dataset(c.name)
		require.EqualValues(t, 2, d.Accepted, c.name)
		require.Equal(t, map[string]int64{c.reason: 1}, d.Reasons, c.name)
		held := harness.Get[api.List[api.Quarantine]](m, "/api/v1/datasets/"+c.name+"/quarantine", nil).Items
		require.Len(t, held, 1)
		rows := harness.Get[api.List[api.QuarantinedRow]](m, "/api/v1/datasets/"+c.name+"/quarantine/1/rows", nil).Items
		require.Len(t, rows, 1)
		require.Equal(t, c.row, rows[0].Row, "the row as it was sent")
		require.Equal(t, c.reason, rows[0].Reason)
		require.Contains(t, rows[0].Detail, c.detail, c.name)
	}
}

// TestTruncatedParquetTakesNothing cuts a good file short: no row of it may come in.
func TestTruncatedParquetTakesNothing(t *testing.T) {
	t.Parallel()
	m := harness.Up(t, harness.Dir(t), nil)
	m.Apply(harness.Declared{}.DatasetYAML())
	writeFiles(t, m.Home)
	whole, err := os.ReadFile(filepath.Join(m.Home, "visits.parquet"))
	require.NoError(t, err)
	cut := filepath.Join(m.Home, "cut.parquet")
	require.NoError(t, os.WriteFile(cut, whole[:len(whole)/2], 0o600))
	refused(t, m.Run("publish", "visits", cut), failed, "cut.parquet", "Parquet")
	require.Zero(t, m.Dataset("visits").Accepted)
	require.Contains(t, m.Must("publish", "visits", filepath.Join(m.Home, "visits.parquet")), "2,000", "the whole file is taken afterwards")
	require.EqualValues(t, pathRows, m.Dataset("visits").Accepted)
}

// TestWrongDeclarationsSayWhereAndWhat applies files with one mistake each. Nothing of such a file may be applied.
func TestWrongDeclarationsSayWhereAndWhat(t *testing.T) {
	t.Parallel()
	m := harness.Up(t, harness.Dir(t), nil)
	whole := harness.Declared{}.YAML()
	cases := []struct {
		name, old, with string
		says            []string
	}{
		{"typo", "maxRows: 500", "maxRow: 500", []string{"typo.yaml:12:", `"maxRow"`, "maxRows"}},
		{"no-yaml", "kind: Dataset", "kind: [Dataset", []string{"no-yaml.yaml:"}},
		{"kind", "kind: Dataset", "kind: Dateset", []string{"kind.yaml:2:", "Dataset"}},
		{"type", "type: int64", "type: integer", []string{"type.yaml:7:", "int64"}},
		{"unknown-dataset", "dataset: visits", "dataset: visit", []string{"unknown-dataset.yaml:18:", "visit", "visits"}},
		{"unknown-column", "features: pages, source", "features: pages, sauce", []string{"unknown-column.yaml:20:", "sauce"}},
		{"label-in-features", "features: pages, source", "features: pages, spent", []string{"label-in-features.yaml:20:", "spent"}},
		{"now", "features: pages, source", "features: pages, source, now() AS now", []string{"now.yaml:20:", "now"}},
		{"read-file", "features: pages, source", "features: pages, (SELECT count(*) FROM read_csv('/etc/passwd')) AS n", []string{"read-file.yaml:20:"}},
		{"aggregate", "features: pages, source", "features: avg(pages) AS mean", []string{"aggregate.yaml:20:", "avg"}},
		{"metric", "primary: logloss", "primary: loglos", []string{"metric.yaml:", "loglos", "logloss"}},
	}
	for _, c := range cases {
		require.Contains(t, whole, c.old)
		file := filepath.Join(m.Home, c.name+".yaml")
		require.NoError(t, os.WriteFile(file, []byte(strings.Replace(whole, c.old, c.with, 1)), 0o600))
		r := m.Run("apply", "-f", file)
		t.Logf("%s\n%s", c.name, r.Stderr)
		refused(t, r, failed, c.says...)
	}
	for _, kind := range []string{"datasets", "models", "policies"} {
		require.Empty(t, harness.Get[api.List[api.Resource]](m, "/api/v1/resources/"+kind, nil).Items, "something of a wrong file was applied")
	}
	require.Empty(t, m.Facts(events.ResourceAppliedType))
}

// TestWrongCommandsSayWhatToDo uses the command line wrongly.
func TestWrongCommandsSayWhatToDo(t *testing.T) {
	t.Parallel()
	m := harness.Up(t, harness.Dir(t), nil)
	m.Apply(harness.Declared{}.YAML())
	rows := filepath.Join(m.Home, "rows.ndjson")
	require.NoError(t, os.WriteFile(rows, []byte(harness.VisitsNDJSON(0, 3, false)), 0o600))
	odd := filepath.Join(m.Home, "rows.docx")
	require.NoError(t, os.WriteFile(odd, []byte("x"), 0o600))
	cases := []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"unknown dataset", []string{"publish", "visit", rows}, failed, []string{"visit", "visits"}},
		{"no such file", []string{"publish", "visits", rows + "x"}, failed, []string{"rows.ndjsonx"}},
		{"unknown format", []string{"publish", "visits", odd}, failed, []string{".docx", "parquet"}},
		{"unknown model", []string{"retrain", "buyer"}, failed, []string{"buyer", "buyers"}},
		{"why of an unknown model", []string{"why", "buyer"}, failed, []string{"buyer"}},
		{"rollback without a version", []string{"rollback", "buyers"}, failed, []string{"buyers"}},
		{"no model to predict with", []string{"predict", "buyers", rows, "-o", filepath.Join(m.Home, "out.csv")}, failed, []string{"buyers"}},
		{"wrong window", []string{"retrain", "buyers", "--window", "tumbling 3d"}, usedWrongly, []string{"tumbling 3d", "sliding"}},
		{"unknown fact type", []string{"subscribe", "model.reddy"}, usedWrongly, []string{"model.reddy", "model.ready"}},
		{"unknown command", []string{"pubish", "visits", rows}, usedWrongly, []string{"pubish", "publish"}},
		{"unknown flag", []string{"publish", "visits", rows, "--fast"}, usedWrongly, []string{"--fast"}},
		{"too few arguments", []string{"publish", "visits"}, usedWrongly, []string{"publish"}},
		{"unknown output", []string{"get", "models", "-o", "xml"}, usedWrongly, []string{"xml", "json"}},
		{"unknown target", []string{"up", "--target", "ingest", "--data-dir", filepath.Join(m.Home, "other")}, usedWrongly, []string{"ingest", "ingestion"}},
	}
	for _, c := range cases {
		r := m.Run(c.args...)
		t.Logf("%s: %s", c.name, r.Stderr)
		refused(t, r, c.code, c.says...)
	}
	require.Zero(t, m.Dataset("visits").Segments)

	nobody := harness.Run(t, t.TempDir(), harness.Env(t.TempDir()), "get", "models")
	refused(t, nobody, failed, "tidemill up")
}

// TestTakenPlacesAreSaid starts where something else is already.
func TestTakenPlacesAreSaid(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().String()
	home := t.TempDir()
	up := func(dir, http, nats string) harness.Result {
		return harness.Run(t, home, harness.Env(home), "up", "--data-dir", filepath.Join(home, dir), "--http", http, "--nats", nats)
	}
	refused(t, up("a", port, "127.0.0.1:0"), failed, port, "--http")
	refused(t, up("b", "127.0.0.1:0", port), failed, port, "--nats")

	m := harness.Up(t, filepath.Join(home, "c"), nil)
	began := time.Now()
	refused(t, up("c", "127.0.0.1:0", "127.0.0.1:0"), failed, filepath.Join(home, "c"))
	require.Less(t, time.Since(began), 10*time.Second)
	require.Contains(t, m.Must("get", "datasets", "-o", "json"), "items", "the first process is unharmed")
}

// TestWrongTrainersFailTheirCycle has one model for each way in which a trainer can be wrong. The cycle fails with a reason that
// helps, nothing is served, and the platform goes on.
func TestWrongTrainersFailTheirCycle(t *testing.T) {
	t.Parallel()
	m := harness.Up(t, harness.Dir(t), nil)
	require.NoError(t, os.MkdirAll(filepath.Join(m.Home, "trainer"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(m.Home, "trainer", "nan.onnx"), nanModel(), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(m.Home, "trainer", "text.onnx"), []byte("this is no model"), 0o600))
	cases := []struct{ name, candidate, says string }{
		{"nan", `{name: c, trainer: process, source: ./trainer, command: [sh, -c, 'cp nan.onnx "$SM_MODEL_DIR/model.onnx"']}`, "scores NaN"},
		{"no-onnx", `{name: c, trainer: process, source: ./trainer, command: [sh, -c, 'cp text.onnx "$SM_MODEL_DIR/model.onnx"']}`, "not an ONNX model"},
		{"nothing", `{name: c, trainer: process, source: ./trainer, command: [sh, -c, 'echo done']}`, "model.onnx"},
		{"absent", `{name: c, trainer: process, source: ./trainer, command: [no-such-trainer]}`, `"no-such-trainer" is not installed`},
		{"exit-three", `{name: c, trainer: process, source: ./trainer, command: [sh, -c, 'echo out of ideas; exit 3']}`, "exit code 3; its last line: out of ideas"},
		{"hangs", `{name: c, trainer: process, source: ./trainer, command: [sh, -c, 'sleep 600'], resources: {time: 2s}}`, "longer than its limit"},
	}
	var yaml []string
	d := harness.Declared{Initial: 1500}
	yaml = append(yaml, d.DatasetYAML())
	for _, c := range cases {
		d.Model, d.Candidates = c.name, "    - "+c.candidate
		yaml = append(yaml, d.ModelYAML(), d.PolicyYAML())
	}
	file := filepath.Join(m.Home, "wrong.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(yaml, "---\n")), 0o600))
	m.Must("apply", "-f", file)
	rows := filepath.Join(m.Home, "rows.ndjson")
	require.NoError(t, os.WriteFile(rows, []byte(harness.VisitsNDJSON(0, 1500, false)), 0o600))
	m.Must("publish", "visits", rows)
	for _, c := range cases {
		_, model := m.Settled("visits", c.name, 1500, 60*time.Second)
		require.Nil(t, model.Champion, c.name)
		cycles := m.Cycles(c.name)
		require.Len(t, cycles, 1, c.name)
		require.Equal(t, events.OutcomeFailed, cycles[0].Outcome, c.name)
		require.Contains(t, cycles[0].Reason, c.says, c.name)
		refused(t, m.Run("predict", c.name, rows, "-o", filepath.Join(m.Home, "out.csv")), failed, c.name)
	}
	require.Empty(t, m.Facts(events.ModelReadyType))
	require.Empty(t, harness.Get[api.List[api.Dead]](m, "/api/v1/dead", nil).Items, "dead letters")
}

// nanModel answers every visit with 0/0.
func nanModel() []byte {
	g := onnxgraph.New("nan")
	g.Input("pages", onnxgraph.Float, onnxgraph.Rows, 1)
	g.Input("source", onnxgraph.String, onnxgraph.Rows, 1)
	g.Floats("zero", []float32{0}, 1)
	g.Node("Mul", []string{"pages", "zero"}, []string{"z"})
	g.Node("Div", []string{"z", "zero"}, []string{"nan"})
	g.Node("Concat", []string{"nan", "nan"}, []string{"probabilities"}, onnxgraph.AttrInt("axis", 1))
	g.Output("probabilities", onnxgraph.Float, onnxgraph.Rows, 2)
	return g.Marshal()
}
