package together_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/core/together"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type job struct{ weight, in, out, served int }

func weight(j *job) int { return j.weight }

// TestEveryJobIsServedOnce from many sides, within the limits.
func TestEveryJobIsServedOnce(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 3} {
		const most = 10
		var running atomic.Int64
		g := together.New(limit, most, weight, func(jobs []*job) {
			if n := running.Add(1); n > int64(limit) {
				t.Errorf("%d are at work, not up to %d", n, limit)
			}
			sum := 0
			for _, j := range jobs {
				sum += j.weight
				j.out = j.in * 2
				j.served++
			}
			if len(jobs) == 0 || (len(jobs) > 1 && sum > most) {
				t.Errorf("%d jobs of weight %d went together", len(jobs), sum)
			}
			running.Add(-1)
		})
		const callers, each = 32, 500
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				for i := range each {
					j := &job{weight: (c + i) % 13, in: c*each + i}
					g.Do(j)
					if j.out != 2*j.in || j.served != 1 {
						t.Errorf("caller %d, job %d: %+v", c, i, j)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

// held is a group whose first batch waits until it is let go.
func held(first func()) (g *together.Group[*job], begun, release chan struct{}, batches *[][]int) {
	begun, release, batches = make(chan struct{}), make(chan struct{}), new([][]int)
	once := sync.Once{}
	g = together.New(1, 10, weight, func(jobs []*job) {
		var ins []int
		for _, j := range jobs {
			ins = append(ins, j.in)
		}
		*batches = append(*batches, ins) // one at a time
		once.Do(func() {
			close(begun)
			<-release
			first()
		})
		for _, j := range jobs {
			j.served++
		}
	})
	return g, begun, release, batches
}

// queue lets jobs of the weights wait, in their order.
func queue(t *testing.T, g *together.Group[*job], wg *sync.WaitGroup, weights ...int) []*job {
	t.Helper()
	var jobs []*job
	for i, w := range weights {
		j := &job{weight: w, in: i + 1}
		jobs = append(jobs, j)
		before := g.Waiting()
		wg.Go(func() { g.Do(j) })
		require.Eventually(t, func() bool { return g.Waiting() == before+1 }, 10*time.Second, time.Millisecond)
	}
	return jobs
}

func TestWhoWaitsGoesTogether(t *testing.T) {
	t.Parallel()
	g, begun, release, batches := held(func() {})
	var wg sync.WaitGroup
	wg.Go(func() { g.Do(&job{weight: 1}) })
	<-begun
	jobs := queue(t, g, &wg, 4, 4, 4, 99, 1)
	close(release)
	wg.Wait()
	for _, j := range jobs {
		require.Equal(t, 1, j.served)
	}
	require.Equal(t, [][]int{{0}, {1, 2}, {3}, {4}, {5}}, *batches, "a full batch, then what is too heavy to share")
}

// TestAPanicIsItsCallersAlone and holds up nobody else.
func TestAPanicIsItsCallersAlone(t *testing.T) {
	t.Parallel()
	g, begun, release, batches := held(func() { panic("no") })
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() { require.Equal(t, "no", recover()) }()
		g.Do(&job{weight: 1})
	})
	<-begun
	jobs := queue(t, g, &wg, 1, 1)
	close(release)
	wg.Wait()
	require.Equal(t, [][]int{{0}, {1, 2}}, *batches)
	require.Equal(t, 1, jobs[0].served)

	// Those who went along with one that panics wait again.
	var tries atomic.Int64
	block := make(chan struct{})
	p := together.New(1, 10, weight, func(jobs []*job) {
		switch tries.Add(1) {
		case 1:
			<-block
		case 2:
			if len(jobs) != 3 {
				t.Errorf("%d jobs", len(jobs))
			}
			panic("no")
		}
		for _, j := range jobs {
			j.served++
		}
	})
	wg.Go(func() { p.Do(&job{weight: 1}) })
	require.Eventually(t, func() bool { return tries.Load() == 1 }, 10*time.Second, time.Millisecond)
	var panics atomic.Int64
	all := []*job{{weight: 1}, {weight: 1}, {weight: 1}}
	for i, j := range all {
		wg.Go(func() {
			defer func() {
				if recover() != nil {
					panics.Add(1)
				}
			}()
			p.Do(j)
		})
		require.Eventually(t, func() bool { return p.Waiting() == i+1 }, 10*time.Second, time.Millisecond)
	}
	close(block)
	wg.Wait()
	require.Equal(t, int64(1), panics.Load())
	require.Equal(t, 2, all[0].served+all[1].served+all[2].served)
	last := &job{weight: 1}
	p.Do(last)
	require.Equal(t, 1, last.served)
}
