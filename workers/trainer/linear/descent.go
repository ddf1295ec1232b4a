package linear

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/optimize"
)

// descent minimises an objective by L-BFGS in scaled weights u = w·root, where root² is the estimated curvature.
type descent struct {
	o        *objective
	root     []float64
	p        Params
	progress func(Progress)

	at       []float64 // the scaled weights of the last evaluation
	w        []float64 // the same, unscaled
	gradient []float64 // in u, at at
	value    float64
	best     []float64 // scaled weights of the last iteration
	tried    int       // evaluations since then
	report   Report
}

func newDescent(o *objective, curvature []float64, p Params, progress func(Progress)) *descent {
	d := &descent{o: o, root: make([]float64, len(curvature)), p: p, progress: progress,
		at: make([]float64, len(curvature)), w: make([]float64, len(curvature)), gradient: make([]float64, len(curvature))}
	for i, c := range curvature {
		d.root[i] = 1
		if c > 0 {
			d.root[i] = math.Sqrt(c)
		}
	}
	d.at[0] = math.NaN() // nothing is evaluated yet
	return d
}

// restarts is how often the search begins anew, without its history, where the line search gets stuck.
const restarts = 3

// tries is after how many evaluations in one iteration the line search is stuck: near the best that float64 can tell it may try
// the same steps for ever.
const tries = 60

var errStuck = errors.New("the line search finds no better weights")

// run descends from the weights start. It fails only when ctx ends or the loss is no number.
func (d *descent) run(ctx context.Context, start []float64) (Report, error) {
	d.best = make([]float64, len(start))
	for i, w := range start {
		d.best[i] = w * d.root[i]
	}
	d.report.MaxIter = d.p.MaxIter
	d.evaluate(d.best)
	d.observe(d.value, d.gradient)
	for range restarts {
		if d.report.Converged || d.report.Iteration >= d.p.MaxIter {
			break
		}
		before := d.report.Iteration
		d.tried = 0
		_, err := optimize.Minimize(optimize.Problem{
			Func: func(u []float64) float64 { d.evaluate(u); return d.value },
			Grad: func(g, u []float64) { d.evaluate(u); copy(g, d.gradient) },
			Status: func() (optimize.Status, error) {
				if d.tried++; d.tried > tries {
					return optimize.Failure, errStuck
				}
				return optimize.NotTerminated, ctx.Err()
			},
		}, d.best, &optimize.Settings{Converger: d}, &optimize.LBFGS{
			Linesearcher: &optimize.MoreThuente{}, Store: 20, GradStopThreshold: math.NaN()})
		if ctx.Err() != nil {
			return d.report, ctx.Err()
		}
		if math.IsNaN(d.report.Loss) || math.IsInf(d.report.Loss, 0) {
			return d.report, fmt.Errorf("the loss became %v: %w", d.report.Loss, err)
		}
		if err != nil && d.report.Iteration == before {
			break // float64 has no better answer
		}
	}
	return d.report, nil
}

// weights are the weights of the last iteration.
func (d *descent) weights() []float64 {
	w := make([]float64, len(d.best))
	for i, u := range d.best {
		w[i] = u / d.root[i]
	}
	return w
}

// evaluate computes value and gradient at u, unless it just did: the optimizer asks for them one after the other.
func (d *descent) evaluate(u []float64) {
	if slices.Equal(u, d.at) {
		return
	}
	copy(d.at, u)
	for i, v := range u {
		d.w[i] = v / d.root[i]
	}
	d.value = d.o.evaluate(d.w, d.gradient)
	for i := range d.gradient {
		d.gradient[i] /= d.root[i]
	}
	d.report.Evaluations++
}

// Init is called by the optimizer when it begins.
func (d *descent) Init(int) {}

// Converged is called by the optimizer after each iteration: it keeps the weights and tells whether they are good enough.
func (d *descent) Converged(at *optimize.Location) optimize.Status {
	copy(d.best, at.X)
	d.tried = 0
	d.report.Iteration++
	d.observe(at.F, at.Gradient)
	if d.progress != nil {
		d.progress(d.report.Progress)
	}
	switch {
	case d.report.Converged:
		return optimize.GradientThreshold
	case d.report.Iteration >= d.p.MaxIter:
		return optimize.IterationLimit
	}
	return optimize.NotTerminated
}

// observe takes a value and its gradient in u into the report.
func (d *descent) observe(value float64, gradient []float64) {
	largest := 0.0
	for i, g := range gradient {
		largest = max(largest, math.Abs(g*d.root[i]))
	}
	d.report.Loss, d.report.Gradient = value, largest
	d.report.Converged = largest <= d.p.Tolerance
}
