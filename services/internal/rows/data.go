// Package rows gives services and workers the rows of segments as features and labels: core/lake behind the interface that
// workers/runtime asks for.
package rows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/features"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/workers/runtime"
)

const compiledKept = 128

// Data reads rows. It is safe for concurrent use.
type Data struct {
	engine   *lake.Engine
	blobs    *lake.Store
	compiled *lru.Cache[string, *features.Features]
}

var _ runtime.Data = (*Data)(nil)

// New reads rows of a store through an engine that may read the store's directory.
func New(e *lake.Engine, s *lake.Store) *Data {
	compiled, err := lru.New[string, *features.Features](compiledKept)
	if err != nil {
		panic(err) // only a size below 1 is refused
	}
	return &Data{engine: e, blobs: s, compiled: compiled}
}

// Compile guards and types features and label; what was compiled before is kept.
func (d *Data) Compile(ctx context.Context, columns []resource.Column, featureSQL, label, task string) (*features.Features, error) {
	return d.CompileWeighted(ctx, columns, featureSQL, label, task, "")
}

// CompileWeighted is Compile for training, where rows count as much as weight says; "" is no weight.
func (d *Data) CompileWeighted(ctx context.Context, columns []resource.Column, featureSQL, label, task, weight string) (*features.Features, error) {
	key, err := json.Marshal([]any{columns, featureSQL, label, task, weight})
	if err != nil {
		return nil, err
	}
	if f, ok := d.compiled.Get(string(key)); ok {
		return f, nil
	}
	var f *features.Features
	if weight == "" {
		f, err = features.Compile(ctx, d.engine, &resource.DatasetSpec{Columns: columns}, featureSQL, label, task)
	} else if f, err = d.Compile(ctx, columns, featureSQL, label, task); err == nil {
		f, err = f.WithWeight(ctx, weight)
	}
	if err != nil {
		return nil, err
	}
	d.compiled.Add(string(key), f)
	return f, nil
}

// Extract computes features, labels and weights.
func (d *Data) Extract(ctx context.Context, q runtime.Query) (runtime.Rows, error) {
	f, files, err := d.open(ctx, q)
	if err != nil {
		return runtime.Rows{}, err
	}
	m, err := f.Extract(ctx, files, options(q))
	if err != nil {
		return runtime.Rows{}, blame(ctx, err)
	}
	return ToRows(m), nil
}

// Export writes features, labels and weights to a file. Where there can't be rows there is no file.
func (d *Data) Export(ctx context.Context, q runtime.Query, path, format string) (int64, error) {
	f, files, err := d.open(ctx, q)
	if err != nil || len(files) == 0 {
		return 0, err
	}
	n, err := f.Export(ctx, files, options(q), path, format)
	return n, blame(ctx, err)
}

// Describe tells the columns of an exported file.
func (d *Data) Describe(ctx context.Context, q runtime.Query) (runtime.Shape, error) {
	f, err := d.compile(ctx, q)
	if err != nil {
		return runtime.Shape{}, err
	}
	out := runtime.Shape{Weight: f.WeightName()}
	if q.Weight == "" && len(q.ClassWeight) == 0 {
		out.Weight = ""
	}
	for i, name := range f.Names {
		out.Features = append(out.Features, feature(features.Column{Name: name, Kind: f.Kinds[i]}))
	}
	return out, nil
}

// Summarize counts rows with a label.
func (d *Data) Summarize(ctx context.Context, q runtime.Query) (runtime.Summary, error) {
	f, files, err := d.open(ctx, q)
	if err != nil {
		return runtime.Summary{}, err
	}
	sum, err := f.Summarize(ctx, files, span(q))
	if err != nil {
		return runtime.Summary{}, blame(ctx, err)
	}
	out := runtime.Summary{Rows: sum.Rows}
	if sum.Rows > 0 {
		out.Newest = time.UnixMicro(sum.Newest).UTC()
	}
	for _, c := range sum.Classes {
		out.Classes, out.Counts = append(out.Classes, c.Name), append(out.Counts, c.Rows)
	}
	return out, nil
}

func options(q runtime.Query) features.Options {
	return features.Options{Range: span(q), Labels: true, ClassWeight: q.ClassWeight}
}

func span(q runtime.Query) lake.Range {
	return lake.Range{From: q.Range.From, To: q.Range.To, Newest: q.LastRows,
		Draw: lake.Draw{Rows: q.Sample, Balanced: q.Method == events.SampleBalanced, Seed: q.Seed}}
}

// compile compiles the query.
func (d *Data) compile(ctx context.Context, q runtime.Query) (*features.Features, error) {
	f, err := d.CompileWeighted(ctx, q.Columns, q.Features, q.Label, q.Task, q.Weight)
	if err != nil && ctx.Err() == nil {
		return nil, &runtime.Failure{Reason: err.Error()}
	}
	return f, err
}

// open compiles the query and finds the files that may hold rows of its range.
func (d *Data) open(ctx context.Context, q runtime.Query) (*features.Features, []features.File, error) {
	f, err := d.compile(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	parts := make([]lake.Part, len(q.Segments))
	for i, s := range q.Segments {
		parts[i] = lake.PartOf(s)
	}
	var files []features.File
	for _, part := range lake.Select(parts, span(q)).Parts {
		path, err := d.blobs.Local(ctx, part.Parquet)
		if err != nil {
			return nil, nil, fmt.Errorf("segment %d of %s: %w", part.Ordinal, q.Dataset, err)
		}
		files = append(files, features.File{Path: path, Ordinal: part.Ordinal})
	}
	return f, files, nil
}

// blame tells errors of the declared SQL on these rows from trouble of the platform.
func blame(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if errors.Is(err, features.ErrData) {
		return &runtime.Failure{Reason: err.Error()}
	}
	return err
}

// ToRows turns a matrix into what trainers and scorers take.
func ToRows(m *features.Matrix) runtime.Rows {
	out := runtime.Rows{Time: m.Times, Batch: ToBatch(m), Weight: m.Weights}
	for _, c := range m.Columns {
		out.Features = append(out.Features, feature(c))
	}
	switch m.Labels.Kind {
	case features.Text:
		out.Classes = slices.Clone(m.Labels.Texts)
		slices.Sort(out.Classes)
		out.Classes = slices.Compact(out.Classes)
		out.Label = make([]float64, len(m.Labels.Texts))
		for i, text := range m.Labels.Texts {
			k, _ := slices.BinarySearch(out.Classes, text)
			out.Label[i] = float64(k)
		}
	case features.Boolean:
		out.Label, out.Classes = m.Labels.Numbers, []string{"false", "true"}
	default:
		out.Label = m.Labels.Numbers
	}
	return out
}

// ToBatch is the features alone.
func ToBatch(m *features.Matrix) model.Batch {
	b := model.Batch{N: m.Rows, Columns: make([]model.Column, len(m.Columns))}
	for i, c := range m.Columns {
		if c.Kind == features.Text {
			b.Columns[i].Text = c.Texts
		} else {
			b.Columns[i].Numeric = c.Numbers
		}
	}
	return b
}

func feature(c features.Column) events.Feature {
	kind := model.KindNumeric
	if c.Kind == features.Text {
		kind = model.KindString
	}
	return events.Feature{Name: c.Name, Kind: kind}
}

// Columns are the dataset's columns that the features use.
func (d *Data) Columns(ctx context.Context, spec *resource.DatasetSpec, m *resource.ModelSpec) ([]string, error) {
	f, err := d.Compile(ctx, spec.Columns, m.Features, m.Label, m.Task)
	if err != nil {
		return nil, err
	}
	return slices.Clone(f.Used), nil
}
