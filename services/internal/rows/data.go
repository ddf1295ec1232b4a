// Package rows gives services and workers the rows of segments as features and labels: core/lake behind the interface that
// workers/runtime asks for.
package rows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

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
	key, err := json.Marshal([]any{columns, featureSQL, label, task})
	if err != nil {
		return nil, err
	}
	if f, ok := d.compiled.Get(string(key)); ok {
		return f, nil
	}
	f, err := features.Compile(ctx, d.engine, &resource.DatasetSpec{Columns: columns}, featureSQL, label, task)
	if err == nil {
		d.compiled.Add(string(key), f)
	}
	return f, err
}

// Extract computes features and labels.
func (d *Data) Extract(ctx context.Context, q runtime.Query) (runtime.Rows, error) {
	f, paths, err := d.open(ctx, q)
	if err != nil {
		return runtime.Rows{}, err
	}
	m, err := f.Extract(ctx, paths, features.ExtractOptions{Range: span(q), Labels: true})
	if err != nil {
		return runtime.Rows{}, blame(ctx, err)
	}
	return ToRows(m), nil
}

// Export writes features and labels to a file. Where there can't be rows there is no file.
func (d *Data) Export(ctx context.Context, q runtime.Query, path, format string) (int64, error) {
	f, paths, err := d.open(ctx, q)
	if err != nil || len(paths) == 0 {
		return 0, err
	}
	n, err := f.Export(ctx, paths, span(q), path, format)
	return n, blame(ctx, err)
}

// Count counts rows with a label.
func (d *Data) Count(ctx context.Context, q runtime.Query) (int64, error) {
	f, paths, err := d.open(ctx, q)
	if err != nil {
		return 0, err
	}
	n, err := f.Count(ctx, paths, span(q))
	return n, blame(ctx, err)
}

func span(q runtime.Query) lake.Range {
	return lake.Range{From: q.Range.From, To: q.Range.To, Newest: q.LastRows}
}

// open compiles the query and finds the files that may hold rows of its range.
func (d *Data) open(ctx context.Context, q runtime.Query) (*features.Features, []string, error) {
	f, err := d.Compile(ctx, q.Columns, q.Features, q.Label, q.Task)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, err
		}
		return nil, nil, &runtime.Failure{Reason: err.Error()}
	}
	parts := make([]lake.Part, len(q.Segments))
	for i, s := range q.Segments {
		parts[i] = lake.PartOf(s)
	}
	var paths []string
	for _, part := range lake.Select(parts, span(q)).Parts {
		path, err := d.blobs.Local(ctx, part.Parquet)
		if err != nil {
			return nil, nil, fmt.Errorf("segment %d of %s: %w", part.Ordinal, q.Dataset, err)
		}
		paths = append(paths, path)
	}
	return f, paths, nil
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
	out := runtime.Rows{Time: m.Times, Batch: ToBatch(m)}
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
