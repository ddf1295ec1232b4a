package policy

import (
	"slices"
	"time"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// Observation is one thing that policy hears. The set is closed: each is one fact of the ledger, made for one model.
type Observation interface {
	// fold takes the observation into s. A cycle that it ends is returned.
	fold(s *State, now time.Time) *events.CycleEnded
}

// PolicyApplied says that a policy for this model was created or changed. A model has one policy: the newest applied. A
// spec that names another model takes the policy away from this one.
type PolicyApplied struct {
	Name     string
	Revision uint64
	Spec     resource.PolicySpec
}

// PolicyDeleted takes the policy away; a running cycle goes on.
type PolicyDeleted struct{ Name string }

// ModelApplied says that the model was created or changed. Moving to another dataset supersedes the running cycle.
type ModelApplied struct {
	Revision uint64
	Spec     resource.ModelSpec
}

// ModelDeleted cancels the running cycle and forgets the model, but not its cycle numbers and its budget.
type ModelDeleted struct{}

// DatasetApplied says that the model's dataset exists (again). It is needed only after DatasetDeleted.
type DatasetApplied struct{}

// DatasetDeleted cancels the running cycle and stops new ones.
type DatasetDeleted struct{}

// SegmentObserved is the only data input: the newest totals and the open alerts. Segments must come by ordinal; one that
// isn't newer than the last is ignored.
type SegmentObserved events.SegmentObserved

// AlertRaised opens an alert between two segments.
type AlertRaised events.Alert

// AlertResolved closes one.
type AlertResolved events.Alert

// RetrainAsked is a person's wish. FactID is the id of the fact.
type RetrainAsked struct {
	events.RetrainAsked
	FactID string
}

// Paused stops automatic cycles.
type Paused events.ModelPaused

// Resumed lets them go on.
type Resumed struct{}

// TimerFired is the wall clock's word: one of the timers that Timers announced.
type TimerFired events.TimerFired

// CandidateFailed ends its cycle as failed.
type CandidateFailed events.CandidateFailed

// CandidateRejected ends its cycle as rejected.
type CandidateRejected events.CandidateRejected

// RolloutRefused says that deployment will not promote the candidate of a cycle, because another version became champion
// meanwhile: rollout.rolled_back in that cycle, with no model.ready. It ends the cycle as superseded.
type RolloutRefused struct{ Cycle, Version, Reason string }

// ModelReady changes the champion, and ends its cycle as promoted.
type ModelReady events.ModelReady

func (o PolicyApplied) fold(s *State, now time.Time) *events.CycleEnded {
	if o.Spec.Model != s.Model {
		return PolicyDeleted{Name: o.Name}.fold(s, now)
	}
	s.Policy = &Policy{Name: o.Name, Revision: o.Revision, Spec: o.Spec}
	s.Schedules = schedulesOf(o.Spec.When, s.Schedules, now)
	return nil
}

func (o PolicyDeleted) fold(s *State, _ time.Time) *events.CycleEnded {
	if s.Policy != nil && s.Policy.Name == o.Name {
		s.Policy, s.Schedules = nil, nil
	}
	return nil
}

func (o ModelApplied) fold(s *State, _ time.Time) (end *events.CycleEnded) {
	if s.Spec != nil && s.Spec.Dataset != o.Spec.Dataset {
		// Totals of another dataset can't be compared with what the champion was trained on.
		end = s.end(events.OutcomeSuperseded, "the model moved to the dataset "+o.Spec.Dataset, "")
		s.Data, s.Alerts, s.Current.Marks, s.NoData = Data{}, nil, Marks{}, false
		s.Rejected, s.Failed, s.Past = nil, nil, nil
	}
	split := o.Spec.Split
	s.Spec = &Model{Revision: o.Revision, Dataset: o.Spec.Dataset, Holdout: split.Validation + split.Test + split.Gap, Recipe: recipeOf(o.Spec)}
	return end
}

func (ModelDeleted) fold(s *State, _ time.Time) *events.CycleEnded {
	end := s.end(events.OutcomeCancelled, "the model was deleted", "")
	s.Spec, s.Current, s.Alerts, s.Pending, s.Paused = nil, Champion{}, nil, nil, nil
	s.Rejected, s.Failed, s.Past, s.Promoted = nil, nil, nil, Clocks{}
	return end
}

func (DatasetApplied) fold(s *State, _ time.Time) *events.CycleEnded { s.NoData = false; return nil }

func (DatasetDeleted) fold(s *State, _ time.Time) *events.CycleEnded {
	s.NoData = true
	return s.end(events.OutcomeCancelled, "its dataset was deleted", "")
}

func (o SegmentObserved) fold(s *State, _ time.Time) *events.CycleEnded {
	if o.Ordinal <= s.Data.Ordinal || (s.Spec != nil && o.Dataset != s.Spec.Dataset) {
		return nil
	}
	last := s.Data.Marks
	s.Data = Data{Chain: o.Chain, Marks: Marks{Ordinal: o.Ordinal, Rows: o.TotalRows, Bytes: o.TotalBytes, Segments: o.Accepted,
		Batches: o.Batches, MaxTime: later(last.MaxTime, o.MaxTime), Watermark: later(last.Watermark, o.Watermark)}}
	known := s.Alerts
	s.Alerts = nil
	for _, a := range o.OpenAlerts {
		since := o.Ordinal
		if i := indexAlert(known, a.ID); i >= 0 {
			since = known[i].Since
		}
		s.open(Alert{ID: a.ID, Kind: a.Kind, Column: a.Column, Metric: a.Metric, Champion: o.Champion, Since: since})
	}
	return nil
}

func (o AlertRaised) fold(s *State, _ time.Time) *events.CycleEnded {
	if o.Ordinal != 0 && o.Ordinal <= s.Current.Since {
		return nil // about an earlier champion: its segment came before the present one was promoted
	}
	since := o.Ordinal
	if since == 0 {
		since = s.Data.Ordinal
	}
	if indexAlert(s.Alerts, o.ID) < 0 {
		s.open(Alert{ID: o.ID, Kind: o.Kind, Column: o.Column, Metric: o.Metric, Champion: s.Current.Version, Since: since})
	}
	return nil
}

func (o AlertResolved) fold(s *State, _ time.Time) *events.CycleEnded {
	if i := indexAlert(s.Alerts, o.ID); i >= 0 {
		s.Alerts = slices.Delete(s.Alerts, i, i+1)
	}
	return nil
}

func (o RetrainAsked) fold(s *State, _ time.Time) *events.CycleEnded {
	if s.Pending == nil {
		s.Pending = &Wish{}
	}
	if o.Window != nil {
		w := *o.Window
		s.Pending.Window = &w
	}
	if o.Import != nil {
		i := *o.Import
		s.Pending.Import = &i
	}
	if len(s.Pending.Asks) < maxAsks {
		s.Pending.Asks = append(s.Pending.Asks, events.Cause{Trigger: "manual", Text: clip(askText(o.By, o.Reason)), FactID: o.FactID})
	}
	return nil
}

func (o Paused) fold(s *State, _ time.Time) *events.CycleEnded {
	s.Paused = &Pause{By: clip(o.By), Reason: clip(o.Reason)}
	return nil
}

func (Resumed) fold(s *State, _ time.Time) *events.CycleEnded { s.Paused = nil; return nil }

func (o TimerFired) fold(s *State, now time.Time) *events.CycleEnded {
	switch o.Kind {
	case TimerDeadline:
		if c := s.Running; c != nil && c.ID == o.Key && !now.Before(c.Deadline) {
			return s.end(events.OutcomeFailed, "the cycle took longer than its deadline of "+span(c.Deadline.Sub(c.Requested.Wall)), "")
		}
	case TimerSchedule:
		for i := range s.Schedules {
			s.Schedules[i].fire(o.Key, now)
		}
	}
	return nil // the other timers only bring the time
}

func (o CandidateFailed) fold(s *State, _ time.Time) *events.CycleEnded {
	if s.Running == nil || s.Running.ID != o.Cycle {
		return nil
	}
	return s.end(events.OutcomeFailed, o.Reason, "")
}

func (o CandidateRejected) fold(s *State, _ time.Time) *events.CycleEnded {
	if s.Running == nil || s.Running.ID != o.Cycle {
		return nil
	}
	return s.end(events.OutcomeRejected, o.Verdict.Reason, o.Version.Version)
}

func (o RolloutRefused) fold(s *State, _ time.Time) *events.CycleEnded {
	if s.Running == nil || s.Running.ID != o.Cycle {
		return nil
	}
	return s.end(events.OutcomeSuperseded, o.Reason, o.Version)
}

func (o ModelReady) fold(s *State, now time.Time) (end *events.CycleEnded) {
	if s.Running != nil && o.Cycle == s.Running.ID && o.Reason == events.ReadyPromoted {
		end = s.end(events.OutcomePromoted, "version "+o.Version.Version+" is champion", o.Version.Version)
	}
	before := s.Current
	s.Current = Champion{Version: o.Version.Version, Snapshot: o.Snapshot, TrainedThrough: o.TrainedThrough,
		Marks: s.Data.Marks, Since: s.Data.Ordinal, Promoted: s.clocks(now)}
	// Without a memory of its snapshot, what is new counts from here: rather too few cycles than a storm of them.
	if p := s.pastOf(o.Cycle, o.Version.Version); p != nil {
		p.Version = o.Version.Version
		s.Current.Marks, s.Current.ModelRevision, s.Current.Recipe = p.Marks, p.ModelRevision, p.Recipe
	}
	s.Promoted = s.Current.Promoted
	s.Rejected, s.Failed = nil, nil
	if o.Reason == events.ReadyRolledBack && before.Version != "" {
		s.Rejected = &Setback{Version: before.Version, Snapshot: before.Snapshot, ModelRevision: before.ModelRevision,
			Rows: before.Marks.Rows, Reason: "rolled back to version " + o.Version.Version, RolledBack: true}
	}
	return end
}

// open remembers an alert of a kind that triggers read, within bounds.
func (s *State) open(a Alert) {
	if (a.Kind == events.AlertDrift || a.Kind == events.AlertPerformance) && len(s.Alerts) < maxAlerts {
		s.Alerts = append(s.Alerts, a)
	}
}

func indexAlert(alerts []Alert, id string) int {
	return slices.IndexFunc(alerts, func(a Alert) bool { return a.ID == id })
}

func askText(by, reason string) string {
	text := "asked by a person"
	if by != "" {
		text = "asked by " + by
	}
	if reason != "" {
		text += ": " + reason
	}
	return text
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
