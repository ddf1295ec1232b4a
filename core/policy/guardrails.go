package policy

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// newsAfterRefusal is the share of more rows that a policy without onRejected waits for after a refusal.
const newsAfterRefusal = 0.10

// guardrails lists what may hold a cycle back. A person (manual) passes over most of it: those say so and hold.
func (s *State) guardrails(now time.Time, manual bool) []events.Reason {
	out := s.basics()
	if len(out) > 0 {
		return out // nothing else can be said without a model and data
	}
	over := func(r *events.Reason) {
		if r == nil {
			return
		}
		if manual && !r.Holds {
			r.Holds = true
			r.Text += "; passed over, since a person asked"
		}
		out = append(out, *r)
	}
	over(s.modeGuard())
	over(s.pauseGuard())
	out = append(out, s.concurrencyGuard())
	if s.Policy != nil {
		c := s.Policy.Spec.Guardrails.Cooldown
		over(s.cooldownGuard("requested", "the last request", c.Requested.Std(), s.Requested, now))
		over(s.cooldownGuard("promoted", "the last change of champion", c.Promoted.Std(), s.Promoted, now))
	}
	if b := s.budgetGuard(now); b != nil {
		out = append(out, *b)
	}
	over(s.rejectionGuard())
	over(s.failureGuard())
	if n := s.noveltyGuard(manual); n != nil {
		out = append(out, *n)
	}
	return out
}

// basics lists what is missing for any cycle at all.
func (s *State) basics() []events.Reason {
	switch {
	case s.Spec == nil:
		return []events.Reason{{Rule: "model", Text: "there is no model " + s.Model + "; apply it first"}}
	case s.NoData:
		return []events.Reason{{Rule: "dataset", Text: "the dataset " + s.Spec.Dataset + " is deleted"}}
	case s.Data.Rows == 0:
		return []events.Reason{{Rule: "data", Text: "no rows of the dataset " + s.Spec.Dataset + " are accepted yet"}}
	}
	return nil
}

func (s *State) modeGuard() *events.Reason {
	if s.Policy == nil || s.Policy.Spec.Mode != resource.ModeObserve {
		return nil
	}
	return &events.Reason{Rule: "mode", Text: "the policy only observes; set mode: auto to let it request cycles"}
}

func (s *State) pauseGuard() *events.Reason {
	if s.Paused == nil {
		return nil
	}
	text := "the model is paused"
	if s.Paused.By != "" {
		text += " by " + s.Paused.By
	}
	if s.Paused.Reason != "" {
		text += " (" + s.Paused.Reason + ")"
	}
	return &events.Reason{Rule: "paused", Text: text}
}

func (s *State) concurrencyGuard() events.Reason {
	if s.Running == nil {
		return events.Reason{Rule: "maxConcurrent", Holds: true, Target: 1, Text: "no cycle is running"}
	}
	return events.Reason{Rule: "maxConcurrent", Value: 1, Target: 1, Text: "cycle " + s.Running.ID + " is running; one wish waits for its end"}
}

// cooldownGuard compares the time since a moment, on the policy's clock, with the least time between cycles.
func (s *State) cooldownGuard(which, since string, limit time.Duration, last Clocks, now time.Time) *events.Reason {
	if limit <= 0 {
		return nil
	}
	r := &events.Reason{Rule: "cooldown." + which, Target: limit.Seconds()}
	if s.on(last).IsZero() {
		r.Holds, r.Text = true, "nothing has happened yet that would need to cool down"
		return r
	}
	passed := max(0, s.clock(now).Sub(s.on(last)))
	r.Value, r.Holds = passed.Seconds(), passed >= limit
	r.Text = fmt.Sprintf("%s of %s have passed since %s (%s clock)", span(passed), span(limit), since, s.clockName())
	if r.Holds {
		r.Text = fmt.Sprintf("%s have passed since %s, at least %s are needed (%s clock)", span(passed), since, span(limit), s.clockName())
	}
	return r
}

// budgetUse counts the requests within the budget's time and says when a slot is free; free is zero when none ever is.
func (s *State) budgetUse(now time.Time) (used, allowed int, free time.Time) {
	b := s.Policy.Spec.Guardrails.Budget
	allowed = int(min(max(b.Cycles, 0), maxBudget))
	var in []int64
	for _, t := range s.Budget {
		if now.Sub(time.UnixMilli(t)) < b.Per.Std() {
			in = append(in, t)
		}
	}
	slices.Sort(in)
	switch {
	case len(in) < allowed:
		free = now
	case allowed > 0:
		free = time.UnixMilli(in[len(in)-allowed]).Add(b.Per.Std()).UTC()
	}
	return len(in), allowed, free
}

func (s *State) budgetGuard(now time.Time) *events.Reason {
	if s.Policy == nil || s.Policy.Spec.Guardrails.Budget == nil {
		return nil
	}
	used, allowed, free := s.budgetUse(now)
	r := &events.Reason{Rule: "budget", Holds: used < allowed, Value: float64(used), Target: float64(allowed)}
	r.Text = fmt.Sprintf("%d of %d cycles within %s are used", used, allowed, span(s.Policy.Spec.Guardrails.Budget.Per.Std()))
	if !r.Holds && !free.IsZero() {
		r.Text += "; the next is free at " + moment(free)
	}
	return r
}

// rejectionGuard keeps policy from retraining into the same refusal.
func (s *State) rejectionGuard() *events.Reason {
	back := s.Rejected
	if back == nil {
		return nil
	}
	r := &events.Reason{Rule: "onRejected"}
	what := fmt.Sprintf("version %s was rejected (%s)", back.Version, back.Reason)
	if back.RolledBack {
		what = fmt.Sprintf("version %s was %s", back.Version, back.Reason)
	}
	fresh := max(0, s.Data.Rows-back.Rows)
	r.Value = float64(fresh)
	if back.ModelRevision != s.Spec.Revision {
		r.Holds, r.Text = true, what+"; the model was changed since"
		return r
	}
	if on := s.Policy; on != nil && on.Spec.Guardrails.OnRejected != nil {
		want := max(1, on.Spec.Guardrails.OnRejected.Until.NewRows)
		r.Target, r.Holds = float64(want), fresh >= want
		r.Text = fmt.Sprintf("%s of %s new rows since the snapshot of the refused model: %s", count(fresh), count(want), what)
		return r
	}
	want := max(1, int64(math.Ceil(newsAfterRefusal*float64(back.Rows))))
	r.Target, r.Holds = float64(want), fresh >= want
	r.Text = fmt.Sprintf("%s of %s new rows (%s, as the policy has no onRejected) since the snapshot of the refused model: %s",
		count(fresh), count(want), percent(newsAfterRefusal), what)
	if !r.Holds && fresh > 0 && s.scheduleDue() {
		r.Holds = true
		r.Text += "; a schedule came due, which needs only some"
	}
	return r
}

// failureGuard keeps policy from failing again on the very same thing.
func (s *State) failureGuard() *events.Reason {
	back := s.Failed
	if back == nil {
		return nil
	}
	w, _ := s.window(false)
	r := &events.Reason{Rule: "onFailed", Holds: back.ModelRevision != s.Spec.Revision || back.Snapshot != events.SnapshotID(s.Data.Chain, w)}
	r.Text = fmt.Sprintf("cycle %s failed (%s); there are new data or a changed model since", back.Cycle, back.Reason)
	if !r.Holds {
		r.Text = fmt.Sprintf("cycle %s failed on this very snapshot (%s); the next try needs new data or a changed model", back.Cycle, back.Reason)
	}
	return r
}

// noveltyGuard demands that a cycle has something new to learn. For policy that is a training row later than what the
// champion was trained through; training rows end where the hold-out begins, about maxTime − (validation + test + gap).
// For a person it is another snapshot, window or recipe.
func (s *State) noveltyGuard(manual bool) *events.Reason {
	c := s.Current
	if c.Version == "" {
		return nil
	}
	r := &events.Reason{Rule: "nothingNew", Holds: true}
	if manual && s.Pending != nil && s.Pending.Import != nil {
		r.Text = "the model that a person brought was never judged"
		return r
	}
	w, _ := s.window(manual)
	if events.SnapshotID(s.Data.Chain, w) == c.Snapshot && (c.ModelRevision == 0 || c.ModelRevision == s.Spec.Revision) {
		r.Holds = false
		r.Text = fmt.Sprintf("version %s was trained on just these rows (snapshot %.12s, window %s); publish rows, choose another window or change the model",
			c.Version, c.Snapshot, w)
		return r
	}
	if manual {
		r.Text = "the snapshot, window or model differs from that of version " + c.Version
		return r
	}
	if c.TrainedThrough.IsZero() {
		r.Text = "it is not known through when version " + c.Version + " was trained"
		return r
	}
	ends := s.Data.MaxTime.Add(-s.Spec.Holdout.Std())
	if s.changed() {
		r.Holds = s.Data.MaxTime.After(c.TrainedThrough)
		r.Text = fmt.Sprintf("the model is made by another recipe than version %s; rows later than %s can judge it", c.Version, moment(c.TrainedThrough))
		if !r.Holds {
			r.Text = fmt.Sprintf("the model is made by another recipe than version %s, which was trained through %s: there is no later row that could judge it",
				c.Version, moment(c.TrainedThrough))
		}
		return r
	}
	r.Holds = ends.After(c.TrainedThrough)
	r.Text = fmt.Sprintf("training rows end at %s (the newest %s are held out); version %s was trained through %s",
		moment(ends), span(s.Spec.Holdout.Std()), c.Version, moment(c.TrainedThrough))
	if !r.Holds {
		r.Text += ": nothing new to learn yet"
	}
	return r
}
