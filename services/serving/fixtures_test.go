package serving_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/onnxgraph"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/core/rollout"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/auth"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/internal/hosttest"
	"github.com/tidemill/tidemill/services/serving"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

const token = "secret"

const flightsYAML = `apiVersion: tidemill.dev/v1
kind: Dataset
metadata: {name: flights}
spec:
  columns:
    - {name: date, type: timestamp, eventTime: true}
    - {name: delay, type: float64, required: true, min: -120, max: 1440}
    - {name: distance, type: float64, min: 0}
    - {name: origin, type: string, values: [SFO, JFK, LAX]}
    - {name: seats, type: int64}
    - {name: weekend, type: boolean}
`

const (
	featureSQL = "coalesce(distance, 0) / 100 AS far, coalesce(hour(date), 0) AS hour, coalesce(seats, 0) + CASE WHEN weekend THEN 1 ELSE 0 END AS size, origin"
	labelSQL   = "delay >= 15"
)

var flightFeatures = []model.Feature{{Name: "far", Kind: model.KindNumeric}, {Name: "hour", Kind: model.KindNumeric},
	{Name: "size", Kind: model.KindNumeric}, {Name: "origin", Kind: model.KindString}}

// score is what the flight models compute before they answer.
func score(slope, far, hour, size float64, origin string) float64 {
	return slope*far + 0.1*hour - 0.01*size + map[string]float64{"SFO": 1, "JFK": -1}[origin]
}

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

// flightGraph leaves score in z.
func flightGraph(slope float32) *onnxgraph.Graph {
	g := onnxgraph.New("flights")
	for i, f := range flightFeatures[:3] {
		g.Input(f.Name, onnxgraph.Float, onnxgraph.Rows, 1)
		g.Floats("w"+f.Name, []float32{[]float32{slope, 0.1, -0.01}[i]}, 1)
		g.Node("Mul", []string{f.Name, "w" + f.Name}, []string{"m" + f.Name})
	}
	g.Input("origin", onnxgraph.String, onnxgraph.Rows, 1)
	g.NodeML("LabelEncoder", []string{"origin"}, []string{"morigin"}, onnxgraph.AttrStrings("keys_strings", []string{"SFO", "JFK"}),
		onnxgraph.AttrFloats("values_floats", []float32{1, -1}), onnxgraph.AttrFloat("default_float", 0))
	g.Node("Sum", []string{"mfar", "mhour", "msize", "morigin"}, []string{"z"})
	g.Node("Neg", []string{"z"}, []string{"nz"})
	return g
}

func manifest(name, version string) model.Manifest {
	return model.Manifest{Model: name, Version: version, Dataset: "flights", FeatureSQL: featureSQL, LabelSQL: labelSQL,
		Contract: model.Contract{Task: resource.TaskBinary, Features: flightFeatures, Classes: []string{"false", "true"}}}
}

// binary answers σ(−z), σ(z).
func binary(t testing.TB, name, version string, slope float32) model.Package {
	t.Helper()
	g := flightGraph(slope)
	g.Node("Concat", []string{"nz", "z"}, []string{"both"}, onnxgraph.AttrInt("axis", 1))
	g.Node("Sigmoid", []string{"both"}, []string{"probabilities"})
	g.Output("probabilities", onnxgraph.Float, onnxgraph.Rows, 2)
	return built(t, manifest(name, version), g)
}

// multiclass answers the softmax of −z, z, 0.
func multiclass(t testing.TB, name, version string) model.Package {
	t.Helper()
	g := flightGraph(1)
	g.Node("Sub", []string{"z", "z"}, []string{"zero"})
	g.Node("Concat", []string{"nz", "z", "zero"}, []string{"all"}, onnxgraph.AttrInt("axis", 1))
	g.Node("Softmax", []string{"all"}, []string{"probabilities"}, onnxgraph.AttrInt("axis", 1))
	g.Output("probabilities", onnxgraph.Float, onnxgraph.Rows, 3)
	m := manifest(name, version)
	m.Task, m.Classes, m.LabelSQL = resource.TaskMulticlass, []string{`"early"`, "late", "on time"}, "CASE WHEN delay > 15 THEN 'late' ELSE 'on time' END"
	return built(t, m, g)
}

// regression answers z.
func regression(t testing.TB, name, version string) model.Package {
	t.Helper()
	g := flightGraph(1)
	g.Node("Identity", []string{"z"}, []string{"prediction"})
	g.Output("prediction", onnxgraph.Float, onnxgraph.Rows, 1)
	m := manifest(name, version)
	m.Task, m.Classes, m.LabelSQL = resource.TaskRegression, nil, "delay"
	return built(t, m, g)
}

// numeric takes two numbers, as a matrix, and answers their sum.
func numeric(t testing.TB, name, version string) model.Package {
	t.Helper()
	g := onnxgraph.New("sum")
	g.Input("features", onnxgraph.Float, onnxgraph.Rows, 2)
	g.Floats("w", []float32{1, 10}, 2, 1)
	g.Node("MatMul", []string{"features", "w"}, []string{"prediction"})
	g.Output("prediction", onnxgraph.Float, onnxgraph.Rows, 1)
	m := manifest(name, version)
	m.Task, m.Classes, m.LabelSQL, m.FeatureSQL = resource.TaskRegression, nil, "delay", "distance, seats"
	m.Features = []model.Feature{{Name: "distance", Kind: model.KindNumeric}, {Name: "seats", Kind: model.KindNumeric}}
	return built(t, m, g)
}

func built(t testing.TB, m model.Manifest, g *onnxgraph.Graph) model.Package {
	t.Helper()
	pkg, err := model.Build(m, map[string][]byte{model.ModelFile: g.Marshal()}, hosttest.Keys(t))
	require.NoError(t, err)
	return pkg
}

// place is a serving process over a world of its own.
type place struct {
	*hosttest.World
	t    testing.TB
	host *host.Host
	docs *state.Store[rollout.State]
	url  string
	logs *observer.ObservedLogs
	stop func()
}

// open starts serving on the dataset flights.
func open(t testing.TB, change ...func(*serving.Options)) *place {
	t.Helper()
	p := world(t)
	p.Apply(t, flightsYAML)
	p.serve(change...)
	return p
}

func world(t testing.TB) *place {
	t.Helper()
	w := hosttest.New(t)
	h := w.Host(t)
	core, logs := observer.New(zap.InfoLevel)
	h.Log = zap.New(core)
	var err error
	h.Runtime, err = model.Load("")
	require.NoError(t, err)
	docs, err := host.State[rollout.State](t.Context(), h, events.BucketDeployments)
	require.NoError(t, err)
	return &place{World: w, t: t, host: h, docs: docs, logs: logs}
}

func (p *place) serve(change ...func(*serving.Options)) {
	p.t.Helper()
	hosttest.Await(p.t, "the catalog knows the dataset", func() bool { _, ok := p.host.Catalog.Dataset("flights"); return ok })
	o := serving.Options{Guard: auth.New(token, p.host.Clock), Version: "1.2.3", Refresh: 10 * time.Millisecond}
	for _, f := range change {
		f(&o)
	}
	routes := chi.NewRouter()
	component, err := serving.New(p.t.Context(), p.host, routes, o)
	require.NoError(p.t, err)
	server := httptest.NewServer(routes)
	p.t.Cleanup(server.Close)
	p.url = server.URL
	p.stop = p.Run(p.t, component)
}

// store puts a package where its reference says.
func (p *place) store(pkg model.Package) events.Version {
	p.t.Helper()
	require.NoError(p.t, pkg.Write(context.Background(), p.Blobs))
	return pkg.Ref()
}

// deploy makes a version champion, as deployment does, without waiting for serving.
func (p *place) deploy(ref events.Version) {
	p.t.Helper()
	p.decide(ref.Model, rollout.Approved{Version: ref})
}

func (p *place) decide(name string, in rollout.Input) {
	p.t.Helper()
	_, err := p.docs.Decide(p.t.Context(), name, events.Fact{}, p.Bus, func(st rollout.State, exists bool) (rollout.State, []events.Fact, error) {
		if !exists {
			st = rollout.New(name)
		}
		next, d := rollout.Decide(st, in)
		require.Empty(p.t, d.Refused)
		return next, nil, nil
	})
	require.NoError(p.t, err)
}

// promote deploys and waits until the version answers.
func (p *place) promote(pkg model.Package) {
	p.t.Helper()
	p.deploy(p.store(pkg))
	p.serves(pkg.Manifest.Model, pkg.Manifest.Version)
}

func (p *place) serves(name, version string) {
	p.t.Helper()
	hosttest.Await(p.t, "version "+version+" of "+name+" serves", func() bool {
		var m metadata
		return p.get("/v2/models/"+name, &m) == http.StatusOK && m.Parameters.Version == version
	})
}

type metadata struct {
	Versions   []string
	Platform   string
	Inputs     []tensor
	Outputs    []tensor
	Parameters struct {
		Version, Champion, Error, NoRows string
		Columns                          []tensor
	}
}

// tensor is an input or output as clients write it.
type tensor struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
	Data     any    `json:"data,omitempty"`
}

type answer struct {
	Model   string   `json:"model_name"`
	Version string   `json:"model_version"`
	ID      *string  `json:"id"`
	Outputs []tensor `json:"outputs"`
	Error   string   `json:"error"`
}

func (p *place) get(path string, into any) int {
	p.t.Helper()
	resp, err := http.Get(p.url + path)
	require.NoError(p.t, err)
	defer resp.Body.Close()
	require.NoError(p.t, json.NewDecoder(resp.Body).Decode(into))
	return resp.StatusCode
}

// infer sends a request of the protocol: a string as it is, else as JSON.
func (p *place) infer(path string, body any) (int, answer) {
	p.t.Helper()
	text, ok := body.(string)
	if !ok {
		b, err := json.Marshal(body)
		require.NoError(p.t, err)
		text = string(b)
	}
	resp, err := http.Post(p.url+"/v2/models/"+path+"/infer", "application/json", bytes.NewReader([]byte(text)))
	require.NoError(p.t, err)
	defer resp.Body.Close()
	require.Equal(p.t, "application/json", resp.Header.Get("Content-Type"))
	b, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	var a answer
	require.NoError(p.t, json.Unmarshal(b, &a), "%s", b)
	return resp.StatusCode, a
}

// numbers are the data of a float output.
func (a answer) numbers(t testing.TB, name string) (out []float64) {
	t.Helper()
	for _, o := range a.Outputs {
		if o.Name == name {
			for _, x := range o.Data.([]any) {
				out = append(out, x.(float64))
			}
			return out
		}
	}
	require.Fail(t, "no output "+name, "%+v", a)
	return nil
}

// metric sums the values of a counter or gauge, or the counts of a histogram.
func (p *place) metric(name string, labels ...string) (sum float64) {
	p.t.Helper()
	families, err := p.host.Metrics.(*prometheus.Registry).Gather()
	require.NoError(p.t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	metrics:
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				for i := 0; i < len(labels); i += 2 {
					if l.GetName() == labels[i] && l.GetValue() != labels[i+1] {
						continue metrics
					}
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}
