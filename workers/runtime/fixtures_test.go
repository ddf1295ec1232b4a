package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/onnxgraph"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/workers/runtime"
	"github.com/tidemill/tidemill/workers/runtime/guard"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if guard.ServeWatchdog(os.Args[1:], os.Stdin) {
		return
	}
	if dir := os.Getenv(workerVariable); dir != "" {
		beWorker(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

var start = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)

func day(n int) time.Time { return start.AddDate(0, 0, n) }

// table is a dataset in memory: one row an hour for 30 days, late when x is high, and more so in "b".
type table struct {
	fail error // what reading says, when set
}

func (t table) rows(q runtime.Query) runtime.Rows {
	out := runtime.Rows{Features: []model.Feature{{Name: "x", Kind: model.KindNumeric}, {Name: "place", Kind: model.KindString}},
		Batch: model.Batch{Columns: make([]model.Column, 2)}, Classes: []string{"false", "true"}}
	for i := range 30 * 24 {
		at := start.Add(time.Duration(i) * time.Hour)
		if at.Before(q.Range.From) || (!q.Range.To.IsZero() && !at.Before(q.Range.To)) {
			continue
		}
		x, place, label := float32(i*7%24), []string{"a", "b", "c"}[i%3], 0.0
		if float64(x)+6*float64(i%3)+float64(i*13%17) > 24 {
			label = 1
		}
		out.Batch.N++
		out.Batch.Columns[0].Numeric = append(out.Batch.Columns[0].Numeric, x)
		out.Batch.Columns[1].Text = append(out.Batch.Columns[1].Text, place)
		out.Label = append(out.Label, label)
		if q.ClassWeight != nil {
			w, ok := q.ClassWeight[out.Classes[int(label)]]
			if !ok {
				w = 1
			}
			out.Weight = append(out.Weight, w)
		}
		out.Time = append(out.Time, at.UnixMicro())
	}
	return out
}

func (t table) Extract(_ context.Context, q runtime.Query) (runtime.Rows, error) {
	return t.rows(q), t.fail
}

func (t table) Summarize(_ context.Context, q runtime.Query) (runtime.Summary, error) {
	r := t.rows(q)
	out := runtime.Summary{Rows: int64(r.Batch.N), Classes: r.Classes, Counts: make([]int64, 2)}
	for i, y := range r.Label {
		out.Counts[int(y)]++
		out.Newest = time.UnixMicro(r.Time[i]).UTC()
	}
	return out, t.fail
}

func (t table) Describe(_ context.Context, q runtime.Query) (runtime.Shape, error) {
	shape := runtime.Shape{Features: t.rows(runtime.Query{}).Features}
	if len(q.ClassWeight) > 0 {
		shape.Weight = "weight"
	}
	return shape, t.fail
}

func (t table) Export(_ context.Context, q runtime.Query, path, _ string) (int64, error) {
	var out bytes.Buffer
	fmt.Fprintln(&out, "x,place,label")
	r := t.rows(q)
	for i := range r.Batch.N {
		fmt.Fprintf(&out, "%v,%s,%v\n", r.Batch.Columns[0].Numeric[i], r.Batch.Columns[1].Text[i], r.Label[i])
	}
	return int64(r.Batch.N), os.WriteFile(path, out.Bytes(), 0o644)
}

// memory is blob storage in a map.
type memory struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (m *memory) PutBytes(_ context.Context, key string, b []byte) (events.Blob, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = map[string][]byte{}
	}
	m.m[key] = b
	return events.Blob{Key: key, SHA256: sum(b), Bytes: int64(len(b))}, nil
}

func (m *memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.m[key]
	if !ok {
		return nil, errors.New("no object " + key)
	}
	return b, nil
}

func builtin() runtime.Spec {
	return runtime.Spec{Trial: "late-1-logistic-1", Cycle: "late-1", Model: "late", Dataset: "hours", Task: resource.TaskBinary,
		Candidate: resource.Candidate{Name: "logistic", Trainer: "builtin/linear", Params: map[string]any{"l2": 1.0}, Pool: "default"},
		Features:  "x, place", Label: "late", Segments: []events.Segment{{Ordinal: 1}}, Seed: 7,
		Train: runtime.Range{To: day(20)}, Validation: runtime.Range{From: day(20), To: day(23)}, Test: runtime.Range{From: day(23), To: day(30)}}
}

// trial is a process trial: files go into its source folder, and script is what it runs.
func (b *bench) trial(script string, files map[string][]byte) runtime.Spec {
	dir := b.t.TempDir()
	for name, content := range files {
		require.NoError(b.t, os.WriteFile(filepath.Join(dir, name), content, 0o644))
	}
	require.NoError(b.t, os.WriteFile(filepath.Join(dir, "train.sh"), []byte(script), 0o644))
	packed, err := runtime.PackSource(dir)
	require.NoError(b.t, err)
	s := builtin()
	s.Trial = "late-1-script-1"
	blob, err := b.blobs.PutBytes(context.Background(), "code", packed)
	require.NoError(b.t, err)
	s.Code = &blob
	s.Candidate = resource.Candidate{Name: "script", Trainer: "process", Command: []string{"sh", "train.sh"}, Format: "csv", Pool: "default"}
	return s
}

// bench is a runner with what it needs.
type bench struct {
	t       testing.TB
	blobs   *memory
	data    table
	dir     string
	options runtime.Options
	mu      sync.Mutex
	updates []runtime.Update
}

func newBench(t testing.TB) *bench {
	dir := t.TempDir()
	return &bench{t: t, blobs: &memory{}, dir: dir, options: runtime.Options{Dir: dir, Grace: 300 * time.Millisecond}}
}

func (b *bench) runner() *runtime.Runner {
	ort, err := model.Load("")
	require.NoError(b.t, err)
	return runtime.NewRunner(b.data, b.blobs, ort, b.options)
}

func (b *bench) run(ctx context.Context, s runtime.Spec) (runtime.Result, []string, error) {
	require.NoError(b.t, s.Check())
	return b.runner().Run(ctx, s, 1, func(u runtime.Update) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.updates = append(b.updates, u)
	})
}

// onnx is a model of x and place: probability of class 1 is σ(x·slope).
func onnx(slope float32, output string) []byte {
	g := onnxgraph.New("test")
	g.Input("x", onnxgraph.Float, onnxgraph.Rows, 1)
	g.Input("place", onnxgraph.String, onnxgraph.Rows, 1)
	g.Floats("slope", []float32{slope}, 1)
	g.Node("Mul", []string{"x", "slope"}, []string{"z"})
	g.Node("Neg", []string{"z"}, []string{"nz"})
	g.Node("Concat", []string{"nz", "z"}, []string{"both"}, onnxgraph.AttrInt("axis", 1))
	g.Node("Sigmoid", []string{"both"}, []string{output})
	g.Output(output, onnxgraph.Float, onnxgraph.Rows, 2)
	return g.Marshal()
}

// zipMap is a model as scikit-learn exports it unless told otherwise.
func zipMap(input string, zip bool) []byte {
	g := onnxgraph.New("zipmap")
	g.Input(input, onnxgraph.Float, onnxgraph.Rows, 1)
	g.Input("place", onnxgraph.String, onnxgraph.Rows, 1)
	g.Node("Concat", []string{input, input}, []string{"both"}, onnxgraph.AttrInt("axis", 1))
	if zip {
		g.NodeML("ZipMap", []string{"both"}, []string{"probabilities"}, onnxgraph.AttrInts("classlabels_int64s", []int64{0, 1}))
	} else {
		g.Node("Softmax", []string{"both"}, []string{"probabilities"})
	}
	g.Output("probabilities", onnxgraph.Inferred)
	return g.Marshal()
}

// seen tells whether a trial has left its mark in its checkpoint folder.
func seen(dir string) bool {
	found, _ := filepath.Glob(filepath.Join(dir, "*", "checkpoints-*", "seen"))
	return len(found) > 0
}
