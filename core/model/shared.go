package model

import (
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/tidemill/tidemill/core/together"
)

const (
	// mostShared is how many rows of several callers go through the graph at once.
	mostShared = 16
	// shareBytes is the largest model whose rows go together. What a small one's run takes is nearly all overhead, which rows can
	// share; a large one's is work, for which every processor is wanted.
	shareBytes = 1 << 20
)

// shared scores single rows that are asked for at the same time at once.
type shared struct {
	scorer *Scorer
	group  *together.Group[*sharedRow]

	mu   sync.Mutex
	idle []*slots
}

// sharedRow is one caller's row.
type sharedRow struct {
	b   Batch
	out []float32
	err error
}

// slots are buffers by their number of rows, made when they are needed first.
type slots [mostShared + 1]*slot

var sharedRows = sync.Pool{New: func() any { return &sharedRow{} }}

func newShared(s *Scorer) *shared {
	x := &shared{scorer: s}
	x.group = together.New(max(1, runtime.GOMAXPROCS(0)/2), mostShared, func(*sharedRow) int { return 1 }, x.serve)
	return x
}

func (x *shared) score(b Batch, out []float32) error {
	r := sharedRows.Get().(*sharedRow)
	*r = sharedRow{b: b, out: out}
	x.group.Do(r)
	err := r.err
	*r = sharedRow{}
	sharedRows.Put(r)
	return err
}

// serve scores rows. When they fail together each is tried alone: a caller must not suffer from another's row.
func (x *shared) serve(rows []*sharedRow) {
	s := x.take()
	defer x.give(s)
	err := x.run(s, rows)
	for i, r := range rows {
		r.err = err
		if err != nil && len(rows) > 1 {
			r.err = x.run(s, rows[i:i+1])
		}
	}
}

func (x *shared) run(s *slots, rows []*sharedRow) (err error) {
	t := s[len(rows)]
	if t == nil {
		if t, err = newSlot(x.scorer.contract, x.scorer.wiring, len(rows)); err != nil {
			return fmt.Errorf("allocate tensors: %w", err)
		}
		s[len(rows)] = t
	}
	return t.runRows(x.scorer.session, rows)
}

func (x *shared) take() *slots {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := len(x.idle)
	if n == 0 {
		return &slots{}
	}
	s := x.idle[n-1]
	x.idle = x.idle[:n-1]
	return s
}

func (x *shared) give(s *slots) {
	x.mu.Lock()
	x.idle = append(x.idle, s)
	x.mu.Unlock()
}

// free releases the buffers; nobody scores any more.
func (x *shared) free() {
	for _, s := range x.idle {
		for _, t := range s {
			if t != nil {
				t.free()
			}
		}
	}
}

// rowByRow tells whether rows that go through the graph together get the answers they get alone, to the bit. It is tried with every
// number of rows. A model whose answers don't differ between those rows has not shown it.
func (s *Scorer) rowByRow() bool {
	probe, width := probeRows(s.contract), s.Width()
	alone, got := make([]float32, mostShared*width), make([]float32, mostShared*width)
	differ := false
	for i := range mostShared {
		if s.chunk(probe.Slice(i, i+1), alone[i*width:(i+1)*width]) != nil {
			return false
		}
		differ = differ || !sameBits(alone[:width], alone[i*width:(i+1)*width])
	}
	for n := 2; n <= mostShared && differ; n++ {
		if s.chunk(probe.Slice(0, n), got[:n*width]) != nil || !sameBits(got[:n*width], alone[:n*width]) {
			return false
		}
	}
	return differ
}

func sameBits(a, b []float32) bool {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}

// probeRows are rows of unlike numbers, small and large, and unknown categories.
func probeRows(c Contract) Batch {
	b := smokeRows(c, mostShared)
	for j, f := range c.Features {
		if f.Kind != KindNumeric {
			continue
		}
		for i := range mostShared {
			b.Columns[j].Numeric[i] = float32((i*7+j*13)%29-14) * 1.37 * float32(math.Pow10((i+j)%6-2))
		}
	}
	return b
}
