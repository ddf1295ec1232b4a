package scoring_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/archive"
	"github.com/tidemill/tidemill/core/model/modeltest"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/internal/hosttest"
	"github.com/tidemill/tidemill/services/internal/scoring"
	"github.com/tidemill/tidemill/workers/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// program answers 0.25, 0.75; about more than three rows it first does what it is told.
const program = `#!/usr/bin/env python3
import json, os, sys
{{start}}
for line in sys.stdin:
    request = json.loads(line)
    if len(request["rows"]) > 3:
        {{then}}
    print(json.dumps({"id": request["id"], "probabilities": [[0.25, 0.75] for _ in request["rows"]]}), flush=True)
`

// once is done by the first process of a version alone.
const once = `os.path.exists("done") or (open("done", "w").close(), sys.exit("this once"))`

// stored is a version with the program.
func stored(t *testing.T, h *host.Host, version, start, then string) events.Version {
	t.Helper()
	dir := t.TempDir()
	text := strings.NewReplacer("{{start}}", start, "{{then}}", then).Replace(program)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "predict"), []byte(text), 0o755))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	packed, _, err := archive.Pack(root, archive.Options{Limit: 1 << 20})
	require.NoError(t, err)
	pkg, err := model.Build(model.Manifest{Model: "late", Version: version, Dataset: "flights", FeatureSQL: "distance, origin", LabelSQL: "late",
		Contract: modeltest.Binary, Predict: &model.PredictCommand{Command: []string{"./predict"}, Folder: model.FolderModel}},
		map[string][]byte{model.ExtrasFile: packed}, h.Keys)
	require.NoError(t, err)
	require.NoError(t, pkg.Write(t.Context(), h.Blobs))
	return pkg.Ref()
}

func opened(t *testing.T) (*host.Host, *scoring.Versions) {
	t.Helper()
	h := hosttest.New(t).Host(t)
	h.Command.Dir, h.Command.Backoff, h.Command.MaxBackoff = t.TempDir(), time.Millisecond, 10*time.Millisecond
	v := scoring.New(h)
	t.Cleanup(v.Close)
	return h, v
}

func score(t *testing.T, v *scoring.Versions, ref events.Version) (scoring.Scored, error) {
	t.Helper()
	x, err := v.Open(t.Context(), ref)
	require.NoError(t, err)
	defer x.Release()
	b, _ := modeltest.Batch(10)
	return x.Score(t.Context(), runtime.Rows{Batch: b, Features: modeltest.Features, Classes: []string{"false", "true"}, Label: make([]float64, 10), Time: make([]int64, 10)})
}

// A process that ends is no reason to lose a segment's figures; one that ends whenever it sees the rows doesn't fit them.
func TestAProcessThatEndsIsAskedAgain(t *testing.T) {
	t.Parallel()
	h, v := opened(t)
	got, err := score(t, v, stored(t, h, "1", "", once))
	require.NoError(t, err)
	require.Len(t, got.Scores, 10)
	require.InDelta(t, 0.75, got.Scores[0], 1e-6)

	_, err = score(t, v, stored(t, h, "2", "", `sys.exit("never")`))
	require.ErrorContains(t, err, "never")
	require.True(t, scoring.Unfit(err), "trying again is useless")

	got, err = score(t, v, stored(t, h, "3", `os.path.exists(os.environ["HOME"] + "/../../started") or (open(os.environ["HOME"] + "/../../started", "w").close(), sys.exit("at start"))`, "pass"))
	require.NoError(t, err, "one that ends while it starts is started again")
	require.Len(t, got.Scores, 10)

	_, err = v.Open(t.Context(), stored(t, h, "4", `sys.exit("no weights")`, "pass"))
	require.ErrorContains(t, err, "no weights")
	require.True(t, scoring.Unfit(err))
}

func TestOnlyAFewProcessesAreKept(t *testing.T) {
	t.Parallel()
	h, v := opened(t)
	for _, name := range []string{"1", "2", "3", "4"} {
		_, err := score(t, v, stored(t, h, name, "", "pass"))
		require.NoError(t, err)
	}
	hosttest.Await(t, "the oldest are closed", func() bool {
		left, err := os.ReadDir(h.Command.Dir)
		require.NoError(t, err)
		return len(left) == 2
	})
}

// A version that is slow to open holds up nobody else, and nobody longer than they want.
func TestASlowStartHoldsUpNobody(t *testing.T) {
	t.Parallel()
	h, v := opened(t)
	slow := stored(t, h, "1", "import time; time.sleep(600)", "pass")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := v.Open(ctx, slow)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = score(t, v, stored(t, h, "2", "", "pass"))
	require.NoError(t, err)
	v.Close() // and it doesn't hold up the end
	_, err = v.Open(t.Context(), slow)
	require.ErrorIs(t, err, context.Canceled)
}
