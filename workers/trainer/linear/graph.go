package linear

import (
	"fmt"
	"math"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/onnxgraph"
	"github.com/tidemill/tidemill/core/resource"
)

func outputName(task string) string {
	if task == resource.TaskRegression {
		return "prediction"
	}
	return "probabilities"
}

// Names inside the graph begin with this, so that no feature has one of them.
const inner = "tidemill/"

// ONNX writes the model, from raw features to answers. One-hot columns and their weights become a look-up of each category's
// weights, which is the same sum without a wide matrix; an unknown category finds zeros.
func (m *Model) ONNX() []byte {
	g := onnxgraph.New("tidemill-linear")
	for _, f := range m.contract.Features {
		kind := onnxgraph.Float
		if f.Kind == model.KindString {
			kind = onnxgraph.String
		}
		g.Input(f.Name, kind, onnxgraph.Rows, 1)
	}
	terms := []string{m.numericTerm(g)}
	for _, v := range m.encoder.text {
		if len(v.categories) > 0 {
			terms = append(terms, m.textTerm(g, v))
		}
	}
	sum := inner + "score"
	if m.contract.Task == resource.TaskRegression {
		sum = outputName(m.contract.Task)
	}
	g.Node("Sum", terms, []string{sum})
	m.answer(g, sum)
	return g.Marshal()
}

// numericTerm adds intercept + Σ w·standardised(x), shape [N, outputs], or the intercept alone, shape [1, outputs].
func (m *Model) numericTerm(g *onnxgraph.Graph) string {
	outputs := int64(m.outputs())
	n := int64(len(m.encoder.numeric))
	intercepts := make([]float32, outputs)
	weights := make([]float32, n*outputs)
	for k := range outputs {
		w := m.weightsOf(int(k))
		intercepts[k] = clamp(w[0])
		for j := range n {
			weights[j*outputs+k] = clamp(w[1+j])
		}
	}
	g.Floats(inner+"intercepts", intercepts, 1, outputs)
	if n == 0 {
		return inner + "intercepts"
	}
	names, means, deviations := make([]string, n), make([]float32, n), make([]float32, n)
	for j, s := range m.encoder.numeric {
		names[j] = m.contract.Features[s.column].Name
		means[j], deviations[j] = float32(s.mean), float32(s.deviation)
	}
	g.Floats(inner+"means", means, 1, n)
	g.Floats(inner+"deviations", deviations, 1, n)
	g.Floats(inner+"zero", []float32{0}, 1)
	g.Floats(inner+"weights", weights, n, outputs)
	x := names[0]
	if n > 1 {
		x = inner + "numeric"
		g.Node("Concat", names, []string{x}, onnxgraph.AttrInt("axis", 1))
	}
	// Nulls (NaN) and infinities become the mean, which is 0 when standardised.
	g.Node("Sub", []string{x, inner + "means"}, []string{inner + "centred"})
	g.Node("Div", []string{inner + "centred", inner + "deviations"}, []string{inner + "standard"})
	g.Node("IsNaN", []string{x}, []string{inner + "nan"})
	g.Node("IsInf", []string{x}, []string{inner + "inf"})
	g.Node("Or", []string{inner + "nan", inner + "inf"}, []string{inner + "missing"})
	g.Node("Where", []string{inner + "missing", inner + "zero", inner + "standard"}, []string{inner + "imputed"})
	g.Node("Gemm", []string{inner + "imputed", inner + "weights", inner + "intercepts"}, []string{inner + "linear"})
	return inner + "linear"
}

// textTerm adds the weights of the row's category, shape [N, outputs].
func (m *Model) textTerm(g *onnxgraph.Graph, v vocabulary) string {
	name := fmt.Sprintf("%scategory-%d", inner, v.column)
	feature := m.contract.Features[v.column].Name
	outputs, k := m.outputs(), len(v.categories)
	keys := onnxgraph.AttrStrings("keys_strings", v.categories)
	if outputs == 1 {
		values := make([]float32, k)
		for j, w := range m.weightsOf(0)[v.offset : v.offset+k] {
			values[j] = clamp(w)
		}
		g.NodeML("LabelEncoder", []string{feature}, []string{name}, keys,
			onnxgraph.AttrFloats("values_floats", values), onnxgraph.AttrFloat("default_float", 0))
		return name
	}
	places, table := make([]int64, k), make([]float32, (k+1)*outputs) // the last row is of unknown categories
	for j := range k {
		places[j] = int64(j)
		for c := range outputs {
			table[j*outputs+c] = clamp(m.weightsOf(c)[v.offset+j])
		}
	}
	g.NodeML("LabelEncoder", []string{feature}, []string{name + "-place"}, keys,
		onnxgraph.AttrInts("values_int64s", places), onnxgraph.AttrInt("default_int64", int64(k)))
	g.Floats(name+"-table", table, int64(k+1), int64(outputs))
	g.Node("Gather", []string{name + "-table", name + "-place"}, []string{name + "-rows"}, onnxgraph.AttrInt("axis", 0))
	g.Ints(name+"-axis", []int64{1}, 1)
	g.Node("Squeeze", []string{name + "-rows", name + "-axis"}, []string{name})
	return name
}

// answer ends the graph: scores to probabilities.
func (m *Model) answer(g *onnxgraph.Graph, score string) {
	name := outputName(m.contract.Task)
	switch m.contract.Task {
	case resource.TaskBinary:
		// σ(-z) and σ(z) are exact in both tails; 1 - σ(z) isn't.
		g.Node("Neg", []string{score}, []string{inner + "negated"})
		g.Node("Concat", []string{inner + "negated", score}, []string{inner + "both"}, onnxgraph.AttrInt("axis", 1))
		g.Node("Sigmoid", []string{inner + "both"}, []string{name})
	case resource.TaskMulticlass:
		g.Node("Softmax", []string{score}, []string{name}, onnxgraph.AttrInt("axis", 1))
	}
	g.Output(name, onnxgraph.Float, onnxgraph.Rows, int64(m.contract.Width()))
}

func (m *Model) outputs() int { return len(m.weights) / m.encoder.width }

func (m *Model) weightsOf(output int) []float64 {
	return m.weights[output*m.encoder.width : (output+1)*m.encoder.width]
}

// clamp keeps a weight within float32.
func clamp(w float64) float32 {
	return float32(math.Max(-math.MaxFloat32, math.Min(math.MaxFloat32, w)))
}
