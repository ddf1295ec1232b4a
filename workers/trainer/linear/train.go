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
	// Weight, shape [N], is how much each row counts: twice as much is as if the row were there twice. nil: each counts 1.
	Weight []float64
}

// Options are how a fit is done. The zero value is fine.
type Options struct {
	// Start is the State of another model, of the same task, to start from: the fit finds the same answer, and sooner the more
	// alike the models are. Features, categories and classes are matched by name.
	Start    []byte
	Progress func(Progress)
}

// Trained is a model at rest.
type Trained struct {
	ONNX   []byte
	State  []byte // for Options.Start: JSON, see StateFile
	Report Report
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
	Weights     int  // per output, the intercept included
	Warm        bool // it started from Options.Start
}

// Model is a fitted model.
type Model struct {
	contract model.Contract
	encoder  encoder
	weights  []float64 // [outputs, width]; of a regression, in the units of the label
}

// Train fits a model and writes it as ONNX.
func Train(ctx context.Context, d Data, p Params, o Options) (Trained, error) {
	m, report, err := Fit(ctx, d, p, o)
	if err != nil {
		return Trained{Report: report}, err
	}
	state, err := m.State()
	if err != nil {
		return Trained{Report: report}, fmt.Errorf("train %s: %w", Name, err)
	}
	return Trained{ONNX: m.ONNX(), State: state, Report: report}, nil
}

// Fit fits a model. It ends when the gradient is within the tolerance, at the last iteration, or where float64 can't make
// progress; the report says which. A label without variation is an error, a Start that is no state of this trainer too.
func Fit(ctx context.Context, d Data, p Params, opts Options) (*Model, Report, error) {
	if err := check(d, p); err != nil {
		return nil, Report{}, fmt.Errorf("train %s: %w", Name, err)
	}
	outputs := 1
	if d.Contract.Task == resource.TaskMulticlass {
		outputs = len(d.Contract.Classes)
	}
	m := &Model{contract: d.Contract, encoder: newEncoder(d.Contract.Features, d.Batch, d.Weight, p.MinCount)}
	if m.encoder.width == 1 {
		return nil, Report{}, fmt.Errorf("train %s: no category is seen in %d rows (minCount), so no feature is left", Name, p.MinCount)
	}
	label, shift, unit := standardLabel(d)
	o := newObjective(d.Contract.Task, m.encoder.encode(d.Batch), label, d.Weight, m.encoder.width, outputs, p.L2)
	start, curvature := begin(d, outputs, o.width)
	warm := false
	if opts.Start != nil {
		var err error
		if warm, err = m.resume(opts.Start, start, shift, unit); err != nil {
			return nil, Report{}, fmt.Errorf("train %s: start from another model: %w", Name, err)
		}
	}
	fit := newDescent(o, o.curvature(curvature), p, opts.Progress)
	report, err := fit.run(ctx, start)
	report.Rows, report.Weights, report.Warm = d.Batch.N, o.width, warm
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
	if err := checkWeights(d); err != nil {
		return err
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

func checkWeights(d Data) error {
	if d.Weight == nil {
		return nil
	}
	if len(d.Weight) != d.Batch.N {
		return fmt.Errorf("%d rows need %d weights, got %d", d.Batch.N, d.Batch.N, len(d.Weight))
	}
	for i, w := range d.Weight {
		if w < 0 || math.IsNaN(w) || math.IsInf(w, 0) {
			return fmt.Errorf("row %d has the weight %v", i, w)
		}
	}
	if total := counts(d.Weight).sum(d.Batch.N); total == 0 || math.IsInf(total, 0) {
		return fmt.Errorf("the weights of the %d training rows sum up to %v", d.Batch.N, total)
	}
	return nil
}

// classCounts are what the rows of each class count in all.
func classCounts(d Data) []float64 {
	out := make([]float64, len(d.Contract.Classes))
	for i, y := range d.Label {
		if k := int(y); y >= 0 && k < len(out) {
			out[k] += counts(d.Weight).of(i)
		}
	}
	return out
}

// standardLabel gives the label that is fitted: of a regression, shifted and scaled to mean 0 and deviation 1, which changes
// the solution only by the same shift and unit (the penalty scales with it).
func standardLabel(d Data) (label []float64, shift, unit float64) {
	if d.Contract.Task != resource.TaskRegression {
		return d.Label, 0, 1
	}
	c := counts(d.Weight)
	n, mean, squares := c.sum(len(d.Label)), 0.0, 0.0
	for i, y := range d.Label {
		mean += c.of(i) * y / n
	}
	for i, y := range d.Label {
		squares += c.of(i) * (y - mean) * (y - mean) / n
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
	n, classes := counts(d.Weight).sum(d.Batch.N), classCounts(d)
	if d.Contract.Task == resource.TaskBinary {
		p := classes[1] / n
		start[0], curvature[0] = math.Log(p/(1-p)), p*(1-p)
		return start, curvature
	}
	mean := 0.0
	for _, c := range classes {
		mean += math.Log(c/n) / float64(outputs)
	}
	for k, c := range classes {
		p := c / n
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
