package runtime

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/jobs"
)

// every is how often progress is said at most: five times a second.
const every = 200 * time.Millisecond

// reporter turns a trial's updates into trial.progressed. Updates never wait for the broker, and may be merged or lost.
type reporter struct {
	w       *Worker
	spec    Spec
	attempt jobs.Attempt

	mu      sync.Mutex
	pending events.TrialProgressed
	resumed string // from which checkpoint; "" when it began anew
	dirty   bool
	n       int

	news   chan struct{}
	closed chan struct{}
	done   chan struct{}
}

func newReporter(w *Worker, spec Spec, attempt jobs.Attempt) *reporter {
	r := &reporter{w: w, spec: spec, attempt: attempt, news: make(chan struct{}, 1), closed: make(chan struct{}), done: make(chan struct{})}
	r.pending = events.TrialProgressed{Trial: spec.Trial, Cycle: spec.Cycle, Model: spec.Model, Candidate: spec.Candidate.Name, Attempt: attempt.Number}
	go r.run()
	return r
}

// update takes one update.
func (r *reporter) update(u Update) {
	r.mu.Lock()
	p := &r.pending
	if u.Phase != p.Phase {
		p.Phase, p.Fraction, p.Message = u.Phase, 0, ""
	}
	if u.Fraction > 0 {
		p.Fraction = min(u.Fraction, 1)
	}
	if u.Message != "" {
		p.Message = u.Message
	}
	if u.PID != 0 {
		p.Message = fmt.Sprintf("process %d", u.PID)
	}
	for name, v := range u.Metrics {
		if name != metricProgress {
			if p.Metrics == nil {
				p.Metrics = map[string]float64{}
			}
			p.Metrics[name] = v
		}
	}
	if u.Line != "" {
		p.Log = append(p.Log, u.Line)
		if len(p.Log) > tailLines {
			p.Log = p.Log[len(p.Log)-tailLines:]
		}
	}
	r.wake()
	r.mu.Unlock()
}

// checkpoints takes how many are stored.
func (r *reporter) checkpoints(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending.Checkpoints = n
	r.wake()
}

// resume takes where the attempt goes on.
func (r *reporter) resume(said string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resumed = said
	r.wake()
}

// wake says that there is news; the caller holds the lock.
func (r *reporter) wake() {
	r.dirty = true
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// close says what is left, and waits for that.
func (r *reporter) close() {
	close(r.closed)
	<-r.done
}

func (r *reporter) run() {
	defer close(r.done)
	for {
		select {
		case <-r.closed:
			r.say()
			return
		case <-r.news:
		}
		r.say()
		pause := time.NewTimer(every)
		select {
		case <-r.closed:
		case <-pause.C:
		}
		pause.Stop()
	}
}

func (r *reporter) say() {
	r.mu.Lock()
	if !r.dirty {
		r.mu.Unlock()
		return
	}
	p := r.pending
	p.Metrics = map[string]float64{}
	for k, v := range r.pending.Metrics {
		p.Metrics[k] = v
	}
	if r.resumed != "" {
		p.Message = strings.TrimPrefix(p.Message+", "+r.resumed, ", ")
	}
	r.pending.Log, r.dirty = nil, false
	r.n++
	n := r.n
	r.mu.Unlock()
	fact, err := r.w.fact(r.spec, events.TrialProgressedType, p, "progressed", strconv.Itoa(r.attempt.Number), strconv.Itoa(n))
	if err != nil {
		return // nobody depends on progress
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if _, err := r.w.bus.Say(ctx, fact); err != nil {
		r.w.o.Log.Debug("progress was not said", zap.String("trial", r.spec.Trial), zap.Error(err))
	}
}
