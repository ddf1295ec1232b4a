package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events"
)

// countingTrainer counts how often visits of a kind buy; the standard library is enough for it.
const countingTrainer = `
import csv, json, os
counts = {}
with open(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "train.csv")) as f:
    for row in csv.DictReader(f):
        key = f'{row["source"]}/{int(float(row["pages"] or 0)) // 2}'
        n, bought = counts.get(key, (2, 1))
        counts[key] = (n + 1, bought + float(row["label"]))
with open(os.path.join(os.environ["SM_MODEL_DIR"], "counts.json"), "w") as f:
    json.dump(counts, f)
`

// countingPredictor answers with those counts. PIDS is a folder in which it leaves its process id.
const countingPredictor = `
import json, os, sys
open(os.path.join(PIDS, str(os.getpid())), "w").close()
with open(os.path.join(os.environ["SM_MODEL_DIR"], "counts.json")) as f:
    counts = json.load(f)
for line in sys.stdin:
    request = json.loads(line)
    answer = []
    for row in request["rows"]:
        n, bought = counts.get(f'{row["source"]}/{int(row["pages"] or 0) // 2}', (2, 1))
        answer.append([1 - bought / n, bought / n])
    print(json.dumps({"id": request["id"], "probabilities": answer}), flush=True)
`

// ask asks the champion about a visit: the version that answered, its probability, and what went wrong.
func ask(t *testing.T, m *harness.Tidemill, model string) (version string, probability float64, problem string) {
	t.Helper()
	body := `{"inputs":[{"name":"pages","datatype":"FP64","shape":[1],"data":[9]},{"name":"source","datatype":"BYTES","shape":[1],"data":["search"]}]}`
	resp, err := http.Post(m.Endpoint.HTTP+"/v2/models/"+model+"/infer", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	var a struct {
		Version string `json:"model_version"`
		Error   string
		Outputs []struct {
			Name string
			Data []any
		}
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&a))
	for _, o := range a.Outputs {
		if o.Name == "probabilities" {
			probability = o.Data[1].(float64)
		}
	}
	return a.Version, probability, a.Error
}

// TestAModelWithoutONNX takes a model that a Python program answers for around the loop twice: trained, judged, promoted, served, observed,
// and replaced. Its process is killed on the way, and so is the platform.
func TestAModelWithoutONNX(t *testing.T) {
	t.Parallel()
	m := harness.Up(t, harness.Dir(t), nil)
	source, pids := filepath.Join(m.Home, "counting"), filepath.Join(m.Home, "pids")
	for _, dir := range []string{source, pids} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(source, "train.py"), []byte(countingTrainer), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(source, "predict.py"), []byte(strings.ReplaceAll(countingPredictor, "PIDS", strconv.Quote(pids))), 0o600))
	file := filepath.Join(m.Home, "visits.yaml")
	require.NoError(t, os.WriteFile(file, []byte(harness.Declared{Candidates: `    - name: counting
      trainer: process
      command: [python3, train.py]
      predict: [python3, predict.py]
      source: ./counting
      format: csv`}.YAML()), 0o600))
	m.Must("apply", "-f", file)
	rows := filepath.Join(m.Home, "visits.ndjson")
	require.NoError(t, os.WriteFile(rows, []byte(harness.VisitsNDJSON(0, 2000, false)), 0o600))
	m.Must("publish", "visits", rows)
	_, model := m.Settled("visits", "buyers", 2000, 2*time.Minute)
	require.NotNil(t, model.Champion, "%+v", m.Cycles("buyers"))
	harness.Until(t, time.Minute, "it answers", func() bool { _, _, problem := ask(t, m, "buyers"); return problem == "" })
	version, first, problem := ask(t, m, "buyers")
	require.Empty(t, problem)
	require.Equal(t, "1", version)
	require.Greater(t, first, 0.0)

	// Its package is signed, and names what answers.
	ready := harness.Said[events.ModelReady](m, events.ModelReadyType)
	require.Len(t, ready, 1)
	folder := filepath.Join(m.Dir, "blobs", filepath.FromSlash(ready[0].URI))
	text, err := os.ReadFile(filepath.Join(folder, "manifest.json"))
	require.NoError(t, err)
	require.Contains(t, string(text), `"runtime": "command"`)
	for _, name := range []string{"signature.json", "extras.tar.gz", "code.tar.gz"} {
		require.FileExists(t, filepath.Join(folder, name))
	}

	// Whoever answers is killed: it is started again.
	for _, pid := range living(t, pids) {
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	}
	same := func() bool {
		version, p, problem := ask(t, m, "buyers")
		return problem == "" && version == "1" && p == first
	}
	harness.Until(t, time.Minute, "it answers again", same)

	// The platform is killed: nothing of the model outlives it, and it serves on afterwards.
	require.NotEmpty(t, living(t, pids))
	m.Kill()
	harness.Until(t, time.Minute, "no process is left", func() bool { return len(living(t, pids)) == 0 })
	m = harness.Up(t, m.Dir, nil)
	harness.Until(t, time.Minute, "it serves again", same)

	// New rows are scored by it before they train its successor.
	require.NoError(t, os.WriteFile(rows, []byte(harness.VisitsNDJSON(2000, 4000, false)), 0o600))
	m.Must("publish", "visits", rows)
	harness.Until(t, 2*time.Minute, "its successor answers", func() bool {
		version, _, problem := ask(t, m, "buyers")
		return problem == "" && version != "1"
	})
	scored := 0
	for _, o := range harness.Said[events.SegmentObserved](m, events.SegmentObservedType) {
		if o.Champion == "1" && o.Metrics["auc"] > 0.6 {
			scored++
		}
	}
	require.Positive(t, scored, "the champion scored segments")
	_, model = m.Settled("visits", "buyers", 4000, 2*time.Minute)
	latest := model.Champion.Version.Version
	require.Zero(t, m.Stop())
	require.Empty(t, living(t, pids), "nothing outlives a platform that stops")

	// One byte is changed on disk: the version is refused, and it is said why.
	changed := filepath.Join(m.Dir, "blobs", "models", "buyers", latest, "extras.tar.gz")
	b, err := os.ReadFile(changed)
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(changed, b, 0o600))
	m = harness.Up(t, m.Dir, nil)
	_, _, problem = ask(t, m, "buyers")
	require.Contains(t, problem, "extras.tar.gz")
	require.Contains(t, problem, "package is corrupt")
}

// living are the processes that left their id in a folder and still run.
func living(t *testing.T, pids string) (out []int) {
	t.Helper()
	entries, err := os.ReadDir(pids)
	require.NoError(t, err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		require.NoError(t, err)
		if syscall.Kill(pid, 0) == nil && !zombie(pid) {
			out = append(out, pid)
		}
	}
	return out
}

// zombie tells whether a process has ended and waits for a parent, which in a container may be one that never asks.
func zombie(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && strings.Contains(string(stat), ") Z ")
}
