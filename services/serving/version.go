package serving

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidemill/tidemill/core/lake/features"
	lakerows "github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/catalog"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/internal/rows"
	"github.com/tidemill/tidemill/services/serving/oip"
)

// version is an opened version. Who uses it holds it between acquire and release; it closes when nobody does and close was
// called.
type version struct {
	ref      events.Version
	manifest model.Manifest
	scorer   model.Predictor
	raw      *rawColumns // nil when rows of the dataset can't be turned into features
	rawError error       // why
	revision uint64      // of the dataset that raw was made of; 0: there was none

	place    map[string]int // of a feature, by name
	head     []byte         // of every answer: {"model_name":…,"model_version":…
	labels   [][]byte       // classes as JSON strings
	logHead  []byte         // of a line of the log, after the time
	logKeys  [][]byte       // of the features
	observed prometheus.Observer

	refs   atomic.Int64
	closed atomic.Bool
	loaded prometheus.Gauge
}

// rawColumns turns rows of the dataset into the version's features, by the SQL that it was trained with.
type rawColumns struct {
	spec     *resource.DatasetSpec
	checker  *lakerows.Checker
	features *features.Features
	online   *features.Online
	types    []string       // of features.Used
	place    map[string]int // in features.Used, by column
	logKeys  [][]byte
}

// openVersion loads a package, verifies its signature and digests, and runs it once. Without a usable dataset the version still takes features.
func openVersion(ctx context.Context, h *host.Host, m *metrics, ref events.Version) (*version, error) {
	pkg, scorer, err := h.OpenVersion(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("load version %s of %s: %w", ref.Version, ref.Model, err)
	}
	v := &version{ref: ref, manifest: pkg.Manifest, scorer: scorer, place: map[string]int{}, loaded: m.loaded,
		observed: m.requests.WithLabelValues(ref.Model, "200")}
	for i, f := range pkg.Manifest.Features {
		v.place[f.Name] = i
	}
	v.head = oip.AppendString([]byte(`{"model_name":`), ref.Model)
	v.head = oip.AppendString(append(v.head, `,"model_version":`...), ref.Version)
	v.logHead = oip.AppendString([]byte(`,"model":`), ref.Model)
	v.logHead = oip.AppendString(append(v.logHead, `,"version":`...), ref.Version)
	v.logKeys = keys(names(pkg.Manifest.Features))
	for _, class := range pkg.Manifest.Classes {
		v.labels = append(v.labels, oip.AppendString(nil, class))
	}
	dataset, _ := h.Catalog.Dataset(pkg.Manifest.Dataset)
	v.revision = dataset.Revision
	if v.raw, v.rawError = openColumns(ctx, h, pkg.Manifest, dataset); v.rawError != nil && ctx.Err() != nil {
		scorer.Close()
		return nil, ctx.Err()
	}
	v.refs.Store(1)
	m.loaded.Inc()
	return v, nil
}

func openColumns(ctx context.Context, h *host.Host, m model.Manifest, dataset catalog.Resource) (*rawColumns, error) {
	spec := dataset.Dataset
	if spec == nil {
		return nil, fmt.Errorf("there is no dataset %s", m.Dataset)
	}
	f, err := features.Compile(ctx, h.Engine, spec, m.FeatureSQL, m.LabelSQL, m.Task)
	if err != nil {
		return nil, fmt.Errorf("dataset %s, revision %d: %w", m.Dataset, dataset.Revision, err)
	}
	r := &rawColumns{spec: spec, features: f, place: map[string]int{}, logKeys: keys(f.Used)}
	for i, name := range f.Used {
		c, _ := spec.Column(name)
		r.types = append(r.types, c.Type)
		r.place[name] = i
	}
	if r.checker, err = lakerows.Compile(spec); err != nil {
		return nil, err
	}
	if r.online, err = f.Online(ctx); err != nil {
		return nil, err
	}
	if err := r.check(ctx, m.Features); err != nil {
		return nil, errors.Join(err, r.online.Close())
	}
	return r, nil
}

func names(features []model.Feature) []string {
	out := make([]string, len(features))
	for i, f := range features {
		out[i] = f.Name
	}
	return out
}

// check computes a row of nulls, which also warms the way, and compares the features with those that the model was trained on.
func (r *rawColumns) check(ctx context.Context, want []model.Feature) error {
	nulls := make([]lakerows.Value, len(r.types))
	for i := range nulls {
		nulls[i].Null = true
	}
	m, err := r.online.Compute(ctx, [][]lakerows.Value{nulls})
	if errors.Is(err, features.ErrData) {
		return nil // that row alone
	}
	if err != nil {
		return err
	}
	if got := rows.ToRows(m).Features; !slices.Equal(got, want) {
		return fmt.Errorf("the dataset's columns now give the features %v, the version was trained on %v", got, want)
	}
	return nil
}

// acquire holds the version; false when it is gone.
func (v *version) acquire() bool {
	for {
		n := v.refs.Load()
		if n == 0 {
			return false
		}
		if v.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (v *version) release() {
	if v.refs.Add(-1) > 0 {
		return
	}
	v.scorer.Close()
	if v.raw != nil {
		_ = v.raw.online.Close() // connections to memory; there is nothing to lose
	}
	v.loaded.Dec()
}

// close lets the version go when its last holder does. It doesn't wait, and closing twice is safe.
func (v *version) close() {
	if !v.closed.Swap(true) {
		v.release()
	}
}
