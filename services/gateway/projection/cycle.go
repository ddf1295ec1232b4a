package projection

import (
	"slices"
	"strings"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/internal/narrate"
)

// States of a cycle.
const (
	stateRequested  = "requested"
	stateTraining   = "training"
	stateEvaluating = "evaluating"
	stateRollingOut = "rollingOut"
	stateEnded      = "ended"
)

// States of a trial.
const (
	trialQueued    = "queued"
	trialRunning   = "running"
	trialSucceeded = "succeeded"
	trialFailed    = "failed"
)

type cycle struct {
	api.Cycle
	told []string // ids of the facts in Steps
}

// step notes a fact of the cycle, once.
func (c *cycle) step(f events.Fact) {
	if slices.Contains(c.told, f.ID) {
		return
	}
	c.told = append(c.told, f.ID)
	c.Steps = append(c.Steps, api.Step{Seq: f.Seq, Type: f.Type.Short(), At: f.Time, Text: narrate.Text(f)})
}

func (c *cycle) shown() *api.Cycle {
	out := c.Cycle
	out.Trials = slices.Clone(c.Trials)
	out.Steps = slices.Clone(c.Steps)
	return &out
}

// requested begins a cycle, with its candidates waiting for a worker.
func (m *model) requested(f events.Fact, x events.CycleRequested) {
	if ordinal, waited := m.undecided[x.Cycle]; waited {
		m.decided = max(m.decided, ordinal)
		delete(m.undecided, x.Cycle)
	}
	if x.Number <= m.lastNumber {
		return
	}
	m.lastNumber = x.Number
	m.counts["requested"]++
	c := &cycle{Cycle: api.Cycle{CycleRequested: x, State: stateRequested, Trials: []api.Trial{}, Began: f.Time, EventTime: x.Snapshot.Watermark}}
	if spec := m.specs[x.ModelRevision]; spec != nil {
		for _, candidate := range spec.Candidates {
			c.Trials = append(c.Trials, api.Trial{Trial: x.Cycle + "-" + candidate.Name + "-1", Candidate: candidate.Name, State: trialQueued})
		}
	}
	before := len(m.cycles)
	m.cycles = bound(append(m.cycles, c), maxCycles)
	if len(m.cycles) <= before {
		for id := range m.requests {
			if m.cycle(id) == nil && m.undecided[id] == 0 {
				delete(m.requests, id)
			}
		}
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
	c.Trials = append(c.Trials, api.Trial{Trial: id, Candidate: candidate, State: trialQueued})
	return &c.Trials[len(c.Trials)-1]
}

func (m *model) trialStarted(x events.TrialStarted) {
	t := m.trial(x.Cycle, x.Trial, x.Candidate)
	if t == nil || t.Attempt > x.Attempt || t.State == trialSucceeded || t.State == trialFailed {
		return
	}
	if t.Attempt < x.Attempt {
		t.Phase, t.Fraction, t.Message, t.LogTail, t.Reported = "", 0, "", nil, nil
	}
	t.State, t.Attempt, t.Worker = trialRunning, x.Attempt, x.Worker
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
	if x.Succeeded {
		t.State = trialSucceeded
	}
	t.Attempt, t.Reason, t.Seconds = x.Attempt, x.Reason, x.Seconds
	t.Validation, t.Reported, t.LogTail = x.Validation, x.Reported, x.LogTail
}

func (m *model) progressed(x events.TrialProgressed) {
	t := m.trial(x.Cycle, x.Trial, "")
	if t == nil || t.State == trialSucceeded || t.State == trialFailed || x.Attempt < t.Attempt {
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

// ended is the last word on a cycle.
func (m *model) ended(f events.Fact, x events.CycleEnded) {
	c := m.cycle(x.Cycle)
	if c == nil || c.State == stateEnded {
		return
	}
	m.counts[x.Outcome]++
	m.lastEnd = max(m.lastEnd, f.CausationSeq)
	c.State, c.Outcome, c.Reason, c.Ended = stateEnded, x.Outcome, x.Reason, f.Time
	if x.Version != "" {
		c.Version = x.Version
	}
	for i := range c.Trials {
		if t := &c.Trials[i]; t.State == trialQueued || t.State == trialRunning {
			t.State, t.Reason = trialFailed, "the cycle ended before it"
		}
	}
	if x.Outcome == events.OutcomePromoted {
		return
	}
	if v := m.version(c.Version); v != nil && v.State == stateCandidate {
		v.State = stateRejected
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
