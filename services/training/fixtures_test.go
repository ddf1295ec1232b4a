package training_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/onnxgraph"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/internal/hosttest"
	"github.com/tidemill/tidemill/services/training"
	"github.com/tidemill/tidemill/workers/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dataset = `
apiVersion: tidemill.dev/v1
kind: Dataset
metadata: {name: trips}
spec:
  columns:
    - {name: at, type: timestamp, eventTime: true}
    - {name: distance, type: float64}
    - {name: delay, type: float64}
`

// declared is a regression on trips; more is what its spec has besides.
func declared(name, more string) string {
	return fmt.Sprintf(`
apiVersion: tidemill.dev/v1
kind: Model
metadata: {name: %s}
spec:
  dataset: trips
  task: regression
  features: distance
  label: delay
  split: {by: time, validation: 1d, test: 2d}
  evaluation: {primary: rmse, gates: [{metric: rmse, max: 100}]}
%s`, name, more)
}

// linear is a model's only candidate.
const linear = "  candidates: [{name: linear, trainer: builtin/linear, params: {l2: 1.0}}]\n"

var noon = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// world is a broker with a dataset of ten segments of a day each, from noon on.
func world(t testing.TB) *hosttest.World {
	t.Helper()
	w := hosttest.New(t)
	w.Apply(t, dataset)
	for i := range 10 {
		from := noon.AddDate(0, 0, i)
		w.Say(t, events.SegmentAcceptedType, "trips", events.SegmentAccepted{Segment: events.Segment{Dataset: "trips", Ordinal: uint64(i + 1),
			Parquet: events.Blob{Key: fmt.Sprintf("segments/%d", i)}, Rows: 100, MinTime: from, MaxTime: from.Add(23 * time.Hour)}})
	}
	return w
}

const (
	day = 24 * time.Hour
	us  = time.Microsecond
)

// lastRow is the newest event time of the world's rows.
var lastRow = noon.AddDate(0, 0, 9).Add(23 * time.Hour)

// train starts an instance of the service.
func train(t testing.TB, w *hosttest.World, change ...func(*host.Host)) (stop func()) {
	t.Helper()
	h := w.Host(t)
	for _, c := range change {
		c(h)
	}
	c, err := training.New(t.Context(), h)
	require.NoError(t, err)
	return w.Run(t, c)
}

// request requests a cycle.
func request(t testing.TB, w *hosttest.World, name string, number int64, change ...func(*events.CycleRequested)) string {
	t.Helper()
	p := events.CycleRequested{Cycle: fmt.Sprintf("%s-%d", name, number), Number: number, Model: name, ModelRevision: 1,
		Snapshot: events.Snapshot{ID: "snapshot", Dataset: "trips", Through: 10}}
	for _, c := range change {
		c(&p)
	}
	w.Say(t, events.CycleRequestedType, name, p)
	return p.Cycle
}

// workers take trials and finish them as a test says.
type workers struct {
	t  testing.TB
	w  *hosttest.World
	do func(runtime.Spec) events.TrialFinished

	mu   sync.Mutex
	took []runtime.Spec
}

// employ starts workers with so many slots in all; do says how a trial ends. The trial, its cycle and so on are filled in.
func employ(t testing.TB, w *hosttest.World, slots int, do func(runtime.Spec) events.TrialFinished) (*workers, func()) {
	t.Helper()
	c := &workers{t: t, w: w, do: do}
	h := w.Host(t)
	badge := jobs.NewBadge(h.JS, jobs.Presence{Name: "w", Pool: "default", Slots: slots}, jobs.PresenceOptions{})
	leave := w.Run(t, badge)
	stop := w.Run(t, jobs.NewQueue(h.JS).Component(jobs.Consumer{Kind: runtime.JobKind, Pool: "default", Slots: slots, Handler: c.handle}))
	return c, func() { stop(); leave() }
}

func (c *workers) handle(ctx context.Context, d jobs.Delivery) error {
	spec, err := runtime.DecodeSpec(d.Payload)
	if err != nil {
		return bus.Terminal(err)
	}
	c.mu.Lock()
	c.took = append(c.took, spec)
	c.mu.Unlock()
	p := c.do(spec)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return c.finish(ctx, spec, p)
}

func (c *workers) finish(ctx context.Context, spec runtime.Spec, p events.TrialFinished) error {
	p.Trial, p.Cycle, p.Model, p.Candidate, p.Attempt = spec.Trial, spec.Cycle, spec.Model, spec.Candidate.Name, 1
	if p.Succeeded && p.Command == nil {
		blob, err := c.w.Blobs.PutBytes(ctx, "trials/"+spec.Trial+"/model.onnx", onnx())
		if err != nil {
			return err
		}
		p.Package, p.Features, p.Input = &blob, []events.Feature{{Name: "distance", Kind: model.KindNumeric}}, model.InputMatrix
	}
	f, err := events.NewFact(events.DeriveID("trial", spec.Trial, "finished"), events.TrialFinishedType, "workers", spec.Model, time.Now(), p)
	if err != nil {
		return err
	}
	_, err = c.w.Bus.Say(ctx, f)
	return err
}

// trials are those that were taken, in order.
func (c *workers) trials() []runtime.Spec {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.took)
}

func (c *workers) ids() []string {
	var out []string
	for _, s := range c.trials() {
		out = append(out, s.Trial)
	}
	return out
}

// onnx is a model that answers twice the distance.
func onnx() []byte {
	g := onnxgraph.New("twice")
	g.Input("features", onnxgraph.Float, onnxgraph.Rows, 1)
	g.Floats("two", []float32{2}, 1, 1)
	g.Node("MatMul", []string{"features", "two"}, []string{"prediction"})
	g.Output("prediction", onnxgraph.Float, onnxgraph.Rows, 1)
	return g.Marshal()
}

// scored is a trial that succeeded with this rmse.
func scored(rmse float64) events.TrialFinished {
	return events.TrialFinished{Succeeded: true, Validation: map[string]float64{"rmse": rmse}, Reported: map[string]float64{"best": rmse},
		TrainedThrough: noon, TrainRows: 500, ValidationRows: 100, Seconds: 0.01}
}

func failed(reason string) events.TrialFinished { return events.TrialFinished{Reason: reason} }

// waiting counts the jobs of a pool.
func waiting(t testing.TB, w *hosttest.World, pool string) int {
	t.Helper()
	n, err := jobs.NewQueue(w.JS).Waiting(t.Context(), runtime.JobKind, pool)
	require.NoError(t, err)
	return n
}

// trained waits for the cycle's candidate.trained.
func trained(t testing.TB, w *hosttest.World, cycle string) events.CandidateTrained {
	t.Helper()
	return said[events.CandidateTrained](t, w, events.CandidateTrainedType, cycle, func(p events.CandidateTrained) string { return p.Cycle })
}

// said waits for the one fact of a type about a cycle.
func said[T any](t testing.TB, w *hosttest.World, ty events.Type, cycle string, of func(T) string) T {
	t.Helper()
	name := cycle[:strings.LastIndexByte(cycle, '-')]
	var found []T
	hosttest.Await(t, ty.Short()+" of "+cycle, func() bool {
		found = slices.DeleteFunc(hosttest.Payloads[T](t, w, ty, name), func(p T) bool { return of(p) != cycle })
		return len(found) > 0
	})
	require.Len(t, found, 1)
	return found[0]
}

// packaged reads a version's package, and so verifies it.
func packaged(t testing.TB, w *hosttest.World, v events.Version) model.Manifest {
	t.Helper()
	pkg, err := model.Read(t.Context(), w.Blobs, v, w.Keys)
	require.NoError(t, err)
	return pkg.Manifest
}
