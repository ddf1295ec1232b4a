package projection

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/internal/recipe"
)

// States of a trial.
const (
	trialQueued    = "queued"
	trialRunning   = "running"
	trialSucceeded = "succeeded"
	trialStopped   = "stopped"
	trialFailed    = "failed"
)

// maxLogTails is how many of a cycle's trials, the newest, keep the last lines of their logs.
const maxLogTails = 50

func over(t *api.Trial) bool {
	return t.State == trialSucceeded || t.State == trialFailed || t.State == trialStopped
}

// announce lists the trials that a cycle surely has: the first of each candidate.
func (c *cycle) announce(spec *resource.ModelSpec) {
	c.planned = map[string]int{}
	if spec != nil {
		c.Primary = spec.Evaluation.Primary
		c.primary, _ = evaluation.Lookup(spec.Evaluation.Primary, spec.Task) // of an unknown one no trial is the best
	}
	switch {
	case c.Import != nil:
		c.add(recipe.TrialID(c.CycleRequested.Cycle, events.ImportedCandidate, 1), events.ImportedCandidate)
	case spec != nil:
		for _, candidate := range spec.Candidates {
			c.add(recipe.TrialID(c.CycleRequested.Cycle, candidate.Name, 1), candidate.Name)
			c.planned[candidate.Name] = budget(candidate.Search)
		}
	}
}

// budget is how many trials a search may have, 0 when only its time bounds it.
func budget(s *resource.Search) int {
	if s == nil || s.Method != resource.SearchGrid {
		if s == nil {
			return 1
		}
		return s.Trials
	}
	size := 1
	for _, r := range s.Space {
		size *= int(max(r.Size(), 1))
	}
	if s.Trials > 0 {
		size = min(size, s.Trials)
	}
	return size
}

// queued is how many trials wait, as far as anybody but training can know: a search may end before its budget does.
func (c *cycle) queued() int {
	if c.State != stateRequested && c.State != stateTraining {
		return 0
	}
	left := map[string]int{}
	for name, n := range c.planned {
		left[name] = n
	}
	n := 0
	for _, t := range c.Trials {
		left[t.Candidate]--
		if t.State == trialQueued {
			n++
		}
	}
	for _, more := range left {
		n += max(more, 0)
	}
	return n
}

// add lists a trial. Its number is in its name: "<cycle>-<candidate>-<n>".
func (c *cycle) add(id, candidate string) *api.Trial {
	t := api.Trial{Trial: id, Candidate: candidate, State: trialQueued, Refit: id == recipe.RefitID(c.CycleRequested.Cycle, candidate)}
	t.Number, _ = strconv.Atoi(strings.TrimPrefix(id, recipe.TrialPrefix(c.CycleRequested.Cycle, candidate))) // of a refit it is 0
	c.Trials = append(c.Trials, t)
	return &c.Trials[len(c.Trials)-1]
}

// leaderboard are the trials in the order in which they were heard of, with their ranks by the primary metric.
func (c *cycle) leaderboard() []api.Trial {
	out := slices.Clone(c.Trials)
	var ranked []*api.Trial
	for i := range out {
		t := &out[i]
		if v, ok := t.Validation[c.Primary]; ok && t.State == trialSucceeded && !t.Refit && !math.IsNaN(v) {
			ranked = append(ranked, t)
		}
	}
	if c.primary.Direction == evaluation.Neutral {
		return out
	}
	slices.SortStableFunc(ranked, func(a, b *api.Trial) int {
		x, y := a.Validation[c.Primary], b.Validation[c.Primary]
		switch {
		case c.primary.Better(x, y):
			return -1
		case c.primary.Better(y, x):
			return 1
		}
		return 0
	})
	for i, t := range ranked {
		t.Rank = i + 1
	}
	return out
}

// won marks the trial that became the cycle's version.
func (c *cycle) won(trial string) {
	for i := range c.Trials {
		c.Trials[i].Winner = c.Trials[i].Trial == trial
	}
}

// trial finds a trial of a cycle that runs, and adds one that nobody announced.
func (m *model) trial(cycle, id, candidate string) *api.Trial {
	c := m.cycle(cycle)
	if c == nil || c.State == stateEnded {
		return nil
	}
	for i := range c.Trials {
		if c.Trials[i].Trial == id {
			return &c.Trials[i]
		}
	}
	if candidate == "" { // progress tells less than trial.started: "<cycle>-<candidate>-<n>"
		candidate = strings.TrimPrefix(id, cycle+"-")
		candidate = candidate[:max(strings.LastIndexByte(candidate, '-'), 0)]
	}
	return c.add(id, candidate)
}

func (m *model) trialStarted(x events.TrialStarted) {
	t := m.trial(x.Cycle, x.Trial, x.Candidate)
	if t == nil || t.Attempt > x.Attempt || over(t) {
		return
	}
	if t.Attempt < x.Attempt {
		t.Phase, t.Fraction, t.Message, t.LogTail, t.Reported = "", 0, "", nil, nil
	}
	t.State, t.Attempt, t.Worker, t.Params = trialRunning, x.Attempt, x.Worker, x.Params
	if c := m.cycle(x.Cycle); c.State == stateRequested {
		c.State = stateTraining
	}
}

func (m *model) trialFinished(x events.TrialFinished) {
	t := m.trial(x.Cycle, x.Trial, x.Candidate)
	if t == nil {
		return
	}
	t.State, t.Fraction = trialFailed, 1
	switch {
	case x.Stopped:
		t.State = trialStopped
	case x.Succeeded:
		t.State = trialSucceeded
	}
	t.Attempt, t.Reason, t.Seconds = x.Attempt, x.Reason, x.Seconds
	t.Validation, t.Reported, t.LogTail, t.Params = x.Validation, x.Reported, x.LogTail, x.Params
	if x.Worker != "" {
		t.Worker = x.Worker
	}
	c := m.cycle(x.Cycle)
	if i := len(c.Trials) - 1 - maxLogTails; i >= 0 {
		c.Trials[i].LogTail = nil
	}
}

func (m *model) progressed(x events.TrialProgressed) {
	t := m.trial(x.Cycle, x.Trial, "")
	if t == nil || over(t) || x.Attempt < t.Attempt {
		return
	}
	t.State, t.Attempt = trialRunning, x.Attempt
	t.Phase, t.Fraction, t.Message = x.Phase, x.Fraction, x.Message
	if len(x.Metrics) > 0 {
		t.Reported = x.Metrics
	}
	if len(x.Log) > 0 {
		t.LogTail = x.Log
	}
}

// Progress folds one fact of PROGRESS.
func (p *Projection) Progress(f events.Fact) (events.TrialProgressed, error) {
	var out events.TrialProgressed
	if f.Type != events.TrialProgressedType {
		return out, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	err := with(f, func(f events.Fact, x events.TrialProgressed) {
		out = x
		p.model(x.Model).progressed(x)
	})
	return out, err
}
