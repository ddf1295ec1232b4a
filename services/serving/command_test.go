package serving_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/archive"
	"github.com/tidemill/tidemill/services/internal/hosttest"
)

// program answers as binary does with the slope 0.25, and ends when it is asked about the origin "!".
const program = `
import json, math, sys
for line in sys.stdin:
    request = json.loads(line)
    ps = []
    for row in request["rows"]:
        if row["origin"] == "!":
            sys.exit("I don't go there")
        z = 0.25 * row["far"] + 0.1 * row["hour"] - 0.01 * row["size"] + {"SFO": 1, "JFK": -1}.get(row["origin"], 0)
        ps.append([1 / (1 + math.exp(z)), 1 / (1 + math.exp(-z))])
    print(json.dumps({"id": request["id"], "probabilities": ps}), flush=True)
`

// answered is a version without ONNX: a program that its trainer left in the model folder. It does what first says before.
func answered(t testing.TB, name, version, first string) model.Package {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "predict"), []byte("#!/usr/bin/env python3\n"+first+program), 0o755))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	packed, _, err := archive.Pack(root, archive.Options{Limit: 1 << 20})
	require.NoError(t, err)
	m := manifest(name, version)
	m.Predict = &model.PredictCommand{Command: []string{"./predict"}, Folder: model.FolderModel}
	pkg, err := model.Build(m, map[string][]byte{model.ExtrasFile: packed}, hosttest.Keys(t))
	require.NoError(t, err)
	return pkg
}

// TestACommandServes serves a version without ONNX, kills its process by a request, and replaces it by one with ONNX.
func TestACommandServes(t *testing.T) {
	t.Parallel()
	p := world(t)
	p.host.Command.Dir, p.host.Command.Backoff = t.TempDir(), time.Millisecond
	p.Apply(t, flightsYAML)
	p.serve()
	p.promote(answered(t, "late", "1", ""))
	var m metadata
	require.Equal(t, http.StatusOK, p.get("/v2/models/late", &m))
	require.Equal(t, "tidemill_command", m.Platform)
	right := func() int {
		status, a := p.infer("late", map[string]any{"inputs": columnTensors()})
		if status != http.StatusOK {
			return status
		}
		got := a.numbers(t, "probabilities")
		for i, v := range want(0.25) {
			require.InDelta(t, v, got[2*i+1], 1e-5)
		}
		return status
	}
	require.Equal(t, http.StatusOK, right())

	status, a := p.infer("late", `{"inputs":[{"name":"far","datatype":"FP64","shape":[1],"data":[1]},{"name":"hour","datatype":"FP64","shape":[1],"data":[1]},`+
		`{"name":"size","datatype":"FP64","shape":[1],"data":[1]},{"name":"origin","datatype":"BYTES","shape":[1],"data":["!"]}]}`)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, a.Error, "I don't go there")
	hosttest.Await(t, "its process is started again", func() bool { return right() == http.StatusOK })

	p.promote(binary(t, "late", "2", 0.25))
	require.Equal(t, http.StatusOK, right())
	hosttest.Await(t, "the process of the version before is gone", func() bool {
		left, err := os.ReadDir(p.host.Command.Dir)
		require.NoError(t, err)
		return len(left) == 0
	})
}

// TestAFirstVersionIsWaitedFor: who hears that a model has its first champion asks before serving has loaded it.
func TestAFirstVersionIsWaitedFor(t *testing.T) {
	t.Parallel()
	p := world(t)
	p.host.Command.Dir = t.TempDir()
	p.Apply(t, flightsYAML)
	p.serve()
	began, goOn := filepath.Join(t.TempDir(), "began"), filepath.Join(t.TempDir(), "go-on")
	gate := fmt.Sprintf("import os, time\nopen(%q, 'w').close()\nwhile not os.path.exists(%q): time.sleep(0.01)\n", began, goOn)
	p.deploy(p.store(answered(t, "late", "1", gate)))
	hosttest.Await(t, "it is being loaded", func() bool { _, err := os.Stat(began); return err == nil })

	hasty := http.Client{Timeout: 100 * time.Millisecond}
	_, err := hasty.Get(p.url + "/v2/models/late")
	require.ErrorContains(t, err, "Timeout", "it waits")
	require.NoError(t, os.WriteFile(goOn, nil, 0o600))
	status, a := p.infer("late", map[string]any{"inputs": columnTensors()})
	require.Equal(t, http.StatusOK, status, a.Error)
	require.Equal(t, "1", a.Version)
}
