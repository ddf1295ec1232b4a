package training_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/workers/runtime"
)

// What a trainer leaves beside its model, or instead of it, is in the version's package.
func TestWhatATrainerLeavesIsPackaged(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Apply(t, declared("late", `  candidates:
    - {name: a, trainer: process, command: [train], predict: [python3, predict.py]}
`))
	put := func(name, text string) *events.Blob {
		blob, err := w.Blobs.PutBytes(t.Context(), "trials/"+name, []byte(text))
		require.NoError(t, err)
		return &blob
	}
	extras, code := put("extras", "what it left"), put("code", "what it ran")
	train(t, w)
	answers := events.TrialFinished{Succeeded: true, Validation: map[string]float64{"rmse": 1}, TrainedThrough: noon,
		Features: []events.Feature{{Name: "distance", Kind: model.KindNumeric}}}
	employ(t, w, 1, func(s runtime.Spec) events.TrialFinished {
		p := answers
		switch s.Cycle {
		case "late-1":
			p.Command, p.Extras, p.Code = []string{"python3", "predict.py"}, extras, code
		case "late-2":
			p.Extras, p.Code = extras, code // an ONNX model; its source is lineage alone
		}
		return p
	})
	v := trained(t, w, request(t, w, "late", 1)).Version
	pkg, err := model.Read(t.Context(), w.Blobs, v, w.Keys)
	require.NoError(t, err)
	require.Equal(t, model.RuntimeCommand, pkg.Manifest.Runtime)
	require.Equal(t, []string{"python3", "predict.py"}, pkg.Manifest.Predict.Command)
	require.Equal(t, map[string][]byte{model.ExtrasFile: []byte("what it left"), model.CodeFile: []byte("what it ran")}, pkg.Files)

	v = trained(t, w, request(t, w, "late", 2)).Version
	pkg, err = model.Read(t.Context(), w.Blobs, v, w.Keys)
	require.NoError(t, err)
	require.Equal(t, model.RuntimeONNX, pkg.Manifest.Runtime)
	require.Nil(t, pkg.Manifest.Predict)
	require.Equal(t, map[string][]byte{model.ExtrasFile: []byte("what it left"), model.ModelFile: onnx()}, pkg.Files)
}
