// Package rollout decides which version of a model is champion. It is a pure fold for the strategy direct: an approved
// version takes all traffic at once, and a person can put an earlier champion back. State is JSON and bounded.
//
// A version is promoted at most once, however often its approval is heard; and only against the champion it was judged
// against, for a verdict says nothing about any other.
package rollout

import (
	"fmt"
	"slices"

	"github.com/tidemill/tidemill/events"
)

// StrategyDirect gives an approved version all traffic at once.
const StrategyDirect = "direct"

// maxKnown bounds the champions that a rollback can reach.
const maxKnown = 20

// State is what deployment knows of one model.
type State struct {
	Model    string   `json:"model"`
	Champion string   `json:"champion,omitempty"` // version in service; "" before the first
	Previous []string `json:"previous,omitempty"` // the champions that it stands on, newest last
	Known    []Entry  `json:"known,omitempty"`    // every version that was champion, in order of promotion, newest last
}

// Entry is a version that was champion once.
type Entry struct {
	events.Version
	Cycle   string             `json:"cycle,omitempty"`
	Metrics map[string]float64 `json:"metrics,omitempty"` // on the rows it was judged on
}

// New is the state of a model without versions.
func New(model string) State { return State{Model: model} }

// Find returns the entry of a version that is or was champion; it serves what the deployments documents show.
func (s State) Find(version string) (Entry, bool) {
	for _, e := range s.Known {
		if e.Version.Version == version {
			return e, true
		}
	}
	return Entry{}, false
}

// Input is one thing that deployment hears. The set is closed.
type Input interface {
	fold(s State) (State, Decision)
}

// Approved is a version that passed its gates.
type Approved events.CandidateApproved

// RollbackAsked is a person's wish to put an earlier champion back: To, or the one before the present.
type RollbackAsked events.RollbackAsked

// Deleted forgets the model.
type Deleted struct{}

// Decision is what follows: the payloads of the facts to say, in the order of the fields; nil is not said.
type Decision struct {
	Started    *events.RolloutStarted    // a promotion begins
	RolledBack *events.RolloutRolledBack // a version lost its traffic, or never gets it since its verdict is void
	Ready      *events.ModelReady        // the new champion; nil when it stays
	Refused    string                    // why nothing changes; "" when something does
}

// Decide folds the input into the state. state isn't changed.
func Decide(state State, in Input) (State, Decision) {
	state.Previous = slices.Clone(state.Previous)
	state.Known = slices.Clone(state.Known)
	return in.fold(state)
}

func (in Approved) fold(s State) (State, Decision) {
	v := in.Version.Version
	if v == s.Champion {
		return s, Decision{Refused: "version " + v + " is champion already"}
	}
	if _, ok := s.Find(v); ok {
		return s, Decision{Refused: fmt.Sprintf("version %s was champion before; put it back with: tidemill rollback %s --to %s", v, s.Model, v)}
	}
	if in.Champion != "" && in.Champion != s.Champion {
		why := fmt.Sprintf("version %s was judged against version %s, but %s", v, in.Champion, s.now())
		return s, Decision{Refused: why, RolledBack: &events.RolloutRolledBack{Model: s.Model, From: v, To: s.Champion, Reason: why}}
	}
	before := s.Champion
	if before != "" {
		s.Previous = append(s.Previous, before)
	}
	s.Champion = v
	s.Known = append(s.Known, Entry{Version: in.Version, Cycle: in.Cycle, Metrics: in.Verdict.Metrics})
	s.bound()
	return s, Decision{
		Started: &events.RolloutStarted{Version: in.Version, Cycle: in.Cycle, Previous: before, Strategy: StrategyDirect},
		Ready: &events.ModelReady{Version: in.Version, Previous: before, Reason: events.ReadyPromoted, Cycle: in.Cycle,
			Metrics: in.Verdict.Metrics},
	}
}

func (in RollbackAsked) fold(s State) (State, Decision) {
	to, before := in.To, s.Champion
	switch {
	case before == "":
		return s, Decision{Refused: "model " + s.Model + " has no champion that could be rolled back"}
	case to == "" && len(s.Previous) == 0:
		return s, Decision{Refused: "there is no champion before version " + before + " to go back to"}
	case to == "":
		to = s.Previous[len(s.Previous)-1]
	case to == before:
		return s, Decision{Refused: "version " + to + " is champion already"}
	}
	e, ok := s.Find(to)
	if !ok {
		return s, Decision{Refused: fmt.Sprintf("version %s is not one of the last %d champions of %s (%s)", to, maxKnown, s.Model, s.names())}
	}
	if i := slices.Index(s.Previous, to); i >= 0 {
		s.Previous = s.Previous[:i]
	} else {
		s.Previous = append(s.Previous, before) // forward again, to one that was taken back
	}
	s.Champion = to
	s.bound()
	reason := in.Reason
	if reason == "" {
		reason = "asked by a person"
	}
	return s, Decision{
		RolledBack: &events.RolloutRolledBack{Model: s.Model, From: before, To: to, Reason: reason},
		Ready:      &events.ModelReady{Version: e.Version, Previous: before, Reason: events.ReadyRolledBack, Metrics: e.Metrics},
	}
}

func (Deleted) fold(s State) (State, Decision) { return New(s.Model), Decision{} }

// bound forgets the oldest champions, but never the present one nor what it can't go back to.
func (s *State) bound() {
	for len(s.Known) > maxKnown {
		i := slices.IndexFunc(s.Known, func(e Entry) bool { return e.Version.Version != s.Champion })
		s.Known = slices.Delete(s.Known, i, i+1)
	}
	s.Previous = slices.DeleteFunc(s.Previous, func(v string) bool { _, ok := s.Find(v); return !ok })
	s.Previous = s.Previous[max(0, len(s.Previous)-maxKnown):]
}

func (s State) now() string {
	if s.Champion == "" {
		return "there is no champion now"
	}
	return "version " + s.Champion + " is champion now"
}

func (s State) names() string {
	out := ""
	for i, e := range s.Known {
		if i > 0 {
			out += ", "
		}
		out += e.Version.Version
	}
	return out
}
