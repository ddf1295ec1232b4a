package linear

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
)

// Data is what is trained on.
type Data struct {
	Contract model.Contract
	Batch    model.Batch
	// Label, shape [N]: 0 or 1 (binary), the index of the class (multiclass), or the target (regression).
	Label []float64
}

// Progress is how far a fit is, after each iteration.
type Progress struct {
	Iteration, MaxIter int
	Loss               float64 // mean loss of a row, penalty included
	Gradient           float64 // largest component of the mean gradient; the fit ends at the tolerance
}

// Report is how a fit went.
type Report struct {
	Progress
	Evaluations int
	Converged   bool
	Rows        int
	Weights     int // per output, the intercept included
}

// Model is a fitted model.
type Model struct {
	contract model.Contract
	encoder  encoder
	weights  []float64 // [outputs, width]; of a regression, in the units of the label
}

// Train fits a model and writes it as ONNX. Progress may be nil.
func Train(ctx context.Context, d Data, p Params, progress func(Progress)) ([]byte, Report, error) {
	m, report, err := Fit(ctx, d, p, progress)
	if err != nil {
		return nil, report, err
	}
	return m.ONNX(), report, nil
}

// Fit fits a model. It ends when the gradient is within the tolerance, at the last iteration, or where float64 can't make
// progress; the report says which. A label without variation is an error.
func Fit(ctx context.Context, d Data, p Params, progress func(Progress)) (*Model, Report, error) {
	if err := check(d, p); err != nil {
		return nil, Report{}, fmt.Errorf("train %s: %w", Name, err)
	}
	outputs := 1
	if d.Contract.Task == resource.TaskMulticlass {
		outputs = len(d.Contract.Classes)
	}
	m := &Model{contract: d.Contract, encoder: newEncoder(d.Contract.Features, d.Batch, p.MinCount)}
	if m.encoder.width == 1 {
		return nil, Report{}, fmt.Errorf("train %s: no category is seen in %d rows (minCount), so no feature is left", Name, p.MinCount)
	}
	label, shift, unit := standardLabel(d)
	o := newObjective(d.Contract.Task, m.encoder.encode(d.Batch), label, m.encoder.width, outputs, p.L2)
	start, curvature := begin(d, outputs, o.width)
	fit := newDescent(o, o.curvature(curvature), p, progress)
	report, err := fit.run(ctx, start)
	report.Rows, report.Weights = d.Batch.N, o.width
	if err != nil {
		return nil, report, fmt.Errorf("train %s: %w", Name, err)
	}
	m.weights = fit.weights()
	for i := range m.weights {
		m.weights[i] *= unit
	}
	m.weights[0] += shift
	return m, report, nil
}

func check(d Data, p Params) error {
	if err := errors.Join(p.Check(), d.Contract.Check()); err != nil {
		return err
	}
	if err := d.Batch.Check(d.Contract.Features); err != nil {
		return err
	}
	if d.Batch.N == 0 {
		return errors.New("there are no training rows")
	}
	if len(d.Label) != d.Batch.N {
		return fmt.Errorf("%d rows need %d labels, got %d", d.Batch.N, d.Batch.N, len(d.Label))
	}
	for _, f := range d.Contract.Features {
		if f.Name == outputName(d.Contract.Task) {
			return fmt.Errorf("a feature may not be called %q, the model's output is; name it otherwise with AS", f.Name)
		}
	}
	if d.Contract.Task == resource.TaskRegression {
		for i, y := range d.Label {
			if math.IsNaN(y) || math.IsInf(y, 0) {
				return fmt.Errorf("row %d has the label %v", i, y)
			}
		}
		return nil
	}
	for k, n := range classCounts(d) {
		if n == 0 {
			return fmt.Errorf("none of the %d training rows has the label %s: there is nothing to tell it from", d.Batch.N, d.Contract.Classes[k])
		}
	}
	for i, y := range d.Label {
		if y < 0 || y != math.Trunc(y) || y >= float64(len(d.Contract.Classes)) || math.IsNaN(y) {
			return fmt.Errorf("row %d has the label %v, which is no class", i, y)
		}
	}
	return nil
}

func classCounts(d Data) []int {
	counts := make([]int, len(d.Contract.Classes))
	for _, y := range d.Label {
		if k := int(y); y >= 0 && k < len(counts) {
			counts[k]++
		}
	}
	return counts
}

// standardLabel gives the label that is fitted: of a regression, shifted and scaled to mean 0 and deviation 1, which changes
// the solution only by the same shift and unit (the penalty scales with it).
func standardLabel(d Data) (label []float64, shift, unit float64) {
	if d.Contract.Task != resource.TaskRegression {
		return d.Label, 0, 1
	}
	n, mean, squares := float64(len(d.Label)), 0.0, 0.0
	for _, y := range d.Label {
		mean += y / n
	}
	for _, y := range d.Label {
		squares += (y - mean) * (y - mean) / n
	}
	unit = math.Sqrt(squares)
	if unit == 0 {
		unit = 1
	}
	label = make([]float64, len(d.Label))
	for i, y := range d.Label {
		label[i] = (y - mean) / unit
	}
	return label, mean, unit
}

// begin gives the weights to start from, the intercepts of the base rates, and the curvature of each output's loss there.
func begin(d Data, outputs, width int) (start, curvature []float64) {
	start, curvature = make([]float64, outputs*width), make([]float64, outputs)
	if d.Contract.Task == resource.TaskRegression {
		curvature[0] = 1
		return start, curvature
	}
	n, counts := float64(d.Batch.N), classCounts(d)
	if d.Contract.Task == resource.TaskBinary {
		p := float64(counts[1]) / n
		start[0], curvature[0] = math.Log(p/(1-p)), p*(1-p)
		return start, curvature
	}
	mean := 0.0
	for _, c := range counts {
		mean += math.Log(float64(c)/n) / float64(outputs)
	}
	for k, c := range counts {
		p := float64(c) / n
		start[k*width], curvature[k] = math.Log(p)-mean, p*(1-p)
	}
	return start, curvature
}

// Score gives the model's answers in float64, row-major: what the ONNX graph computes in float32. It is for tests.
func (m *Model) Score(b model.Batch) []float64 {
	outputs := len(m.weights) / m.encoder.width
	o := &objective{rows: m.encoder.encode(b), width: m.encoder.width, outputs: outputs}
	var out []float64
	z := make([]float64, outputs)
	for i := range b.N {
		o.scores(i, m.weights, z)
		switch m.contract.Task {
		case resource.TaskBinary:
			out = append(out, 1/(1+math.Exp(z[0])), 1/(1+math.Exp(-z[0])))
		case resource.TaskMulticlass:
			sum, top := 0.0, slices.Max(z)
			for _, v := range z {
				sum += math.Exp(v - top)
			}
			for _, v := range z {
				out = append(out, math.Exp(v-top)/sum)
			}
		default:
			out = append(out, z[0])
		}
	}
	return out
}
