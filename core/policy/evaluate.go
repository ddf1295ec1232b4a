package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/events"
)

// Decision is what follows from one observation.
type Decision struct {
	Fired   bool                   // a trigger or a person wants a cycle
	Pending bool                   // a wish waits: for the end of the running cycle or, a person's, for the budget
	Refused string                 // why a person's wish can't be served and is dropped; "" otherwise
	Clock   time.Time              // the present on the policy's clock
	Reasons []events.Reason        // the person's wish if any, the triggers, the guardrails
	End     *events.CycleEnded     // the cycle that ended, if one did
	Request *events.CycleRequested // the cycle to begin, if one may; it comes after End
}

// Evaluated is the fact that keeps the decision. cause is the short type of the observed fact, ordinal its segment's (or 0).
func (d Decision) Evaluated(s State, cause string, ordinal uint64) events.PolicyEvaluated {
	e := events.PolicyEvaluated{Model: s.Model, Cause: cause, Ordinal: ordinal, Fired: d.Fired, Requested: d.Request != nil,
		Pending: d.Pending, Now: d.Clock, Reasons: d.Reasons}
	if s.Policy != nil {
		e.Policy, e.Revision = s.Policy.Name, s.Policy.Revision
	}
	if d.Request != nil {
		e.Cycle = d.Request.Cycle
	}
	return e
}

// Evaluate folds the observation into the state and decides. now is wall time. state isn't changed. Observing the same
// fact twice is for the caller to prevent. Causes of triggers have no FactID: the caller fills in the observed fact's.
func Evaluate(state State, o Observation, now time.Time) (State, Decision) {
	now = now.UTC()
	if t, ok := o.(TimerFired); ok {
		now = later(now, t.Due.UTC()) // the scheduler's clock may be ahead, and a timer isn't said twice
	}
	s := state.clone()
	d := Decision{End: o.fold(&s, now)}
	a := s.assess(now)
	d.Fired, d.Refused, d.Reasons, d.Clock = a.fired || a.asked, a.refused, a.reasons, s.clock(now)
	switch {
	case a.request:
		d.Request = s.begin(now, a.manual, a.causes)
	default:
		s.wait(a)
	}
	d.Pending = s.Pending != nil
	return s, d
}

// Explain is the tree that Evaluate would decide by now, without an observation.
func Explain(s State, now time.Time) []events.Reason { return s.assess(now.UTC()).reasons }

// assessment is one look at the state.
type assessment struct {
	fired   bool // by triggers
	asked   bool // by a person
	request bool
	manual  bool // the request is a person's
	causes  []events.Cause
	waits   []events.Cause // what triggers want after the running cycle
	refused string
	reasons []events.Reason
}

func (s *State) assess(now time.Time) assessment {
	when := s.triggers(now)
	rails := s.guardrails(now, false)
	a := assessment{fired: when.Holds, asked: s.asked(), causes: causes(when)}
	a.request = a.fired && len(holding(rails)) == 0
	if a.fired && s.Running != nil && s.free() {
		a.waits = a.causes
	}
	if a.asked {
		own := s.guardrails(now, true)
		a.refused = s.refusal(own)
		a.reasons = append(a.reasons, events.Reason{Rule: "manual", Holds: a.refused == "", Text: joinTexts(s.Pending.Asks)})
		if a.manual = len(holding(own)) == 0; a.manual {
			a.request, a.causes = true, s.joined(a.causes)
		}
		if a.manual || !a.request {
			rails = own
		}
	}
	a.reasons = append(a.reasons, when, summary(rails))
	return a
}

// joined is the causes of a person's cycle: the triggers that fired join in, unless a window of the person's own makes it a
// cycle that doesn't serve them.
func (s *State) joined(triggers []events.Cause) []events.Cause {
	out := slices.Clone(s.Pending.Asks)
	if _, own := s.window(true); own {
		return out
	}
	return append(out, triggers...)
}

// free reports whether policy may request cycles at all.
func (s *State) free() bool { return s.modeGuard() == nil && s.Paused == nil }

// refusal is why a person's wish can never be served as things are: waiting would surprise, so it is dropped. A wish
// waits while a cycle runs, since much may have changed at its end.
func (s *State) refusal(rails []events.Reason) string {
	for _, r := range rails {
		if !r.Holds && r.Rule != "budget" && s.Running == nil {
			return r.Text
		}
	}
	return ""
}

// wait keeps what can't begin now: a person's wish until it can, what triggers want for as long as they do.
func (s *State) wait(a assessment) {
	w := Wish{Automatic: a.waits}
	if s.Pending != nil && a.refused == "" {
		w.Asks, w.Window, w.Import = s.Pending.Asks, s.Pending.Window, s.Pending.Import
	}
	s.Pending = nil
	if len(w.Asks)+len(w.Automatic) > 0 {
		s.Pending = &w
	}
}

// holding lists the rules of the guardrails that hold a cycle back.
func holding(rails []events.Reason) []string {
	var out []string
	for _, r := range rails {
		if !r.Holds {
			out = append(out, r.Rule)
		}
	}
	return out
}

func summary(rails []events.Reason) events.Reason {
	r := events.Reason{Rule: "guardrails", Children: rails, Holds: true, Text: "every guardrail lets a cycle pass"}
	if held := holding(rails); len(held) > 0 {
		r.Holds, r.Text = false, "held by "+strings.Join(held, ", ")
	}
	return r
}

func joinTexts(causes []events.Cause) string {
	texts := make([]string, len(causes))
	for i, c := range causes {
		texts[i] = c.Text
	}
	return strings.Join(texts, "; ")
}
