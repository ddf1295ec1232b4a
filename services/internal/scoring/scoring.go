// Package scoring opens versions and lets them score rows, for the services that judge: monitoring, evaluation and the gateway.
package scoring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/workers/runtime"
)

const (
	keep         = 16 // opened versions
	keepCommands = 2  // of them, those that are processes
	tries        = 3  // of a version whose process ends or is too slow
)

// ErrNoRows says that a version was given no row with a label that it can judge.
var ErrNoRows = errors.New("no rows to judge")

// Versions opens versions and keeps the last few. It is safe for concurrent use.
type Versions struct {
	host    *host.Host
	life    context.Context // of what is being opened: it must not depend on whoever asked first
	end     context.CancelFunc
	loading singleflight.Group
	loads   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[string]*Version // by digest
	order  []string            // oldest first
}

// Version is an opened version.
type Version struct {
	Manifest model.Manifest
	Bytes    int64 // of its package's files
	scorer   model.Predictor
}

// New keeps versions of the host's store.
func New(h *host.Host) *Versions {
	life, end := context.WithCancel(context.Background())
	return &Versions{host: h, life: life, end: end, open: map[string]*Version{}}
}

// Close closes what is open; what scores at the moment may end first.
func (v *Versions) Close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.end()
	v.loads.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, x := range v.open {
		x.scorer.Close()
	}
	v.open, v.order = map[string]*Version{}, nil
}

// Open gives a version, its signature and digests verified. Call Release on it when done. One that is slow to open holds up
// nobody who wants another.
func (v *Versions) Open(ctx context.Context, ref events.Version) (*Version, error) {
	for {
		x, err := v.held(ref)
		if x != nil || err != nil {
			return x, err
		}
		select {
		case done := <-v.loading.DoChan(ref.SHA256, func() (any, error) { return nil, v.load(ref) }):
			if done.Err != nil {
				return nil, fmt.Errorf("open version %s of %s: %w", ref.Version, ref.Model, done.Err)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// held is an open version, which the caller holds from now on; nil when it has to be loaded first.
func (v *Versions) held(ref events.Version) (*Version, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil, fmt.Errorf("open version %s of %s: %w", ref.Version, ref.Model, context.Canceled)
	}
	if x, ok := v.open[ref.SHA256]; ok && x.scorer.Acquire() {
		return x, nil
	}
	return nil, nil
}

// load opens a version and keeps it.
func (v *Versions) load(ref events.Version) error {
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return context.Canceled
	}
	v.loads.Add(1)
	v.mu.Unlock()
	defer v.loads.Done()
	pkg, scorer, err := v.host.OpenVersion(v.life, ref)
	for try := 1; try < tries && unavailable(err); try++ {
		pkg, scorer, err = v.host.OpenVersion(v.life, ref)
	}
	if err != nil {
		return err
	}
	x := &Version{Manifest: pkg.Manifest, scorer: scorer}
	for _, file := range pkg.Files {
		x.Bytes += int64(len(file))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open[ref.SHA256] = x
	v.order = append(v.order, ref.SHA256)
	v.forget()
	return nil
}

// forget closes the oldest versions of those that are too many.
func (v *Versions) forget() {
	commands := 0
	for i := len(v.order) - 1; i >= 0; i-- {
		x := v.open[v.order[i]]
		if x.Manifest.Predict != nil {
			commands++
		}
		if len(v.order)-i > keep || x.Manifest.Predict != nil && commands > keepCommands {
			delete(v.open, v.order[i])
			v.order = slices.Delete(v.order, i, i+1)
			v.loads.Go(x.scorer.Close) // it may end a process
		}
	}
}

// Release says that the version is no longer used by the caller of Open.
func (x *Version) Release() { x.scorer.Release() }

// Query asks for the rows that the version can score: with its own features and the given label.
func (x *Version) Query(dataset string, columns []resource.Column, segments []events.Segment, label string, in runtime.Range) runtime.Query {
	return runtime.Query{Dataset: dataset, Columns: columns, Segments: segments, Features: x.Manifest.FeatureSQL, Label: label,
		Task: x.Manifest.Task, Range: in}
}

// Unfit tells a version that doesn't fit the rows it was given, for which trying again is useless, from trouble of the platform,
// which passes.
func Unfit(err error) bool {
	var failure *runtime.Failure
	var contract *model.BrokenContract
	var nan *model.NotFinite
	return errors.As(err, &failure) || errors.As(err, &contract) || errors.As(err, &nan) || errors.Is(err, model.ErrCorrupt) ||
		errors.Is(err, model.ErrUntrusted) || unavailable(err)
}

// unavailable tells that the version's process ended or was too slow. Here it was tried more than once.
func unavailable(err error) bool {
	var u *model.Unavailable
	return errors.As(err, &u)
}

// answer lets the version answer, again when its process ended meanwhile.
func (x *Version) answer(ctx context.Context, b model.Batch) (out []float32, err error) {
	for range tries {
		if out, err = x.scorer.Score(ctx, b); !unavailable(err) {
			return out, err
		}
		_ = x.scorer.Await(ctx) // the next try tells
	}
	return nil, err
}

// Scored are the rows that were judged, and their places among the rows that were given: a row whose class the version has not
// seen in training can't be judged.
type Scored struct {
	*evaluation.Scored
	Rows []int
}

// Score lets the version answer for rows and pairs the answers with the labels. ErrNoRows when there are none.
func (x *Version) Score(ctx context.Context, rows runtime.Rows) (Scored, error) {
	if rows.Batch.N == 0 {
		return Scored{}, ErrNoRows
	}
	answers, err := x.answer(ctx, rows.Batch)
	if err != nil {
		return Scored{}, fmt.Errorf("score with version %s of %s: %w", x.Manifest.Version, x.Manifest.Model, err)
	}
	out := Scored{Scored: &evaluation.Scored{Task: x.Manifest.Task}}
	width := len(answers) / rows.Batch.N
	class := x.classes(rows)
	if x.Manifest.Task == resource.TaskMulticlass {
		out.Classes = width
	}
	for i, y := range rows.Label {
		row := answers[i*width : (i+1)*width]
		if x.Manifest.Task == resource.TaskMulticlass {
			k, known := class[int(y)]
			if !known {
				continue
			}
			y = float64(k)
		} else {
			row = row[width-1:] // the positive class is the last one
		}
		out.Rows = append(out.Rows, i)
		out.Label = append(out.Label, y)
		out.Time = append(out.Time, rows.Time[i])
		for _, p := range row {
			out.Scores = append(out.Scores, float64(p))
		}
	}
	if len(out.Rows) == 0 {
		return Scored{}, ErrNoRows
	}
	return out, nil
}

// classes maps the rows' class numbers to the version's.
func (x *Version) classes(rows runtime.Rows) map[int]int {
	out := map[int]int{}
	for i, name := range rows.Classes {
		for k, own := range x.Manifest.Classes {
			if own == name {
				out[i] = k
			}
		}
	}
	return out
}
