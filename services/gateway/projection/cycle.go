package projection

import (
	"slices"

	"github.com/tidemill/tidemill/core/evaluation"
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

// maxTrialSteps is how many facts about its trials a cycle shows among its steps: those of a long search would bury the others.
const maxTrialSteps = 60

type cycle struct {
	api.Cycle
	told       []string // ids of the facts in Steps
	trialSteps int
	planned    map[string]int // how many trials the search of a candidate may have; 0 when nobody knows
	primary    evaluation.Metric
}

// step notes a fact of the cycle, once.
func (c *cycle) step(f events.Fact) {
	if slices.Contains(c.told, f.ID) {
		return
	}
	if f.Type == events.TrialStartedType || f.Type == events.TrialFinishedType {
		if c.trialSteps++; c.trialSteps > maxTrialSteps {
			return
		}
	}
	c.told = append(c.told, f.ID)
	c.Steps = append(c.Steps, api.Step{Seq: f.Seq, Type: f.Type.Short(), At: f.Time, Text: narrate.Text(f)})
}

func (c *cycle) shown() *api.Cycle {
	out := c.Cycle
	out.Trials, out.Queued = c.leaderboard(), c.queued()
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
	c.announce(m.specs[x.ModelRevision])
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
