package runtime_test

import (
	"context"
	"database/sql/driver"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/workers/runtime"
)

const examplesDir = "../../examples"

// inPython are the examples that share one requirements.txt.
var inPython = []string{"sklearn", "lightgbm", "xgboost", "numpy-checkpoint", "text"}

// venvs makes the environment that the examples in Python share, where there is none, and tells where environments lie.
func venvs(t *testing.T) string {
	made, err := exec.CommandContext(t.Context(), "../../infra/dev/python-venv.sh", filepath.Join(examplesDir, "sklearn")).Output()
	require.NoError(t, err, "the Python environment of the examples could not be made")
	return filepath.Dir(strings.TrimSpace(string(made)))
}

// example is the trial of an example as its tidemill.yaml declares it, on some of the rows, and a runner for it.
func example(t *testing.T, name string, data runtime.Data, o runtime.Options, params map[string]any) (*runtime.Runner, runtime.Spec) {
	dir := filepath.Join(examplesDir, name)
	declared, err := resource.Load(filepath.Join(dir, "tidemill.yaml"))
	require.NoError(t, err)
	var spec runtime.Spec
	for _, r := range declared {
		if r.Model == nil {
			continue
		}
		m := r.Model
		require.Len(t, m.Candidates, 1)
		spec = builtin()
		spec.Trial, spec.Model, spec.Dataset, spec.Task = name+"-1", r.Metadata.Name, m.Dataset, m.Task
		spec.Features, spec.Label, spec.Candidate, spec.Params = m.Features, m.Label, m.Candidates[0], params
	}
	spec.Candidate.Resources.CPU = 1 // threads that wait for each other are slow where tests crowd the machine
	source, err := runtime.PackSource(filepath.Join(dir, spec.Candidate.Source))
	require.NoError(t, err)
	blobs := &memory{}
	code, err := blobs.PutBytes(t.Context(), "code", source)
	require.NoError(t, err)
	spec.Code = &code
	spec.Train, spec.Validation = runtime.Range{From: day(0), To: day(18)}, runtime.Range{From: day(18), To: day(21)}
	spec.Test = runtime.Range{From: day(21), To: day(28)}
	ort, err := model.Load("")
	require.NoError(t, err)
	return runtime.NewRunner(data, blobs, ort, o), spec
}

// Every example trains flights through a worker's own code, answers in ONNX Runtime as it did where it was trained, and finds
// something in them. The second run gives the same bytes.
func TestExamplesOnFlights(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		params map[string]any
		auc    float64
	}{
		"lightgbm":         {map[string]any{"rounds": 60}, 0.61},
		"xgboost":          {map[string]any{"rounds": 60}, 0.61},
		"numpy-checkpoint": {nil, 0.61},
		"node":             {nil, 0.60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := runtime.Options{Dir: t.TempDir()}
			if name != "node" {
				o.Venvs = venvs(t)
			}
			runner, spec := example(t, name, openFlights(t, o.Dir), o, c.params)
			first, tail, err := runner.Run(t.Context(), spec, 1, nil)
			require.NoError(t, err, strings.Join(tail, "\n"))
			require.EqualValues(t, 29589, first.TrainRows)
			require.Greater(t, first.Validation["auc"], c.auc)
			require.InDelta(t, first.Reported["logloss"], first.Validation["logloss"], 1e-6, "the model answers otherwise than where it was trained")
			t.Logf("%v, %d bytes", first.Validation, len(first.ONNX))

			spec.Trial += "-again"
			second, tail, err := runner.Run(t.Context(), spec, 1, nil)
			require.NoError(t, err, strings.Join(tail, "\n"))
			require.Equal(t, sum(first.ONNX), sum(second.ONNX), "the same rows and seed give the same model")
		})
	}
}

// A refit trains on the rows that told when to stop, so it takes as many rounds as the judged trial did.
func TestBoostingExamplesAreRefitted(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"lightgbm", "xgboost"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := runtime.Options{Dir: t.TempDir(), Venvs: venvs(t)}
			runner, spec := example(t, name, openFlights(t, o.Dir), o, nil)
			spec.Train.To, spec.Refit, spec.Reported = day(28), true, map[string]float64{"best_iteration": 13}
			refitted, tail, err := runner.Run(t.Context(), spec, 1, nil)
			require.NoError(t, err, strings.Join(tail, "\n"))
			require.InDelta(t, 13, refitted.Reported["best_iteration"], 0)
		})
	}
}

// The texts of examples/text are sorted by team, by a model that reads them as they are.
func TestTextExample(t *testing.T) {
	t.Parallel()
	o := runtime.Options{Dir: t.TempDir(), Venvs: venvs(t)}
	runner, spec := example(t, "text", openTickets(t, o.Dir), o, nil)
	first := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	spec.Train = runtime.Range{From: first, To: first.AddDate(0, 0, 40)}
	spec.Validation = runtime.Range{From: spec.Train.To, To: first.AddDate(0, 0, 50)}
	spec.Test = runtime.Range{From: spec.Validation.To}
	found, tail, err := runner.Run(t.Context(), spec, 1, nil)
	require.NoError(t, err, strings.Join(tail, "\n"))
	require.Equal(t, []string{"account", "billing", "delivery", "product"}, found.Contract.Classes)
	require.EqualValues(t, 1600, found.TrainRows)
	require.Greater(t, found.Validation["accuracy"], 0.9)
	require.InDelta(t, found.Reported["accuracy"], found.Validation["accuracy"], 1e-9)
	require.InDelta(t, found.Reported["logloss"], found.Validation["logloss"], 1e-6)

	made, err := exec.CommandContext(t.Context(), "python3", filepath.Join(examplesDir, "text", "generate.py")).Output()
	require.NoError(t, err)
	kept, err := os.ReadFile(filepath.Join(examplesDir, "text", "tickets.csv"))
	require.NoError(t, err)
	require.Equal(t, string(kept), string(made), "tickets.csv is not what generate.py writes")
}

// The NumPy example is killed once and told to stop once; each time it goes on from its newest checkpoint, and in the end its model
// is the one of a run that nobody disturbed.
func TestNumPyExampleResumes(t *testing.T) {
	t.Parallel()
	o := runtime.Options{Dir: t.TempDir(), Venvs: venvs(t)}
	runner, spec := example(t, "numpy-checkpoint", openFlights(t, o.Dir), o, map[string]any{"epochs": 30})
	// at runs the trial and disturbs it once it has finished so many epochs.
	at := func(epochs float64, disturb func(pid int, cancel context.CancelCauseFunc)) ([]string, error) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		pid := 0
		var once sync.Once
		_, tail, err := runner.Run(ctx, spec, 1, func(u runtime.Update) {
			if u.PID != 0 {
				pid = u.PID
			}
			if u.Metrics["epoch"] >= epochs {
				once.Do(func() { disturb(pid, cancel) })
			}
		})
		return tail, err
	}
	tail, err := at(3, func(pid int, _ context.CancelCauseFunc) { assert.NoError(t, syscall.Kill(pid, syscall.SIGKILL)) })
	require.Error(t, err)
	require.Contains(t, tail[0], "started anew")

	tail, err = at(10, func(_ int, cancel context.CancelCauseFunc) { cancel(runtime.ErrCancelled) })
	require.ErrorIs(t, err, runtime.ErrCancelled)
	require.GreaterOrEqual(t, resumedFrom(t, tail), 3)
	require.Contains(t, tail[len(tail)-1], "is saved")

	resumed, tail, err := runner.Run(t.Context(), spec, 1, nil)
	require.NoError(t, err, strings.Join(tail, "\n"))
	require.GreaterOrEqual(t, resumedFrom(t, tail), 10)

	spec.Trial += "-undisturbed"
	whole, tail, err := runner.Run(t.Context(), spec, 1, nil)
	require.NoError(t, err, strings.Join(tail, "\n"))
	require.Contains(t, tail[0], "started anew")
	require.Equal(t, sum(whole.ONNX), sum(resumed.ONNX))
}

// resumedFrom is the epoch of the checkpoint that the example says it began with.
func resumedFrom(t *testing.T, lines []string) (epoch int) {
	for _, line := range lines {
		if _, found, ok := strings.Cut(line, "resumed from epoch "); ok {
			_, err := fmt.Sscan(found, &epoch)
			require.NoError(t, err)
			return epoch
		}
	}
	require.Fail(t, "it did not resume", strings.Join(lines, "\n"))
	return 0
}

// Examples travel alone, each with its own copy of what they share.
func TestExamplesShareFiles(t *testing.T) {
	t.Parallel()
	same := func(file string, examples ...string) {
		first, err := os.ReadFile(filepath.Join(examplesDir, examples[0], file))
		require.NoError(t, err)
		for _, name := range examples[1:] {
			other, err := os.ReadFile(filepath.Join(examplesDir, name, file))
			require.NoError(t, err)
			require.Equal(t, string(first), string(other), "%s of %s and %s differ", file, examples[0], name)
		}
	}
	same(runtime.RequirementsFile, inPython...)
	same("tabular.py", "lightgbm", "xgboost")
}

// tickets are the rows of examples/text.
type tickets struct{ engine *lake.Engine }

func openTickets(t *testing.T, dir string) tickets {
	e, err := lake.OpenEngine(t.Context(), lake.EngineOptions{Dirs: []string{dir, filepath.Join(examplesDir, "text")}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return tickets{e}
}

func (d tickets) sql(columns string, q runtime.Query) string {
	path, err := filepath.Abs(filepath.Join(examplesDir, "text", "tickets.csv"))
	if err != nil {
		panic(err)
	}
	const form = "2006-01-02 15:04:05"
	where := fmt.Sprintf("opened >= TIMESTAMP '%s'", q.Range.From.Format(form))
	if !q.Range.To.IsZero() {
		where += fmt.Sprintf(" AND opened < TIMESTAMP '%s'", q.Range.To.Format(form))
	}
	return fmt.Sprintf("SELECT %s FROM read_csv(%s, header = true, columns = {'opened': 'TIMESTAMP', 'text': 'VARCHAR', 'team': 'VARCHAR'}) WHERE %s",
		columns, lake.Literal(path), where)
}

func (d tickets) Describe(context.Context, runtime.Query) (runtime.Shape, error) {
	return runtime.Shape{Features: []model.Feature{{Name: "text", Kind: model.KindString}}}, nil
}

func (d tickets) Extract(ctx context.Context, q runtime.Query) (runtime.Rows, error) {
	out := runtime.Rows{Features: []model.Feature{{Name: "text", Kind: model.KindString}}, Batch: model.Batch{Columns: make([]model.Column, 1)}}
	var labels []string
	err := d.engine.Scan(ctx, d.sql(q.Features+", "+q.Label+", epoch_us(opened)", q), func(row []driver.Value) error {
		out.Batch.Columns[0].Text = append(out.Batch.Columns[0].Text, row[0].(string))
		labels = append(labels, row[1].(string))
		out.Time = append(out.Time, row[2].(int64))
		out.Batch.N++
		return nil
	})
	out.Classes = slices.Compact(slices.Sorted(slices.Values(labels)))
	for _, label := range labels {
		out.Label = append(out.Label, float64(slices.Index(out.Classes, label)))
	}
	return out, err
}

func (d tickets) Summarize(ctx context.Context, q runtime.Query) (out runtime.Summary, err error) {
	err = d.engine.Scan(ctx, d.sql(q.Label+", count(*), max(opened)", q)+" GROUP BY 1 ORDER BY 1", func(row []driver.Value) error {
		out.Classes, out.Counts = append(out.Classes, row[0].(string)), append(out.Counts, row[1].(int64))
		out.Rows += row[1].(int64)
		if newest := row[2].(time.Time); newest.After(out.Newest) {
			out.Newest = newest
		}
		return nil
	})
	return out, err
}

func (d tickets) Export(ctx context.Context, q runtime.Query, path, format string) (n int64, err error) {
	err = d.engine.Scan(ctx, "COPY ("+d.sql(q.Features+", ("+q.Label+") AS "+runtime.LabelColumn, q)+") TO "+lake.Literal(path)+
		" (FORMAT "+format+")", func(row []driver.Value) error { n, _ = row[0].(int64); return nil })
	return n, err
}
