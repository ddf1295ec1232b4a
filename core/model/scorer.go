package model

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	ort "github.com/yalue/onnxruntime_go"
	"golang.org/x/sync/errgroup"
)

// chunkRows bounds how many rows go through the graph at once: wide one-hot graphs need memory per row.
const chunkRows = 8192

var _ Predictor = (*Scorer)(nil)

// ErrClosed is returned by a scorer that was closed. A server that swaps versions holds the scorer with [Holds.Acquire].
var ErrClosed = errors.New("the scorer is closed")

// NotFinite says that a model answered with NaN or an infinity.
type NotFinite struct {
	Row   int // in the batch
	Value float32
}

// Error names the row and what to do.
func (e *NotFinite) Error() string {
	return fmt.Sprintf("the model's answer for row %d is %v, not a number; "+
		"does it handle nulls (NaN in numeric features, \"\" in string features) and unknown categories?", e.Row, e.Value)
}

// Scorer answers with an ONNX model. It is a [Predictor].
type Scorer struct {
	Holds
	contract Contract
	wiring   wiring
	session  *ort.DynamicAdvancedSession
	single   chan *slot // buffers for one row, kept between calls
	shared   *shared    // nil when rows of several callers may not go together
}

// Open loads a model and checks that it keeps its contract: its inputs and outputs, and a first run on rows of zeros and
// unknown categories, which must give finite answers (probabilities: between 0 and 1, summing to 1). A model that doesn't
// gives a [*BrokenContract]. The scorer must be closed.
func (r *Runtime) Open(ctx context.Context, onnx []byte, c Contract) (*Scorer, error) {
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	if _, err := Inspect(onnx); err != nil {
		return nil, fmt.Errorf("open model: %w", broken("%v", err))
	}
	inputs, outputs, err := ort.GetInputOutputInfoWithONNXData(onnx)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", broken("ONNX Runtime %s can't load it: %v", r.version, err))
	}
	w, err := wire(inputs, outputs, c)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	c.Input = w.input
	s := &Scorer{contract: c, wiring: w, single: make(chan *slot, 4*runtime.GOMAXPROCS(0))}
	if s.session, err = newSession(onnx, s.inputNames(), w.output); err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	s.Holds.Open(s.free)
	if err := Smoke(ctx, c, s.Score); err != nil {
		s.Close()
		return nil, fmt.Errorf("open model: %w", err)
	}
	if len(onnx) <= shareBytes && s.rowByRow() {
		s.shared = newShared(s)
	}
	return s, nil
}

// newSession makes a session that computes on the calling thread alone: parallelism comes from concurrent calls.
func newSession(onnx []byte, inputs []string, output string) (*ort.DynamicAdvancedSession, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("session options: %w", err)
	}
	defer options.Destroy()
	for _, set := range []func() error{
		func() error { return options.SetIntraOpNumThreads(1) },
		func() error { return options.SetInterOpNumThreads(1) },
		// An arena keeps the memory of its largest batch for ever; serving keeps several models open.
		func() error { return options.SetCpuMemArena(false) },
		func() error { return options.SetMemPattern(false) },
		func() error { return options.SetLogSeverityLevel(ort.LoggingLevelFatal) }, // failures come back as errors
	} {
		if err := set(); err != nil {
			return nil, fmt.Errorf("session options: %w", err)
		}
	}
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(onnx, inputs, []string{output}, options)
	if err != nil {
		return nil, fmt.Errorf("create session: %w", err)
	}
	return session, nil
}

// Contract is the contract that the model keeps, with the input mode that was found.
func (s *Scorer) Contract() Contract { return s.contract }

// Width is the number of values per row: the classes, or 1 for a regression.
func (s *Scorer) Width() int { return s.contract.Width() }

// Await has nothing to wait for: an opened model can answer.
func (s *Scorer) Await(ctx context.Context) error { return ctx.Err() }

func (s *Scorer) inputNames() []string {
	if s.wiring.input == InputMatrix {
		return []string{tensorFeatures}
	}
	names := make([]string, len(s.contract.Features))
	for i, f := range s.contract.Features {
		names[i] = f.Name
	}
	return names
}

// Score gives the model's answers, row-major, shape [N*Width]: probabilities in the order of the classes, or predictions. An
// answer that isn't finite is a [*NotFinite]. The batch is read, never kept.
func (s *Scorer) Score(ctx context.Context, b Batch) ([]float32, error) {
	if !s.Acquire() {
		return nil, ErrClosed
	}
	defer s.Release()
	if err := b.Check(s.contract.Features); err != nil {
		return nil, fmt.Errorf("score: %w", err)
	}
	out := make([]float32, b.N*s.Width())
	if b.N == 0 {
		return out, ctx.Err()
	}
	if err := s.score(ctx, b, out); err != nil {
		return nil, fmt.Errorf("score: %w", err)
	}
	if err := Finite(out, s.Width()); err != nil {
		return nil, fmt.Errorf("score: %w", err)
	}
	return out, nil
}

// score fills out chunk by chunk, with as many chunks at once as there are processors.
func (s *Scorer) score(ctx context.Context, b Batch, out []float32) error {
	if b.N <= chunkRows {
		if err := ctx.Err(); err != nil {
			return err
		}
		if b.N == 1 && s.shared != nil {
			return s.shared.score(b, out)
		}
		return s.chunk(b, out)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for from := 0; from < b.N; from += chunkRows {
		to := min(from+chunkRows, b.N)
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return s.chunk(b.Slice(from, to), out[from*s.Width():to*s.Width()])
		})
	}
	return group.Wait()
}

// chunk scores one chunk; buffers for single rows come from, and go back to, the pool.
func (s *Scorer) chunk(b Batch, out []float32) error {
	var t *slot
	if b.N == 1 {
		select {
		case t = <-s.single:
		default:
		}
	}
	if t == nil {
		var err error
		if t, err = newSlot(s.contract, s.wiring, b.N); err != nil {
			return fmt.Errorf("allocate tensors: %w", err)
		}
	}
	err := t.run(s.session, b, out)
	if b.N == 1 && err == nil {
		select {
		case s.single <- t:
			return nil
		default:
		}
	}
	t.free()
	return err
}

func (s *Scorer) free() {
	if s.shared != nil {
		s.shared.free()
	}
	for {
		select {
		case t := <-s.single:
			t.free()
		default:
			_ = s.session.Destroy() // it has nothing to report
			return
		}
	}
}
