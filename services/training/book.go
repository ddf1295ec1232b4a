package training

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemill/tidemill/core/search"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/recipe"
	"github.com/tidemill/tidemill/workers/runtime"
)

// book is what training knows of one model. It holds references and figures, never what trials left behind: a search of
// thousands of trials must fit into one document.
type book struct {
	Versions int64  `json:"versions"`        // numbers given so far
	Cycle    *cycle `json:"cycle,omitempty"` // from its request to its end
}

// cycle is a cycle in training. Studies are there until one of their trials became a version, Winner from then on.
type cycle struct {
	events.CycleRequested
	Cause   runtime.Cause `json:"cause"` // its cycle.requested
	Studies []study       `json:"studies,omitempty"`
	Winner  *winner       `json:"winner,omitempty"`
	Refit   *refit        `json:"refit,omitempty"`
}

// study is all trials of one candidate.
type study struct {
	Candidate string       `json:"candidate"`
	Pool      string       `json:"pool"`
	Code      *events.Blob `json:"code,omitempty"`
	Began     time.Time    `json:"began,omitzero"` // its first trial, as the results tell
	Stop      *search.Stop `json:"stop,omitempty"` // of the newest generation
	Trials    []trial      `json:"trials"`         // in the order of their numbers, from 1
}

// trial is one trial.
type trial struct {
	Params   map[string]any `json:"params,omitempty"`   // what the search chose
	Released bool           `json:"released,omitempty"` // its job is in the queue, or was
	Finished *result        `json:"finished,omitempty"`
}

// result is what the choice among trials needs of a trial.finished; Seq leads to the fact itself.
type result struct {
	Seq     uint64   `json:"seq"`
	OK      bool     `json:"ok,omitempty"`
	Stopped bool     `json:"stopped,omitempty"`
	Value   *float64 `json:"value,omitempty"` // primary metric; nil where it is undefined
}

// winner is the trial that became the cycle's version.
type winner struct {
	Candidate string         `json:"candidate"`
	Pool      string         `json:"pool"`
	Code      *events.Blob   `json:"code,omitempty"`
	Number    int            `json:"number"`
	Params    map[string]any `json:"params,omitempty"`
	Seq       uint64         `json:"seq"` // of its trial.finished
}

// refit is the winner's recipe, to be trained again on all rows.
type refit struct {
	Cause  runtime.Cause  `json:"cause"` // its refit.requested
	Judged events.Version `json:"judged"`
	Trial  trial          `json:"trial"`
}

// refitID is the id of the refit's one trial.
func (c *cycle) refitID() string { return recipe.RefitID(c.Cycle, c.Winner.Candidate) }

// clone copies what a decision changes: documents that were handed out stay as they are.
func (b book) clone() book {
	if b.Cycle == nil {
		return b
	}
	c := *b.Cycle
	c.Studies = slices.Clone(c.Studies)
	for i := range c.Studies {
		c.Studies[i].Trials = slices.Clone(c.Studies[i].Trials)
	}
	if c.Refit != nil {
		r := *c.Refit
		c.Refit = &r
	}
	b.Cycle = &c
	return b
}

// find is the trial with an id, nil when the cycle has none.
func (c *cycle) find(id string) *trial {
	if c.Refit != nil && c.refitID() == id {
		return &c.Refit.Trial
	}
	for i := range c.Studies {
		s := &c.Studies[i]
		number, err := strconv.Atoi(strings.TrimPrefix(id, recipe.TrialPrefix(c.Cycle, s.Candidate)))
		if err == nil && number >= 1 && number <= len(s.Trials) && recipe.TrialID(c.Cycle, s.Candidate, number) == id {
			return &s.Trials[number-1]
		}
	}
	return nil
}

// over tells whether every trial of the study that was planned has its result.
func (s study) over() bool {
	return !slices.ContainsFunc(s.Trials, func(t trial) bool { return t.Finished == nil })
}

// over tells whether all studies are.
func (c *cycle) over() bool {
	return !slices.ContainsFunc(c.Studies, func(s study) bool { return !s.over() })
}

// place is where a trial that waits is found in its cycle.
type place struct {
	study, trial int // study is -1 for the refit
}

// waiting lists the trials of a pool that wait for their release: the candidates take turns.
func (c *cycle) waiting(pool string) []place {
	var out []place
	for i, s := range c.Studies {
		for j, t := range s.Trials {
			if s.Pool == pool && !t.Released && t.Finished == nil {
				out = append(out, place{i, j})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b place) int { return a.trial - b.trial })
	if c.Refit != nil && c.Winner.Pool == pool && !c.Refit.Trial.Released && c.Refit.Trial.Finished == nil {
		out = append(out, place{study: -1})
	}
	return out
}

// at is the trial at a place.
func (c *cycle) at(p place) *trial {
	if p.study < 0 {
		return &c.Refit.Trial
	}
	return &c.Studies[p.study].Trials[p.trial]
}
