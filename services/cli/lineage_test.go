package cli_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/workers/runtime"
)

// packed stores a source folder in a fake, and gives its digest.
func packed(t *testing.T, f *fake, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, dir, name, text)
	}
	b, err := runtime.PackSource(dir)
	require.NoError(t, err)
	sum := events.SHA256(b)
	f.on("GET /api/v1/blobs/code/"+sum+".tar.gz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) })
	return sum
}

func lineage(version, code string) api.Lineage {
	return api.Lineage{Model: "flight-delay", Version: version, State: "retired", Cycle: "flight-delay-" + version,
		Causes: []events.Cause{{Trigger: "newData", Text: "30,000 new rows are 30.6 %."}},
		Data: api.LineageData{Snapshot: events.Snapshot{ID: strings.Repeat("5", 64), Dataset: "flights", Through: 62}, Segments: 62, Missing: []uint64{},
			TrainRows: 107_297, ValidationRows: 5049, TrainedThrough: at(0, 0), Features: "distance,\n origin", Label: "delay >= 15", ModelRevision: 2},
		Code: api.LineageCode{Candidate: "own", Trainer: "process", Command: []string{"python3", "train.py"}, Params: map[string]any{"trees": 200, "rate": 0.1}, Seed: 7,
			Digest: code, Requirements: strings.Repeat("e", 64)},
		Environment: map[string]string{"python": "3.12.1", "cpus": "2"},
		Trial:       api.LineageTrial{Trial: "flight-delay-" + version + "-own-1", Worker: "w", Attempt: 1, Seconds: 3.2},
		Parents:     []api.Parent{}, Validation: map[string]float64{"auc": 0.64, "logloss": 0.55}, Judged: map[string]float64{"auc": 0.62, "logloss": 0.56}, JudgedRows: 11_686,
		Package: api.LineagePackage{URI: "models/flight-delay/" + version, SHA256: strings.Repeat("a", 64), Files: map[string]string{"model.onnx": strings.Repeat("b", 64)},
			SignedBy: strings.Repeat("c", 64)}}
}

// relatives are two versions with different code, of which the second was judged against the first.
func relatives(t *testing.T) *fake {
	t.Helper()
	f := newFake(t)
	first := lineage("1", packed(t, f, map[string]string{"train.py": "print(1)", "old.py": "", "same.py": "x"}))
	second := lineage("2", packed(t, f, map[string]string{"train.py": "print(2)", "new.py": "", "same.py": "x"}))
	second.State, second.Data.ID, second.Data.Through, second.Data.Missing = "champion", strings.Repeat("6", 64), 80, []uint64{3, 7}
	second.Code.Params = map[string]any{"trees": 300, "depth": 4}
	second.Data.Weight, second.Data.ClassWeights = "distance / 1000", map[string]float64{"true": 3}
	second.Environment["python"] = "3.13.0"
	second.Trial.Refit = true
	second.Parents = []api.Parent{{Kind: api.ParentRefitOf, Version: "x"}, {Kind: api.ParentChampion, Version: "1", SHA256: first.Package.SHA256}}
	second.ChampionJudged = map[string]float64{"auc": 0.60, "logloss": 0.55}
	f.on("GET /api/v1/models/flight-delay/lineage", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("version") == "1" {
			reply(w, first)
			return
		}
		reply(w, second)
	})
	return f
}

func TestLineageAndCompare(t *testing.T) {
	t.Parallel()
	f := relatives(t)
	golden(t, "lineage.txt", session(t, f, []string{"lineage", "flight-delay"}, []string{"compare", "flight-delay@1", "v2"}, []string{"compare", "flight-delay", "2"}))
	var out struct {
		Files []struct{ Name, Change string }
		Code  []struct {
			Name string
			Same bool
		}
	}
	r := run(t, f, "compare", "flight-delay@1", "flight-delay@2", "-o", "json")
	require.Zero(t, r.code, r.err)
	require.NoError(t, json.Unmarshal([]byte(r.out), &out))
	require.Equal(t, []struct{ Name, Change string }{{"new.py", "added"}, {"old.py", "removed"}, {"train.py", "modified"}}, out.Files)
	require.False(t, out.Code[3].Same, "%v", out.Code[3])
}

func TestLogs(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.on("GET /api/v1/trials/flight-delay-3-own-1/log", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(w, "epoch 1", r.URL.Query().Get("follow"))
	})
	f.say("GET /api/v1/trials/flight-delay-3-own-1", api.TrialDetail{Model: "flight-delay", Trial: api.Trial{State: "failed", Reason: "exit code 3"}})
	require.Equal(t, result{0, "epoch 1 \n", "flight-delay-3-own-1 failed: exit code 3\n"}, run(t, f, "logs", "flight-delay-3-own-1"))
	require.Equal(t, result{1, "epoch 1 true\n", "flight-delay-3-own-1 failed: exit code 3\n"}, run(t, f, "logs", "flight-delay-3-own-1", "-f"))
}

func TestImportChecksTheFileFirst(t *testing.T) {
	t.Parallel()
	f := airline(t)
	dir := t.TempDir()
	require.Equal(t, 2, run(t, f, "import", "flight-delay").code)
	r := run(t, f, "import", "flight-delay", "--onnx", write(t, dir, "m.onnx", "not a model"))
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "is no ONNX model")
	r = run(t, f, "import", "flight-delay", "--onnx", "m.onnx", "--trained-through", "yesterday")
	require.Equal(t, 2, r.code)
	require.Contains(t, r.err, `"yesterday" is no time`)
	require.Empty(t, f.asks("POST /api/v1/models/flight-delay/retrain"))

	// A graph and an operator set are all that a model needs to be read as one.
	onnx := write(t, dir, "tiny.onnx", "\x3a\x00\x42\x02\x10\x0d")
	sum := events.SHA256([]byte("\x3a\x00\x42\x02\x10\x0d"))
	f.on("PUT /api/v1/imports/"+sum, func(w http.ResponseWriter, _ *http.Request) { reply(w, events.Blob{}) })
	f.say("POST /api/v1/models/flight-delay/retrain", api.Asked{ID: "x", Seq: 9})
	r = run(t, f, "import", "flight-delay", "--onnx", onnx, "--trained-through", "2001-02-01", "--reason", "from the old system")
	require.Zero(t, r.code, r.err)
	var sent api.Retrain
	require.NoError(t, json.Unmarshal([]byte(f.asks("POST /api/v1/models/flight-delay/retrain")[0].body), &sent))
	require.Equal(t, "tiny.onnx", sent.Import.Name)
	require.Equal(t, "imports/"+sum+".onnx", sent.Import.ONNX.Key)
	require.Equal(t, "2001-02-01T00:00:00Z", sent.Import.TrainedThrough.Format("2006-01-02T15:04:05Z07:00"))
	require.Len(t, f.asks("PUT /api/v1/imports/"+sum), 1)
}

func tarOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o644}))
		_, err := w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestSnapshotExport(t *testing.T) {
	t.Parallel()
	const path = "GET /api/v1/models/flight-delay/snapshot"
	f := newFake(t)
	body := tarOf(t, map[string]string{"train/train.parquet": "rows", "trial.json": "{}"})
	length := len(body)
	f.on(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(length))
		_, _ = w.Write(body)
	})
	to := filepath.Join(t.TempDir(), "rows")
	r := run(t, f, "snapshot", "export", "flight-delay", "--to", to, "--candidate", "own", "--window", "sliding 7d")
	require.Zero(t, r.code, r.err)
	require.Equal(t, "candidate=own&window=sliding+7d", f.asks(path)[0].query)
	b, err := os.ReadFile(filepath.Join(to, "train", "train.parquet"))
	require.NoError(t, err)
	require.Equal(t, "rows", string(b))

	require.Contains(t, run(t, f, "snapshot", "export", "flight-delay", "--to", to).err, "is not empty")
	require.Zero(t, run(t, f, "snapshot", "export", "flight-delay", "--to", to, "--force").code)
	require.Equal(t, 2, run(t, f, "snapshot", "export", "flight-delay").code)
	require.Equal(t, 2, run(t, f, "snapshot", "export", "flight-delay", "--to", to, "--window", "7 moons").code)

	body = body[:700]
	r = run(t, f, "snapshot", "export", "flight-delay", "--to", to, "--force")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "is incomplete")
	body = tarOf(t, map[string]string{"../outside": "x"})
	length = len(body)
	r = run(t, f, "snapshot", "export", "flight-delay", "--to", to, "--force")
	require.Equal(t, 1, r.code)
	require.NoFileExists(t, filepath.Join(filepath.Dir(to), "outside"))
}

func TestTrialRunRefuses(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	require.Equal(t, 2, run(t, f, "trial", "run", "buyers").code, "where?")
	require.Equal(t, 2, run(t, f, "trial", "run", "buyers", "--local", "--param", "trees").code)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "own"), "train.py", "x")
	file := write(t, dir, "m.yaml", strings.Replace(modelYAML, "SOURCE", "own", 1))
	r := run(t, f, "trial", "run", "others", "--local", "-f", file)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "declares no model others")
	r = run(t, f, "trial", "run", "buyers", "--local", "-f", file, "--candidate", "oun")
	require.Equal(t, 2, r.code)
	require.Contains(t, r.err, `did you mean "own"?`)
	other := strings.Replace(strings.Replace(modelYAML, "trainer: process, source: SOURCE, command: [python3, train.py]", "trainer: builtin/linear", 1), "test: 2h", "test: 3h", 1)
	f.say("GET /api/v1/resources/models/buyers", api.Resource{Document: canonical(t, other)})
	r = run(t, f, "trial", "run", "buyers", "--local", "-f", file)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "the split is another one")
	require.Contains(t, r.err, file+":9:")
}
