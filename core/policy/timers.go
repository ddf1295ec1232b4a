package policy

import (
	"slices"
	"time"

	"github.com/tidemill/tidemill/core/resource"
)

// Kinds of timers.
const (
	TimerSchedule = "schedule" // Key: the place of the schedule in the when-tree
	TimerDeadline = "deadline" // Key: the cycle
	TimerCooldown = "cooldown" // Key: requested or promoted
	TimerBudget   = "budget"   // a slot is free
	TimerMaxAge   = "maxAge"   // Key: the place of the trigger in the when-tree
)

// Timer is a moment of wall time at which TimerFired must be observed, with this kind, key and due time.
type Timer struct {
	Kind string
	Key  string
	Due  time.Time
}

// Timers lists what the state waits for on the wall clock, soonest first. A timer that is overdue is listed until it was
// observed. Cooldowns and budgets are listed only while something waits for them.
func Timers(s State, now time.Time) []Timer {
	now = now.UTC()
	var out []Timer
	if s.Running != nil {
		out = append(out, Timer{TimerDeadline, s.Running.ID, s.Running.Deadline})
	}
	for _, k := range s.Schedules {
		if !k.Next.IsZero() {
			out = append(out, Timer{TimerSchedule, k.Key, k.Next})
		}
	}
	if s.Policy != nil {
		out = append(out, s.wallTimers(now)...)
	}
	slices.SortStableFunc(out, func(a, b Timer) int { return a.Due.Compare(b.Due) })
	return out
}

func (s *State) wallTimers(now time.Time) []Timer {
	var out []Timer
	future := func(kind, key string, due time.Time) {
		if due.After(now) {
			out = append(out, Timer{kind, key, due})
		}
	}
	spec := s.Policy.Spec
	fired := s.triggers(now).Holds
	if spec.Guardrails.Budget != nil && (fired || s.asked()) {
		if _, _, free := s.budgetUse(now); !free.IsZero() {
			future(TimerBudget, "", free)
		}
	}
	if spec.Clock != resource.ClockWall {
		return out
	}
	if c := spec.Guardrails.Cooldown; fired {
		if c.Requested > 0 && !s.Requested.Wall.IsZero() {
			future(TimerCooldown, "requested", s.Requested.Wall.Add(c.Requested.Std()))
		}
		if c.Promoted > 0 && !s.Promoted.Wall.IsZero() {
			future(TimerCooldown, "promoted", s.Promoted.Wall.Add(c.Promoted.Std()))
		}
	}
	if b := s.base(); b.exists && !b.since.Wall.IsZero() {
		walk(spec.When, "when", func(path string, t resource.Trigger) {
			if t.MaxAge != nil {
				future(TimerMaxAge, path, b.since.Wall.Add(t.MaxAge.Std()))
			}
		})
	}
	return out
}
