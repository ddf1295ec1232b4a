package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

const codeWithin = 60 * time.Second

// withChampion is a platform whose model buyers has a first version of the built-in trainer, beside a model other that has none.
func withChampion(t *testing.T) *harness.Tidemill {
	t.Helper()
	m := harness.Up(t, harness.Dir(t), nil)
	m.Apply(harness.Declared{NewRows: 1_000_000}.YAML() + "---\n" + harness.Declared{Model: "other"}.ModelYAML())
	m.Must("publish", "visits", writeRows(t, m, "first.ndjson", 0, 3000))
	_, state := m.Settled("visits", "buyers", 3000, codeWithin)
	require.NotNil(t, state.Champion)
	return m
}

// copying is a trainer that needs nothing but a shell: it leaves the model that lies beside it.
func copying(t *testing.T, m *harness.Tidemill, onnx []byte, note string) (folder, declaration string) {
	t.Helper()
	folder = filepath.Join(m.Home, "copying")
	require.NoError(t, os.MkdirAll(folder, 0o755))
	script := "echo '" + note + "'\necho '{\"loss\": 0.5}'\ncp model.onnx \"$SM_MODEL_DIR/model.onnx\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(folder, "train.sh"), []byte(script), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "model.onnx"), onnx, 0o600))
	declaration = filepath.Join(m.Home, "model.yaml")
	yaml := harness.Declared{Candidates: "    - {name: copying, trainer: process, command: [sh, train.sh], source: ./copying, params: {note: a}}"}.ModelYAML()
	require.NoError(t, os.WriteFile(declaration, []byte(yaml), 0o600))
	return folder, declaration
}

// onnxOf is the model of a version.
func onnxOf(t *testing.T, m *harness.Tidemill, version api.Version) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(m.Dir, "blobs", filepath.FromSlash(version.URI), model.ModelFile))
	require.NoError(t, err)
	return b
}

func lineageOf(t *testing.T, m *harness.Tidemill, name string) (out api.Lineage) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(m.Must("lineage", name, "-o", "json")), &out))
	return out
}

// TestTryItBeforeYouDeployIt looks at the rows that a trainer sees, runs a trial that nobody declared yet, and changes nothing.
func TestTryItBeforeYouDeployIt(t *testing.T) {
	t.Parallel()
	m := withChampion(t)
	champion := *m.Model("buyers").Champion
	before := len(m.Facts())

	to := filepath.Join(m.Home, "rows")
	require.Contains(t, m.Must("snapshot", "export", "buyers", "--to", to), "wrote 6 files")
	for _, name := range []string{"train/train.parquet", "train/schema.json", "validation/validation.parquet", "validation/schema.json", "hyperparameters.json", "trial.json"} {
		require.FileExists(t, filepath.Join(to, name))
	}
	again := m.Run("snapshot", "export", "buyers", "--to", to)
	require.Equal(t, 1, again.Code)
	require.Contains(t, again.Stderr, "is not empty")
	m.Must("snapshot", "export", "buyers", "--to", to, "--force", "--window", "sliding 500rows")
	var schema struct{ Rows int }
	b, err := os.ReadFile(filepath.Join(to, "train", "schema.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &schema))
	require.Equal(t, 500, schema.Rows)

	builtin := m.Run("trial", "run", "buyers", "--local", "--param", "l2=10", "-o", "json")
	require.Zero(t, builtin.Code, builtin.Stderr)
	var ran struct {
		Params     map[string]any
		Validation map[string]float64
	}
	require.NoError(t, json.Unmarshal([]byte(builtin.Stdout), &ran))
	require.EqualValues(t, 10, ran.Params["l2"])
	require.Greater(t, ran.Validation["auc"], 0.6)

	folder, declaration := copying(t, m, onnxOf(t, m, champion), "hello from the trainer")
	kept := filepath.Join(m.Home, "kept")
	own := m.Run("trial", "run", "buyers", "--local", "-f", declaration, "--keep", kept)
	require.Zero(t, own.Code, own.Stderr)
	require.Contains(t, own.Stderr, "hello from the trainer")
	require.Contains(t, own.Stdout, "keeps its contract")
	require.FileExists(t, filepath.Join(kept, model.ModelFile))

	require.NoError(t, os.WriteFile(filepath.Join(folder, model.ModelFile), []byte("nonsense"), 0o600))
	broken := m.Run("trial", "run", "buyers", "--local", "-f", declaration)
	require.Equal(t, 1, broken.Code)
	require.Contains(t, broken.Stderr, "the trial failed: ")
	require.Len(t, m.Facts(), before, "nothing changed on the platform")
}

// TestCodeTravelsByItsDigest: a changed file is a change of the model, and every version tells its own code.
func TestCodeTravelsByItsDigest(t *testing.T) {
	t.Parallel()
	m := withChampion(t)
	onnx := onnxOf(t, m, *m.Model("buyers").Champion)
	folder, declaration := copying(t, m, onnx, "the first")
	require.Contains(t, m.Must("apply", "-f", declaration), "configured")
	require.Contains(t, m.Must("apply", "-f", declaration), "unchanged")
	m.Must("retrain", "buyers", "--wait")
	first := lineageOf(t, m, "buyers")
	require.Equal(t, "2", first.Version)

	require.NoError(t, os.WriteFile(filepath.Join(folder, "train.sh"), []byte("echo 'the second'\ncp model.onnx \"$SM_MODEL_DIR/model.onnx\"\n"), 0o600))
	require.Contains(t, m.Must("diff", "-f", declaration), "candidates[copying].code.sha256")
	require.Contains(t, m.Must("apply", "-f", declaration), "configured")
	require.NoError(t, os.RemoveAll(folder), "from now on only the platform has it")
	m.Must("retrain", "buyers", "--wait")
	second := lineageOf(t, m, "buyers")
	require.Equal(t, "3", second.Version)
	require.NotEmpty(t, first.Code.Digest)
	require.NotEqual(t, first.Code.Digest, second.Code.Digest)
	require.Equal(t, []api.Parent{{Kind: api.ParentChampion, Version: "2", SHA256: first.Package.SHA256}}, second.Parents)

	compared := m.Must("compare", "buyers@2", "3")
	require.Contains(t, compared, "modified train.sh")
	require.NotContains(t, compared, "model.onnx", "files that are the same are not listed")
	require.Contains(t, m.Must("logs", first.Trial.Trial), "the first")
	require.Contains(t, m.Must("logs", second.Trial.Trial, "-f"), "the second")
	text := m.Must("lineage", "buyers@3")
	for _, says := range []string{second.Code.Digest, second.Data.ID, "champion then", "signed by"} {
		require.Contains(t, text, says)
	}
	for _, version := range []string{"buyers@1", "buyers@2", "buyers@3"} {
		require.Contains(t, m.Must("reproduce", version), "bit-identical")
	}
}

// TestRefitsAndWarmStartsAreReproduced, too: what they were made from is known.
func TestRefitsAndWarmStartsAreReproduced(t *testing.T) {
	t.Parallel()
	m := withChampion(t)
	declared := harness.Declared{NewRows: 1_000_000, Window: "sliding: {rows: 2000}"}
	yaml := strings.Replace(declared.ModelYAML(), "  rollout:", "  refit: true\n  rollout:", 1) + "---\n" +
		strings.Replace(declared.PolicyYAML(), "  window:", "  warmStart: true\n  window:", 1)
	require.Contains(t, yaml, "refit: true")
	require.Contains(t, yaml, "warmStart: true")
	m.Apply(yaml)
	m.Must("publish", "visits", writeRows(t, m, "more.ndjson", 3000, 4000))
	m.Settled("visits", "buyers", 4000, codeWithin)
	m.Must("retrain", "buyers", "--wait")
	champion := lineageOf(t, m, "buyers")
	require.True(t, champion.Trial.Refit)
	kinds := []string{}
	for _, p := range champion.Parents {
		kinds = append(kinds, p.Kind)
	}
	require.Contains(t, kinds, api.ParentRefitOf)
	require.Contains(t, kinds, api.ParentWarmStart)
	judged := champion.Parents[0].Version
	require.NotEqual(t, champion.Data.TrainRows, lineageOf(t, m, "buyers@"+judged).Data.ValidationRows)
	require.Contains(t, m.Must("reproduce", "buyers"), "bit-identical")
	require.Contains(t, m.Must("reproduce", "buyers@"+judged), "bit-identical")
}

// TestWhateverWonIsReproduced: the winner of a search, and a program that answers instead of an ONNX model.
func TestWhateverWonIsReproduced(t *testing.T) {
	t.Parallel()
	m := withChampion(t)
	source := filepath.Join(m.Home, "counting")
	require.NoError(t, os.MkdirAll(source, 0o755))
	pids := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(source, "train.py"), []byte(countingTrainer), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(source, "predict.py"), []byte(strings.ReplaceAll(countingPredictor, "PIDS", strconv.Quote(pids))), 0o600))
	for i, candidate := range []string{
		"    - {name: searched, trainer: builtin/linear, search: {method: random, trials: 3, space: {l2: {log: [0.1, 10]}}}}",
		"    - {name: counting, trainer: process, command: [python3, train.py], predict: [python3, predict.py], source: ./counting, format: csv}",
	} {
		file := filepath.Join(m.Home, "model.yaml")
		require.NoError(t, os.WriteFile(file, []byte(harness.Declared{Candidates: candidate}.ModelYAML()), 0o600))
		m.Must("apply", "-f", file)
		m.Run("retrain", "buyers", "--wait") // whether it is promoted doesn't matter here
		version := "buyers@" + strconv.Itoa(2+i)
		require.Contains(t, m.Must("reproduce", version), "bit-identical")
		require.Contains(t, m.Must("lineage", version), m.Cycles("buyers")[0].Cycle)
	}
	require.Contains(t, m.Must("lineage", "buyers@3"), "python3 predict.py")
	ran := m.Run("trial", "run", "buyers", "--local")
	require.Zero(t, ran.Code, ran.Stderr)
	require.Contains(t, ran.Stdout, "keeps its contract")
}

// TestReproduceTellsTheFirstDifference when rows are gone, or the code does not do the same twice.
func TestReproduceTellsTheFirstDifference(t *testing.T) {
	t.Parallel()
	m := withChampion(t)
	onnx := onnxOf(t, m, *m.Model("buyers").Champion)
	folder, declaration := copying(t, m, onnx, "x")
	// Of one that says where it ran the bytes differ, and the scores do not.
	script := `cp model.onnx "$SM_MODEL_DIR/model.onnx"; printf '\022\006abc%03d' $(($$ % 1000)) >> "$SM_MODEL_DIR/model.onnx"` + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(folder, "train.sh"), []byte(script), 0o600))
	m.Must("apply", "-f", declaration)
	m.Must("retrain", "buyers", "--wait")
	r := m.Run("reproduce", "buyers", "-o", "json")
	require.Equal(t, 1, r.Code, r.Stdout+r.Stderr)
	var out struct {
		Identical bool
		First     string
		Metrics   []struct{ A, B float64 }
	}
	require.NoError(t, json.Unmarshal([]byte(r.Stdout), &out))
	require.False(t, out.Identical)
	require.Equal(t, "model", out.First)
	for _, x := range out.Metrics {
		require.InDelta(t, x.A, x.B, 1e-12)
	}

	key := m.Segments("visits")[0].Parquet.Key
	require.NoError(t, os.Remove(filepath.Join(m.Dir, "blobs", filepath.FromSlash(key))))
	require.Contains(t, m.Must("lineage", "buyers"), "1 segments are no longer stored")
	elsewhere := harness.Env(m.Home, "TIDEMILL_DATA_DIR="+m.Dir, "TIDEMILL_CACHE="+t.TempDir()) // nothing was fetched there before
	gone := harness.Run(t, m.Home, elsewhere, "reproduce", "buyers")
	require.Equal(t, 1, gone.Code)
	require.Contains(t, gone.Stderr, "can't be reproduced: segments 1 of visits are no longer stored")
}

// TestImportIsAFirstChampion brings a model that was trained elsewhere, and it goes live because it passes the gates.
func TestImportIsAFirstChampion(t *testing.T) {
	t.Parallel()
	m := withChampion(t)
	file := filepath.Join(m.Home, "m.onnx")
	require.NoError(t, os.WriteFile(file, onnxOf(t, m, *m.Model("buyers").Champion), 0o600))
	wrong := m.Run("import", "other", "--onnx", writeRows(t, m, "rows.onnx", 0, 3))
	require.Equal(t, 1, wrong.Code)
	require.Contains(t, wrong.Stderr, "is no ONNX model")

	out := m.Must("import", "other", "--onnx", file, "--trained-through", m.Segments("visits")[0].MaxTime.Format(time.RFC3339), "--wait")
	require.Contains(t, out, events.OutcomePromoted)
	l := lineageOf(t, m, "other")
	require.NotNil(t, l.Package.Import)
	require.Equal(t, "m.onnx", l.Package.Import.Name)
	require.Equal(t, l.Package.Import.ONNX.SHA256, l.Package.Files[model.ModelFile])
	no := m.Run("reproduce", "other")
	require.Equal(t, 1, no.Code)
	require.Contains(t, strings.ToLower(no.Stderr), "imported")
}
