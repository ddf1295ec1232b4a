package training

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/core/search"
	"github.com/tidemill/tidemill/events"
)

// roomy is how many bytes of its document a cycle may plan to fill; the rest is for what every document carries besides.
const roomy = 800 << 10

// resultBytes is what a result adds to its trial in the document, at most.
const resultBytes = 100

// generation is what a study tries next.
type generation struct {
	stop   *search.Stop
	trials []trial
}

// first is what a candidate's study begins with: one trial, or the first generation of its search.
func first(spec *resource.ModelSpec, cycle string, candidate resource.Candidate) (generation, error) {
	if candidate.Search == nil {
		return generation{trials: []trial{{}}}, nil
	}
	return propose(spec, cycle, candidate, nil)
}

// propose asks the search for the generation after the results so far; none when the search is over.
func propose(spec *resource.ModelSpec, cycle string, candidate resource.Candidate, done []search.Result) (g generation, err error) {
	primary, err := evaluation.Lookup(spec.Evaluation.Primary, spec.Task)
	if err != nil {
		return g, err
	}
	proposals, err := search.Next(candidate.Search, search.Seed(spec.Seed, cycle, candidate.Name), primary.Direction, done)
	if err != nil {
		return g, err
	}
	for i, p := range proposals {
		if p.Number != len(done)+i+1 {
			return g, fmt.Errorf("the search proposes trial %d after %d", p.Number, len(done)+i)
		}
		g.trials, g.stop = append(g.trials, trial{Params: p.Params}), p.Stop
	}
	return g, nil
}

// follow is the generation after one that is over; none when the search is, when its time has run out by the fact's time, or when
// the cycle's document could not hold the trials.
func (s *Service) follow(ctx context.Context, c *cycle, st study, spec *resource.ModelSpec, now time.Time) (generation, error) {
	candidate, _ := candidateOf(spec, st.Candidate)
	if candidate.Search == nil || candidate.Search.Time != nil && now.Sub(st.Began) >= candidate.Search.Time.Std() {
		return generation{}, nil
	}
	done, err := s.results(ctx, st, candidate.Search.EarlyStop != nil)
	if err != nil {
		return generation{}, err
	}
	g, err := propose(spec, c.Cycle, candidate, done)
	if err != nil || !fits(c, g) {
		return generation{}, err
	}
	return g, nil
}

// fits tells whether the cycle's document has room for a generation and all results.
func fits(c *cycle, g generation) bool {
	text, err := json.Marshal([]any{c, g.trials})
	total := len(g.trials)
	for _, st := range c.Studies {
		total += len(st.Trials)
	}
	return err == nil && len(text)+resultBytes*total <= roomy
}

// results are those of a study's trials, as the search takes them. Curves are read from the ledger.
func (s *Service) results(ctx context.Context, st study, curves bool) ([]search.Result, error) {
	out := make([]search.Result, len(st.Trials))
	for i, t := range st.Trials {
		r := search.Result{Number: i + 1, Params: t.Params, Value: math.NaN(), OK: t.Finished.OK, Stopped: t.Finished.Stopped}
		if t.Finished.Value != nil {
			r.Value = *t.Finished.Value
		}
		if curves && r.OK && !r.Stopped {
			curve, err := s.curve(ctx, t.Finished.Seq)
			if err != nil {
				return nil, err
			}
			r.Curve = curve
		}
		out[i] = r
	}
	return out, nil
}

// curve is what a finished trial reported; curves that were read before are kept for the generations to come.
func (s *Service) curve(ctx context.Context, seq uint64) ([]events.Point, error) {
	if curve, ok := s.curves.Get(seq); ok {
		return curve, nil
	}
	p, err := s.finished(ctx, seq)
	if err != nil {
		return nil, err
	}
	s.curves.Add(seq, p.Curve)
	return p.Curve, nil
}

// finished reads a trial.finished.
func (s *Service) finished(ctx context.Context, seq uint64) (events.TrialFinished, error) {
	f, err := s.host.Ledger.Get(ctx, seq)
	if err != nil {
		return events.TrialFinished{}, fmt.Errorf("read the result of a trial: %w", err)
	}
	return events.PayloadOf[events.TrialFinished](f)
}

// best is the study whose trial has the best primary metric, and that trial; of equals the first declared. A trial whose metric
// is undefined (one class among the validation rows, say) is better than none. ok is false when no trial left a model.
func (s *Service) best(ctx context.Context, c *cycle, spec *resource.ModelSpec) (at place, ok bool, err error) {
	primary, err := evaluation.Lookup(spec.Evaluation.Primary, spec.Task)
	if err != nil {
		return place{}, false, err
	}
	for i, st := range c.Studies {
		j, found, err := s.stands(ctx, st, spec, primary)
		if err != nil {
			return place{}, false, err
		}
		if found && (!ok || better(primary, st.Trials[j].Finished.Value, c.at(at).Finished.Value)) {
			at, ok = place{i, j}, true
		}
	}
	return at, ok, nil
}

// stands is the trial that stands for its study.
func (s *Service) stands(ctx context.Context, st study, spec *resource.ModelSpec, primary evaluation.Metric) (int, bool, error) {
	if candidate, _ := candidateOf(spec, st.Candidate); candidate.Search != nil {
		done, err := s.results(ctx, st, false)
		if err != nil {
			return 0, false, err
		}
		if number, ok := search.Winner(candidate.Search, primary.Direction, done); ok {
			return number - 1, true, nil
		}
	}
	i := slices.IndexFunc(st.Trials, func(t trial) bool { return t.Finished.OK && !t.Finished.Stopped })
	return i, i >= 0, nil
}

func better(primary evaluation.Metric, a, b *float64) bool {
	return a != nil && (b == nil || primary.Better(*a, *b))
}

func candidateOf(spec *resource.ModelSpec, name string) (resource.Candidate, bool) {
	i := slices.IndexFunc(spec.Candidates, func(c resource.Candidate) bool { return c.Name == name })
	if i < 0 {
		return resource.Candidate{}, false
	}
	return spec.Candidates[i], true
}
