package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/events"
)

// defaultDeadline is the wall time of a cycle when no policy says another.
const defaultDeadline = 2 * time.Hour

// begin makes the next cycle the running one and returns its request. It serves every due schedule, unless the window
// is a person's own: that cycle isn't the policy's.
func (s *State) begin(now time.Time, manual bool, causes []events.Cause) *events.CycleRequested {
	window, override := s.window(manual)
	s.Cycles++
	c := &Cycle{ID: fmt.Sprintf("%s-%d", s.Model, s.Cycles), Number: s.Cycles, ModelRevision: s.Spec.Revision, Marks: s.Data.Marks,
		Snapshot: events.SnapshotID(s.Data.Chain, window), Requested: s.clocks(now), Manual: manual, Override: override,
		Recipe: s.Spec.Recipe}
	r := &events.CycleRequested{Cycle: c.ID, Number: c.Number, Model: s.Model, ModelRevision: s.Spec.Revision, Champion: s.Current.Version,
		Causes: causes, Manual: manual, Snapshot: events.Snapshot{ID: c.Snapshot, Dataset: s.Spec.Dataset, Through: s.Data.Ordinal,
			Chain: s.Data.Chain, Rows: s.Data.Rows, MaxTime: s.Data.MaxTime, Watermark: s.Data.Watermark, Window: window}}
	if manual && s.Pending != nil && s.Pending.Import != nil {
		r.Import, c.Recipe = s.Pending.Import, Recipe{}
	}
	r.WarmStart = s.Policy != nil && s.Policy.Spec.WarmStart && s.Current.Version != "" && r.Import == nil
	limit := defaultDeadline
	if s.Policy != nil {
		r.Policy = s.Policy.Name
		if d := s.Policy.Spec.Guardrails.Deadline.Std(); d > 0 {
			limit = d
		}
	}
	c.Deadline = now.Add(limit)
	r.Deadline = c.Deadline
	if !override {
		for i := range s.Schedules {
			if !s.Schedules[i].Due.IsZero() {
				c.Schedules = append(c.Schedules, s.Schedules[i].Key)
				s.Schedules[i].Due = time.Time{}
			}
		}
	}
	s.Running, s.Pending, s.Requested = c, nil, c.Requested
	s.Budget = append(s.Budget, now.UnixMilli())
	s.Past = append(s.Past, Past{Cycle: c.ID, Snapshot: c.Snapshot, ModelRevision: c.ModelRevision, Marks: c.Marks, Recipe: c.Recipe})
	s.Budget = s.Budget[max(0, len(s.Budget)-maxBudget):]
	s.Past = s.Past[max(0, len(s.Past)-maxPast):]
	return r
}

// end is the one place where a cycle ends; it returns nil when none runs.
func (s *State) end(outcome, reason, version string) *events.CycleEnded {
	c := s.Running
	if c == nil {
		return nil
	}
	s.Running = nil
	back := &Setback{Cycle: c.ID, Version: version, Snapshot: c.Snapshot, ModelRevision: c.ModelRevision, Rows: c.Marks.Rows, Reason: clip(reason)}
	switch {
	case outcome == events.OutcomeRejected && !c.Override:
		s.Rejected = back
	case outcome == events.OutcomeFailed && !c.Override:
		s.Failed = back
	}
	if outcome == events.OutcomeFailed || outcome == events.OutcomeSuperseded {
		for i := range s.Schedules { // it didn't serve them
			if k := &s.Schedules[i]; k.Due.IsZero() && slices.Contains(c.Schedules, k.Key) {
				k.Due = c.Requested.Wall
			}
		}
	}
	return &events.CycleEnded{Cycle: c.ID, Model: s.Model, Outcome: outcome, Reason: reason, Version: version, Began: c.Requested.Wall}
}
