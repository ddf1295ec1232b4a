package cli

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/workers/runtime"
)

// TestTheFirstDifference is named in the order data, code, params, seed, environment, model: a later one may follow from it.
func TestTheFirstDifference(t *testing.T) {
	t.Parallel()
	through := time.Date(2001, 3, 1, 0, 0, 0, 0, time.UTC)
	l := api.Lineage{Model: "m", Version: "2", Environment: map[string]string{"go": "1"}, Validation: map[string]float64{"auc": 0.6},
		Data:    api.LineageData{TrainRows: 10, ValidationRows: 5, TrainedThrough: through},
		Code:    api.LineageCode{Digest: "c", Params: map[string]any{"l2": 1.0}, Seed: 7},
		Package: api.LineagePackage{Files: map[string]string{"model.onnx": events.SHA256([]byte("model")), "extras.tar.gz": events.SHA256([]byte("extras"))}}}
	again := func() ran {
		return ran{spec: runtime.Spec{Seed: 7, Candidate: resource.Candidate{Name: "x"}}, result: runtime.Result{ONNX: []byte("model"), Extras: []byte("other"), TrainRows: 10,
			ValidationRows: 5, TrainedThrough: through, CodeDigest: "c", Params: map[string]any{"l2": 1.0}, Environment: maps.Clone(l.Environment),
			Validation: map[string]float64{"auc": 0.5}}}
	}
	same := judgeAgain(l, again())
	require.True(t, same.Identical)
	require.Empty(t, same.Different)

	elsewhere := again()
	elsewhere.result.Environment["go"] = "2"
	other := judgeAgain(l, elsewhere)
	require.True(t, other.Identical, "the bytes decide")
	require.Len(t, other.Different, 1)

	changes := []struct {
		in     string
		change func(*ran)
	}{
		{"model", func(r *ran) { r.result.ONNX = []byte("another") }},
		{"environment", func(r *ran) { r.result.Environment["go"] = "2" }},
		{"seed", func(r *ran) { r.spec.Seed = 8 }},
		{"params", func(r *ran) { r.result.Params["depth"] = 3 }},
		{"code", func(r *ran) { r.result.CodeDigest = "d" }},
		{"data", func(r *ran) { r.result.TrainRows = 11 }},
	}
	r := again()
	for _, c := range changes { // each comes before those that are there already
		c.change(&r)
		out := judgeAgain(l, r)
		require.False(t, out.Identical)
		require.Equal(t, c.in, out.First)
	}
	require.InDelta(t, 0.1, *judgeAgain(l, r).Metrics[0].A-*judgeAgain(l, r).Metrics[0].B, 1e-9)

	l.Package.Command = []string{"./predict"}
	require.False(t, judgeAgain(l, again()).Identical, "a command is what lies beside it")
	beside := again()
	beside.result.Extras = []byte("extras")
	require.True(t, judgeAgain(l, beside).Identical)
}
