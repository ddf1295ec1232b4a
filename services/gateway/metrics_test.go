package gateway_test

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/onnxgraph"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/internal/hosttest"
)

var origin = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)

// segment writes rows of flights, one an hour from an hour on, and says that they were accepted. Every third is late.
func (p *place) segment(ordinal uint64, from, n int) events.SegmentAccepted {
	p.t.Helper()
	d, ok := p.host.Catalog.Dataset("flights")
	require.True(p.t, ok)
	checker, err := rows.Compile(d.Dataset)
	require.NoError(p.t, err)
	w, r := lake.NewSegmentWriter(p.Engine, p.Blobs, checker), checker.NewRow()
	for i := from; i < from+n; i++ {
		line := fmt.Sprintf(`{"date":%q,"delay":%d,"distance":%d}`, hour(i).Format(time.RFC3339), delay(i), i%7)
		require.Nil(p.t, checker.JSON([]byte(line), time.Now(), r))
		w.Append(r)
	}
	file, err := w.Write(p.t.Context())
	require.NoError(p.t, err)
	s := events.SegmentAccepted{Segment: events.Segment{Dataset: "flights", Ordinal: ordinal, Parquet: file.Parquet, Rows: file.Rows,
		MinTime: file.MinTime, MaxTime: file.MaxTime}}
	p.settle(p.say(events.Fact{}, events.SegmentAcceptedType, "flights", "", s))
	return s
}

func hour(i int) time.Time { return origin.Add(time.Duration(i) * time.Hour) }

func delay(i int) int { return 20 * (i % 3 / 2) }

// observe says that a version scored a segment with one probability for all its rows.
func (p *place) observe(s events.SegmentAccepted, version string, from int, probability float64) {
	p.t.Helper()
	x := lake.Scores{Width: 1}
	for i := from; i < from+int(s.Rows); i++ {
		x.Time, x.Score, x.Label = append(x.Time, hour(i).UnixMicro()), append(x.Score, probability), append(x.Label, float64(delay(i)/20))
	}
	blob, err := lake.WriteScores(p.t.Context(), p.Engine, p.Blobs, "scores/flight-delay", x)
	require.NoError(p.t, err)
	p.settle(p.say(events.Fact{}, events.SegmentObservedType, "flights", "", events.SegmentObserved{Model: "flight-delay", Dataset: "flights",
		Ordinal: s.Ordinal, Rows: s.Rows, Champion: version, Scores: &blob, MaxTime: s.MaxTime}))
}

// logloss of a constant answer where every third label is 1.
func constant(probability float64) float64 {
	return -(math.Log(probability) + 2*math.Log(1-probability)) / 3
}

func TestMetricsByBucketsOfEventTime(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	require.Empty(t, get[api.List[api.MetricPoint]](p, modelPath+"/metrics", nil).Items)
	// Segments end within buckets of a day: the second day has rows of both.
	p.observe(p.segment(1, 0, 36), "1", 0, .25)
	p.observe(p.segment(2, 36, 36), "2", 36, .5)
	query := url.Values{"bucket": {"1d"}}
	points := get[api.List[api.MetricPoint]](p, modelPath+"/metrics", query).Items
	require.Len(t, points, 3)
	for i, want := range []struct {
		version string
		logloss float64
	}{{"1", constant(.25)}, {"2", (constant(.25) + constant(.5)) / 2}, {"2", constant(.5)}} {
		require.Equal(t, origin.AddDate(0, 0, i), points[i].From)
		require.Equal(t, origin.AddDate(0, 0, i+1), points[i].To)
		require.EqualValues(t, 24, points[i].Rows)
		require.Equal(t, want.version, points[i].Version)
		require.InDelta(t, want.logloss, points[i].Metrics["logloss"], 1e-9)
	}
	require.Equal(t, points, get[api.List[api.MetricPoint]](p, modelPath+"/metrics", query).Items, "what is kept is the same")

	query.Set("from", hour(30).Format(time.RFC3339))
	query.Set("to", hour(60).Format(time.RFC3339))
	points = get[api.List[api.MetricPoint]](p, modelPath+"/metrics", query).Items
	require.Len(t, points, 2)
	require.Equal(t, hour(30), points[0].From)
	require.EqualValues(t, 24, points[0].Rows)
	require.EqualValues(t, 6, points[1].Rows, "the last bucket is cut")
	p.observe(p.segment(3, 72, 24), "2", 72, .5)
	require.Len(t, get[api.List[api.MetricPoint]](p, modelPath+"/metrics", url.Values{"bucket": {"1d"}}).Items, 4)

	_, err := call.Get[api.List[api.MetricPoint]](t.Context(), p.api, modelPath+"/metrics", url.Values{"bucket": {"1s"}})
	refused(t, err, http.StatusUnprocessableEntity, "5000")
	_, err = call.Get[api.List[api.MetricPoint]](t.Context(), p.api, modelPath+"/metrics", url.Values{"bucket": {"soon"}})
	refused(t, err, http.StatusUnprocessableEntity, "soon", "7d")
	_, err = call.Get[api.List[api.MetricPoint]](t.Context(), p.api, modelPath+"/metrics", url.Values{"version": {"9"}})
	refused(t, err, http.StatusNotFound, `version "9"`)
}

// TestMetricsOfAVersionKeptForEver scores accepted segments with a version that was trained on the first day.
func TestMetricsOfAVersionKeptForEver(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	h := w.Host(t)
	var err error
	h.Runtime, err = model.Load("")
	require.NoError(t, err)
	p := openOn(t, w, h)
	p.apply(declarations)
	for i := range 3 {
		p.segment(uint64(i+1), 36*i, 36)
	}
	ref := p.version("1", hour(23), .25)
	p.settle(p.say(events.Fact{}, events.CandidateTrainedType, "flight-delay", "flight-delay-1", events.CandidateTrained{Version: ref, Cycle: "flight-delay-1"}))
	for range 2 {
		points := get[api.List[api.MetricPoint]](p, modelPath+"/metrics", url.Values{"bucket": {"1d"}, "version": {"1"}}).Items
		require.Len(t, points, 4, "rows that it was trained on don't judge it")
		require.Equal(t, hour(24), points[0].From)
		for i, point := range points {
			require.EqualValues(t, min(24, 108-24*(i+1)), point.Rows)
			require.Equal(t, "1", point.Version)
			require.InDelta(t, constant(.25), point.Metrics["logloss"], 1e-6)
		}
	}
}

// version stores a package whose model answers one probability.
func (p *place) version(name string, through time.Time, probability float32) events.Version {
	p.t.Helper()
	g := onnxgraph.New("constant")
	g.Input("distance", onnxgraph.Float, onnxgraph.Rows, 1)
	g.Floats("zero", []float32{0}, 1)
	g.Floats("p", []float32{1 - probability, probability}, 1, 2)
	g.Node("Mul", []string{"distance", "zero"}, []string{"nothing"})
	g.Node("Add", []string{"nothing", "p"}, []string{"probabilities"})
	g.Output("probabilities", onnxgraph.Float, onnxgraph.Rows, 2)
	pkg, err := model.Build(model.Manifest{Model: "flight-delay", Version: name, Dataset: "flights", FeatureSQL: "distance", LabelSQL: "delay >= 15",
		TrainedThrough: through, Contract: model.Contract{Task: resource.TaskBinary, Features: []model.Feature{{Name: "distance", Kind: model.KindNumeric}},
			Classes: []string{"false", "true"}}}, map[string][]byte{model.ModelFile: g.Marshal()}, p.Keys)
	require.NoError(p.t, err)
	require.NoError(p.t, pkg.Write(p.t.Context(), p.Blobs))
	return events.Version{Model: "flight-delay", Version: name, URI: model.Prefix("flight-delay", name), SHA256: pkg.SHA256, TrainedThrough: through}
}
