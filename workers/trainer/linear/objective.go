package linear

import (
	"math"
	"runtime"
	"sync"

	"github.com/tidemill/tidemill/core/resource"
)

// parts is how many pieces the rows are summed in. It is fixed, so that sums round the same on every machine.
const parts = 32

// objective is (Σ c·loss + l2/2·‖w‖²) / Σ c over the encoded rows, which count c each, and its gradient, in the weights w, shape
// [outputs, width].
type objective struct {
	task    string
	rows    rows
	label   []float64
	counts  counts
	total   float64 // Σ c
	width   int     // weights per output
	outputs int
	l2      float64

	partial [parts]struct {
		loss     float64
		gradient []float64
	}
}

func newObjective(task string, r rows, label []float64, c counts, width, outputs int, l2 float64) *objective {
	o := &objective{task: task, rows: r, label: label, counts: c, total: c.sum(r.n), width: width, outputs: outputs, l2: l2}
	for i := range o.partial {
		o.partial[i].gradient = make([]float64, width*outputs)
	}
	return o
}

// evaluate writes the gradient at w and returns the value.
func (o *objective) evaluate(w, gradient []float64) float64 {
	var group sync.WaitGroup
	next := make(chan int, parts)
	for p := range parts {
		next <- p
	}
	close(next)
	for range min(parts, runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for p := range next {
				o.part(p, w)
			}
		})
	}
	group.Wait()

	loss := 0.0
	clear(gradient)
	for p := range o.partial {
		loss += o.partial[p].loss
		for i, v := range o.partial[p].gradient {
			gradient[i] += v
		}
	}
	for i := range gradient {
		if i%o.width != 0 { // the intercept is free
			loss += o.l2 / 2 * w[i] * w[i]
			gradient[i] += o.l2 * w[i]
		}
		gradient[i] /= o.total
	}
	return loss / o.total
}

// part sums the rows of one part.
func (o *objective) part(p int, w []float64) {
	from, to := p*o.rows.n/parts, (p+1)*o.rows.n/parts
	gradient := o.partial[p].gradient
	clear(gradient)
	loss := 0.0
	z := make([]float64, o.outputs)
	for i := from; i < to; i++ {
		o.scores(i, w, z)
		own := o.residuals(o.label[i], z)
		if o.counts != nil {
			c := o.counts[i]
			own *= c
			for k := range z {
				z[k] *= c
			}
		}
		loss += own
		o.accumulate(i, z, gradient)
	}
	o.partial[p].loss = loss
}

// scores gives row i's linear scores, one per output.
func (o *objective) scores(i int, w, z []float64) {
	numeric, places := o.rows.row(i)
	for k := range z {
		v := w[k*o.width : (k+1)*o.width]
		sum := v[0]
		for j, x := range numeric {
			sum += v[1+j] * x
		}
		for _, place := range places {
			if place >= 0 {
				sum += v[place]
			}
		}
		z[k] = sum
	}
}

// residuals replaces the scores z by the derivative of the row's loss in them, and returns the loss.
func (o *objective) residuals(label float64, z []float64) float64 {
	switch o.task {
	case resource.TaskBinary:
		// loss = log(1 + exp(-margin)), with the exponential of a negative number only
		margin := z[0]
		if label == 0 {
			margin = -margin
		}
		e := math.Exp(-math.Abs(margin))
		loss := math.Log1p(e) + math.Max(-margin, 0)
		p := 1 / (1 + e)
		if z[0] < 0 {
			p = e / (1 + e)
		}
		z[0] = p - label
		return loss
	case resource.TaskMulticlass:
		top := z[0]
		for _, v := range z[1:] {
			top = math.Max(top, v)
		}
		sum, y := 0.0, int(label)
		own := z[y] - top
		for k, v := range z {
			z[k] = math.Exp(v - top)
			sum += z[k]
		}
		for k := range z {
			z[k] /= sum
		}
		z[y]--
		return math.Log(sum) - own
	default:
		z[0] -= label
		return z[0] * z[0] / 2
	}
}

func (o *objective) accumulate(i int, residual, gradient []float64) {
	numeric, places := o.rows.row(i)
	for k, r := range residual {
		g := gradient[k*o.width : (k+1)*o.width]
		g[0] += r
		for j, x := range numeric {
			g[1+j] += r * x
		}
		for _, place := range places {
			if place >= 0 {
				g[place] += r
			}
		}
	}
}

// curvature estimates the diagonal of the Hessian in w, given the curvature of the loss in each output's score. Weights of
// rare categories bend the objective little, the intercept bends it much: scaling by this makes L-BFGS take a tenth of the
// iterations.
func (o *objective) curvature(perOutput []float64) []float64 {
	squares := make([]float64, o.width)
	squares[0] = o.total
	for i := range o.rows.n {
		c := o.counts.of(i)
		numeric, places := o.rows.row(i)
		for j, x := range numeric {
			squares[1+j] += c * x * x
		}
		for _, place := range places {
			if place >= 0 {
				squares[place] += c
			}
		}
	}
	out := make([]float64, o.outputs*o.width)
	for k, h := range perOutput {
		for j, q := range squares {
			c := h * q
			if j > 0 {
				c += o.l2
			}
			out[k*o.width+j] = c / o.total
		}
	}
	return out
}
