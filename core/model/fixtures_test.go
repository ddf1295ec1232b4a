package model_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/onnxgraph"
	"github.com/tidemill/tidemill/core/resource"
)

var flights = model.Contract{
	Task:     resource.TaskBinary,
	Features: []model.Feature{{Name: "distance", Kind: model.KindNumeric}, {Name: "origin", Kind: model.KindString}},
	Classes:  []string{"false", "true"},
}

// flightModel answers σ(distance·slope + weight of origin): SFO 1, JFK -1, anything else 0.
func flightModel(slope float32) *onnxgraph.Graph {
	g := onnxgraph.New("test")
	g.Input("distance", onnxgraph.Float, onnxgraph.Rows, 1)
	g.Input("origin", onnxgraph.String, onnxgraph.Rows, 1)
	g.Floats("slope", []float32{slope}, 1)
	g.Node("Mul", []string{"distance", "slope"}, []string{"d"})
	g.NodeML("LabelEncoder", []string{"origin"}, []string{"o"}, onnxgraph.AttrStrings("keys_strings", []string{"SFO", "JFK"}),
		onnxgraph.AttrFloats("values_floats", []float32{1, -1}), onnxgraph.AttrFloat("default_float", 0))
	g.Node("Add", []string{"d", "o"}, []string{"z"})
	return g
}

// answer ends a graph that has z with the two probabilities.
func answer(g *onnxgraph.Graph, name string) []byte {
	g.Node("Neg", []string{"z"}, []string{"nz"})
	g.Node("Concat", []string{"nz", "z"}, []string{"both"}, onnxgraph.AttrInt("axis", 1))
	g.Node("Sigmoid", []string{"both"}, []string{name})
	g.Output(name, onnxgraph.Float, onnxgraph.Rows, 2)
	return g.Marshal()
}

func loaded(t testing.TB) *model.Runtime {
	t.Helper()
	r, err := model.Load("")
	require.NoError(t, err)
	return r
}

func opened(t testing.TB, onnx []byte, c model.Contract) *model.Scorer {
	t.Helper()
	s, err := loaded(t).Open(context.Background(), onnx, c)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// keyring signs with a key of its own for each seed, and trusts it alone.
func keyring(t testing.TB, seed byte) *model.Keyring {
	t.Helper()
	keys, err := model.NewKeyring(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
	require.NoError(t, err)
	return keys
}

// packed is a package with an ONNX model and an extra file.
func packed(t testing.TB, m model.Manifest, keys *model.Keyring) model.Package {
	t.Helper()
	p, err := model.Build(m, map[string][]byte{model.ModelFile: answer(flightModel(1), "probabilities"), model.ExtrasFile: []byte("weights")}, keys)
	require.NoError(t, err)
	return p
}

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

func flightBatch(n int) (b model.Batch, want []float64) {
	origins := []string{"SFO", "JFK", "", "unheard of", "Zürich ✈"}
	weights := []float64{1, -1, 0, 0, 0}
	b = model.Batch{N: n, Columns: []model.Column{{Numeric: make([]float32, n)}, {Text: make([]string, n)}}}
	for i := range n {
		b.Columns[0].Numeric[i] = float32(i%17) - 8
		b.Columns[1].Text[i] = origins[i%5]
		want = append(want, sigmoid(float64(i%17)-8+weights[i%5]))
	}
	return b, want
}
