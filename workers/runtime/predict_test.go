package runtime_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/archive"
	"github.com/tidemill/tidemill/workers/runtime"
)

// predictor answers as the model of onnx does, with the slope that it finds in its model folder. {{…}} is where it may go wrong.
const predictor = `#!/usr/bin/env python3
import json, math, os, sys
with open(os.path.join(os.environ["SM_MODEL_DIR"], "slope")) as f:
    slope = float(f.read())
for line in sys.stdin:
    request = json.loads(line)
    ps = [1 / (1 + math.exp(-slope * (row["x"] or 0))) for row in request["rows"]]
    answer = {"id": request["id"], "probabilities": [[1 - p, p] for p in ps]}
    {{wrong}}
    print(json.dumps(answer), flush=True)
`

func predictorThat(wrong string) []byte {
	return []byte(strings.Replace(predictor, "{{wrong}}", wrong, 1))
}

func contents(t testing.TB, packed []byte) map[string]string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, archive.Unpack(packed, dir, 1<<20))
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		b, err := os.ReadFile(path)
		out[name] = string(b)
		return err
	}))
	return out
}

func TestWhatElseATrainerLeaves(t *testing.T) {
	t.Parallel()
	script := `
cp model.bin "$SM_MODEL_DIR/model.onnx"
mkdir "$SM_MODEL_DIR/state" && echo optimizer > "$SM_MODEL_DIR/state/a" && ln -s /etc/passwd "$SM_MODEL_DIR/link"
cp model.bin "$SM_MODEL_DIR/predict" && chmod +x "$SM_MODEL_DIR/predict"`
	run := func() runtime.Result {
		b := newBench(t)
		r, _, err := b.run(context.Background(), b.trial(script, map[string][]byte{"model.bin": onnx(0.1, "probabilities")}))
		require.NoError(t, err)
		return r
	}
	r := run()
	require.Nil(t, r.Predict, "there is an ONNX model")
	require.NotEmpty(t, r.ONNX)
	left := contents(t, r.Extras)
	require.Len(t, left, 2, "the model has a place of its own, and links are left out")
	require.Equal(t, "optimizer\n", left["state/a"])
	require.Equal(t, r.Extras, run().Extras, "the same files give the same bytes")

	b := newBench(t)
	r, _, err := b.run(context.Background(), b.trial(`cp model.bin "$SM_MODEL_DIR/model.onnx"`, map[string][]byte{"model.bin": onnx(0.1, "probabilities")}))
	require.NoError(t, err)
	require.Nil(t, r.Extras)
}

// A command is judged as the ONNX model is that answers the same.
func TestPredictCommandInsteadOfONNX(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	want, _, err := b.run(context.Background(), b.trial(`cp model.bin "$SM_MODEL_DIR/model.onnx"`, map[string][]byte{"model.bin": onnx(0.1, "probabilities")}))
	require.NoError(t, err)

	declared := newBench(t)
	s := declared.trial(`echo 0.1 > "$SM_MODEL_DIR/slope"`, map[string][]byte{"predict.py": predictorThat("")})
	s.Candidate.Predict = []string{"python3", "predict.py"}
	r, _, err := declared.run(context.Background(), s)
	require.NoError(t, err)
	require.Equal(t, &model.PredictCommand{Command: []string{"python3", "predict.py"}, Folder: model.FolderCode}, r.Predict)
	require.Nil(t, r.ONNX)
	require.Equal(t, map[string]string{"slope": "0.1\n"}, contents(t, r.Extras))
	require.Equal(t, want.Contract.Classes, r.Contract.Classes)
	require.Len(t, r.Validation, len(want.Validation))
	for name, v := range want.Validation {
		require.InDelta(t, v, r.Validation[name], 1e-5, name)
	}

	left := newBench(t)
	s = left.trial(`echo 0.1 > "$SM_MODEL_DIR/slope"; cp answer "$SM_MODEL_DIR/predict"; chmod +x "$SM_MODEL_DIR/predict"`, map[string][]byte{"answer": predictorThat("")})
	r, _, err = left.run(context.Background(), s)
	require.NoError(t, err)
	require.Equal(t, &model.PredictCommand{Command: []string{"./predict"}, Folder: model.FolderModel}, r.Predict)
	require.InDelta(t, want.Validation["logloss"], r.Validation["logloss"], 1e-5)
	entries, err := filepath.Glob(filepath.Join(left.dir, s.Trial, "attempt-1", "*"))
	require.NoError(t, err)
	require.Empty(t, entries, "the command's folder goes with the trial's")
}

func TestBadPredictCommandsFailTheTrial(t *testing.T) {
	t.Parallel()
	for words, wrong := range map[string]string{
		"its last line: no weights":               `sys.exit("no weights")`,
		"has 3 values, not 2":                     `answer["probabilities"] = [[0, 0, 1] for p in ps]`,
		"scores NaN":                              `answer["probabilities"] = [[math.nan, 1] for p in ps]`,
		`printed "Loading…" on standard output`:   `print("Loading…")`,
		"answered with an error: I will not":      `answer = {"id": request["id"], "error": "I will not"}`,
		"on the validation rows, its predict":     `sys.exit("too many") if len(ps) > 3 else None`,
		"on the validation rows, the model's ans": `answer["probabilities"][-1] = [math.nan, math.nan] if len(ps) > 3 else [0, 1]`,
		"sums to 2": `answer["probabilities"] = [[1, 1] for p in ps]`,
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			s := b.trial(`echo 0.1 > "$SM_MODEL_DIR/slope"`, map[string][]byte{"predict.py": predictorThat(wrong)})
			s.Candidate.Predict = []string{"python3", "predict.py"}
			_, _, err := b.run(context.Background(), s)
			var failure *runtime.Failure
			require.ErrorAs(t, err, &failure)
			require.ErrorContains(t, err, words)
		})
	}
	b := newBench(t)
	s := b.trial(`echo > "$SM_MODEL_DIR/predict"`, nil)
	_, _, err := b.run(context.Background(), s)
	require.ErrorContains(t, err, "no executable file predict")
	s.Candidate.Predict = []string{"frobnicate"}
	_, _, err = b.run(context.Background(), s)
	require.ErrorContains(t, err, `"frobnicate" can't be started`)
}
