package runtime_test

import (
	"context"
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/workers/runtime"
)

// flights are the rows of examples/flights.
type flights struct{ engine *lake.Engine }

const (
	flightsDir      = "../../examples/flights"
	flightsFeatures = "hour(date)::VARCHAR AS hour, dayofweek(date)::VARCHAR AS dow, distance, origin, destination"
)

func openFlights(t *testing.T, dirs ...string) flights {
	e, err := lake.OpenEngine(t.Context(), lake.EngineOptions{Dirs: append(dirs, flightsDir)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return flights{e}
}

func (f flights) sql(columns string, q runtime.Query) string {
	path, err := filepath.Abs(filepath.Join(flightsDir, "flights.parquet"))
	if err != nil {
		panic(err)
	}
	const form = "2006-01-02 15:04:05"
	return fmt.Sprintf("SELECT %s FROM %s WHERE date >= '%s' AND date < '%s' AND delay BETWEEN -120 AND 1440",
		columns, lake.ReadParquet([]string{path}), q.Range.From.Format(form), q.Range.To.Format(form))
}

func (f flights) Extract(ctx context.Context, q runtime.Query) (runtime.Rows, error) {
	shape, err := f.Describe(ctx, q)
	if err != nil {
		return runtime.Rows{}, err
	}
	out := runtime.Rows{Features: shape.Features, Classes: []string{"false", "true"}, Batch: model.Batch{Columns: make([]model.Column, 5)}}
	err = f.engine.Scan(ctx, f.sql(q.Features+", ("+q.Label+")::INT::DOUBLE, epoch_us(date)", q), func(row []driver.Value) error {
		for i := range out.Features {
			c := &out.Batch.Columns[i]
			if i == 2 {
				c.Numeric = append(c.Numeric, float32(row[i].(int64)))
			} else {
				c.Text = append(c.Text, row[i].(string))
			}
		}
		out.Label = append(out.Label, row[5].(float64))
		out.Time = append(out.Time, row[6].(int64))
		out.Batch.N++
		return nil
	})
	return out, err
}

func (f flights) Describe(context.Context, runtime.Query) (runtime.Shape, error) {
	var out runtime.Shape
	for i, name := range []string{"hour", "dow", "distance", "origin", "destination"} {
		kind := model.KindString
		if i == 2 {
			kind = model.KindNumeric
		}
		out.Features = append(out.Features, model.Feature{Name: name, Kind: kind})
	}
	return out, nil
}

func (f flights) Summarize(ctx context.Context, q runtime.Query) (out runtime.Summary, err error) {
	err = f.engine.Scan(ctx, f.sql("count(*), max(date)", q), func(row []driver.Value) error {
		out.Rows = row[0].(int64)
		out.Newest, _ = row[1].(time.Time)
		return nil
	})
	return out, err
}

func (f flights) Export(ctx context.Context, q runtime.Query, path, format string) (n int64, err error) {
	err = f.engine.Scan(ctx, "COPY ("+f.sql(q.Features+", ("+q.Label+")::INT AS "+runtime.LabelColumn, q)+") TO "+lake.Literal(path)+
		" (FORMAT "+format+")", func(row []driver.Value) error { n, _ = row[0].(int64); return nil })
	return n, err
}

// The scikit-learn example and the built-in trainer fit the same model on real rows: two ways to the same answers, judged by
// the same figures.
func TestScikitLearnExample(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	source, err := runtime.PackSource("../../examples/sklearn")
	require.NoError(t, err)
	code, err := b.blobs.PutBytes(t.Context(), "code", source)
	require.NoError(t, err)
	ort, err := model.Load("")
	require.NoError(t, err)
	runner := runtime.NewRunner(openFlights(t, b.dir), b.blobs, ort, runtime.Options{
		Dir: b.dir, Venvs: venvs(t)})

	linear := builtin()
	linear.Features, linear.Label = flightsFeatures, "delay >= 15"
	linear.Train, linear.Validation = runtime.Range{From: day(0), To: day(18)}, runtime.Range{From: day(18), To: day(21)}
	linear.Test = runtime.Range{From: day(21), To: day(28)}
	python := linear
	python.Trial, python.Code = "late-1-sklearn-1", &code
	python.Candidate = resource.Candidate{Name: "sklearn", Trainer: "process", Command: []string{"python3", "train.py"},
		Params: map[string]any{"learner": "logistic", "C": 1.0, "max-iter": 1000}}

	ours, _, err := runner.Run(t.Context(), linear, 1, nil)
	require.NoError(t, err)
	theirs, tail, err := runner.Run(t.Context(), python, 1, nil)
	require.NoError(t, err, strings.Join(tail, "\n"))

	require.Equal(t, ours.Contract, theirs.Contract)
	require.Equal(t, ours.TrainRows, theirs.TrainRows)
	require.EqualValues(t, 29589, ours.TrainRows)
	require.True(t, strings.HasPrefix(theirs.Environment["python"], "3."), theirs.Environment)
	require.InDelta(t, theirs.Reported["auc"], theirs.Validation["auc"], 1e-4, "the model answers in ONNX as it did in Python")
	require.InDelta(t, ours.Validation["auc"], theirs.Validation["auc"], 1e-3)
	require.InDelta(t, ours.Validation["logloss"], theirs.Validation["logloss"], 1e-3)
	require.Greater(t, ours.Validation["auc"], 0.58)
	t.Logf("built-in %v", ours.Validation)
	t.Logf("scikit-learn %v", theirs.Validation)
}
