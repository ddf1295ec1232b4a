package model_test

import (
	"testing"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/modeltest"
	"github.com/tidemill/tidemill/core/model/onnxgraph"
	"github.com/tidemill/tidemill/core/resource"
)

func TestScorerIsAPredictor(t *testing.T) {
	t.Parallel()
	modeltest.Run(t, func(t testing.TB, c model.Contract) model.Predictor {
		t.Helper()
		g := flightModel(1)
		switch c.Task {
		case resource.TaskBinary:
			return opened(t, answer(g, "probabilities"), c)
		case resource.TaskRegression:
			g.Node("Identity", []string{"z"}, []string{"prediction"})
			g.Output("prediction", onnxgraph.Float, onnxgraph.Rows, 1)
			return opened(t, g.Marshal(), c)
		}
		g.Node("Neg", []string{"z"}, []string{"nz"})
		g.Node("Sub", []string{"z", "z"}, []string{"zero"})
		g.Node("Concat", []string{"nz", "z", "zero"}, []string{"all"}, onnxgraph.AttrInt("axis", 1))
		g.Node("Softmax", []string{"all"}, []string{"probabilities"}, onnxgraph.AttrInt("axis", 1))
		g.Output("probabilities", onnxgraph.Float, onnxgraph.Rows, 3)
		return opened(t, g.Marshal(), c)
	})
}
