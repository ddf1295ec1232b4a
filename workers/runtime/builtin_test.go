package runtime_test

import (
	"crypto/ed25519"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/workers/runtime"
)

// The built-in trainer leaves its state beside its model, and starts from that of a champion.
func TestBuiltinWarmStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	keys, err := model.NewKeyring(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	require.NoError(t, err)
	b.options.Keys = keys
	first, _, err := b.run(t.Context(), builtin())
	require.NoError(t, err)
	packed := func(extras []byte) model.Package {
		p, err := model.Build(model.Manifest{Model: "late", Version: "1", Contract: first.Contract},
			map[string][]byte{model.ModelFile: first.ONNX, model.ExtrasFile: extras}, keys)
		require.NoError(t, err)
		require.NoError(t, p.Write(t.Context(), b.blobs))
		return p
	}
	s := builtin()
	s.Train.To, s.Validation.From = day(21), day(21) // a day more
	cold, _, err := b.run(t.Context(), s)
	require.NoError(t, err)
	champion := packed(first.Extras).Ref()
	s.WarmStart = &champion
	warm, tail, err := b.run(t.Context(), s)
	require.NoError(t, err)
	require.Contains(t, strings.Join(tail, "\n"), "the fit started from version 1")
	require.Less(t, warm.Reported["iterations"], cold.Reported["iterations"])
	require.InDelta(t, cold.Reported["loss"], warm.Reported["loss"], 1e-6)
	require.InDelta(t, cold.Validation["logloss"], warm.Validation["logloss"], 1e-4)

	// A process may have left a file of the same name: that is no reason to fail.
	made := b.trial("", map[string][]byte{"linear.json": []byte(`{"trees": 3}`)})
	foreign, err := b.blobs.Get(t.Context(), made.Code.Key)
	require.NoError(t, err)
	champion = packed(foreign).Ref()
	again, tail, err := b.run(t.Context(), s)
	require.NoError(t, err)
	require.Contains(t, strings.Join(tail, "\n"), "the linear.json of version 1 is no start")
	require.Equal(t, cold.ONNX, again.ONNX)
}

func TestWeightsOfClasses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.trial(`tr -d ' \n' < "$SM_CHANNEL_TRAIN/schema.json"; echo; head -2 "$SM_CHANNEL_TRAIN/train.csv"; exit 1`, nil)
	s.ClassWeights = &resource.ClassWeights{Balanced: true}
	_, tail, err := b.run(t.Context(), s)
	require.Error(t, err)
	require.Contains(t, tail[0], `"label":"label","weight":"weight"`)

	plain, _, err := b.run(t.Context(), builtin())
	require.NoError(t, err)
	s = builtin()
	s.ClassWeights = &resource.ClassWeights{Balanced: true}
	balanced, _, err := b.run(t.Context(), s)
	require.NoError(t, err)
	require.NotEqual(t, plain.ONNX, balanced.ONNX)
	require.InDelta(t, plain.Validation["auc"], balanced.Validation["auc"], 0.02, "another threshold, much the same order")

	var failure *runtime.Failure
	for _, w := range []float64{-1, math.NaN(), math.Inf(1)} {
		s.ClassWeights = &resource.ClassWeights{Each: map[string]float64{"true": w}}
		_, _, err = b.run(t.Context(), s)
		require.ErrorAs(t, err, &failure)
		require.ErrorContains(t, err, "the weight of the class true is")
	}
}
