package model

import (
	"context"
	"errors"
	"math"
	"sync/atomic"

	"github.com/tidemill/tidemill/core/resource"
)

// Predictor answers batches of rows with one model: an ONNX file by a [*Scorer], or a command in a process of its own. It is safe
// for concurrent use.
type Predictor interface {
	// Contract is the contract that the model keeps.
	Contract() Contract
	// Width is the number of values per row: the classes, or 1 for a regression.
	Width() int
	// Score gives the model's answers, row-major, shape [N*Width]: probabilities in the order of the classes, or predictions. An
	// answer that isn't finite is a [*NotFinite], one of another shape a [*BrokenContract]; [*Unavailable] passes. The batch is
	// read, never kept.
	Score(ctx context.Context, b Batch) ([]float32, error)
	// Await returns when the model can answer, after it was [*Unavailable]; the error says why it still can't.
	Await(ctx context.Context) error
	// Acquire holds the model open until Release; it is false when it is closed already.
	Acquire() bool
	Release()
	// Close lets the model go when the last one that holds it is done. Closing twice is safe.
	Close()
}

// Unavailable says that a model can't answer now, and may soon: the process that answers for it ended, or took too long.
type Unavailable struct{ Problem string }

// Error is the problem, in words for the person who wrote the model.
func (e *Unavailable) Error() string { return e.Problem }

// Smoke runs a model that was just opened on one row and on three, of zeros and a category that no training set has. What it
// answers must be finite, and a classifier's answers must be probabilities. A model that doesn't gives a [*BrokenContract].
func Smoke(ctx context.Context, c Contract, score func(context.Context, Batch) ([]float32, error)) error {
	for _, n := range []int{1, 3} {
		out, err := score(ctx, smokeRows(c, n))
		var nan *NotFinite
		var unavailable *Unavailable
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &nan):
			return broken("a row of zeros and unknown categories scores %v", nan.Value)
		case errors.As(err, &unavailable):
			return err
		case err != nil:
			return broken("a first run on %d rows of zeros and unknown categories failed: %v", n, err)
		}
		if err := plausible(c, out); err != nil {
			return err
		}
	}
	return nil
}

func smokeRows(c Contract, n int) Batch {
	b := Batch{N: n, Columns: make([]Column, len(c.Features))}
	for i, f := range c.Features {
		if f.Kind == KindNumeric {
			b.Columns[i].Numeric = make([]float32, n)
			continue
		}
		b.Columns[i].Text = make([]string, n)
		for j := range n {
			b.Columns[i].Text[j] = "\x01no such category"
		}
	}
	return b
}

// Finite gives a [*NotFinite] for the first answer that is no number.
func Finite(answers []float32, width int) error {
	for i, v := range answers {
		// v-v is 0 but for NaN and infinities.
		if v-v != 0 {
			return &NotFinite{Row: i / width, Value: v}
		}
	}
	return nil
}

// slack is how far float32 arithmetic may carry a probability past its bounds, and a sum of them away from 1.
const slack = 1e-3

// plausible tells whether a classifier's answers are probabilities.
func plausible(c Contract, out []float32) error {
	if c.Task == resource.TaskRegression {
		return nil
	}
	for w := c.Width(); len(out) >= w; out = out[w:] {
		sum := 0.0
		for _, p := range out[:w] {
			if p < -slack || p > 1+slack {
				return broken("output %q holds %v, which is no probability", tensorProbabilities, p)
			}
			sum += float64(p)
		}
		if math.Abs(sum-1) > slack {
			return broken("a row of output %q sums to %.4g, not to 1", tensorProbabilities, sum)
		}
	}
	return nil
}

// Holds counts who uses a predictor, and lets it go when nobody does any more. Open it before use.
type Holds struct {
	refs   atomic.Int64
	closed atomic.Bool
	free   func()
}

// Open begins with one holder, that of Close; free is called once, when the last holder is gone.
func (h *Holds) Open(free func()) {
	h.free = free
	h.refs.Store(1)
}

// Acquire holds the predictor open until [Holds.Release]; it is false when it is closed already. A request that acquired it can
// score, however soon its version is swapped out and closed.
func (h *Holds) Acquire() bool {
	for {
		n := h.refs.Load()
		if n == 0 {
			return false
		}
		if h.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release gives back what Acquire took.
func (h *Holds) Release() {
	if h.refs.Add(-1) == 0 {
		h.free()
	}
}

// Close lets the predictor go when the last request that holds it is done; it doesn't wait for them. Closing twice is safe.
func (h *Holds) Close() {
	if !h.closed.Swap(true) {
		h.Release()
	}
}
