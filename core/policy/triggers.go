package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// base is what triggers count from: the champion, or the running cycle as if it were promoted.
type base struct {
	name    string // for sentences: "version 3's snapshot"
	exists  bool
	marks   Marks
	since   Clocks // when its age begins
	running bool
}

func (s *State) base() base {
	if c := s.Running; c != nil && !c.Override {
		return base{name: "the snapshot of the running cycle " + c.ID, exists: true, marks: c.Marks,
			since: Clocks{Event: c.Marks.Watermark, Wall: c.Requested.Wall}, running: true}
	}
	if s.Current.Version == "" {
		return base{name: "the beginning"}
	}
	b := base{name: "the snapshot of version " + s.Current.Version, exists: true, marks: s.Current.Marks,
		since: Clocks{Event: s.Current.Marks.Watermark, Wall: s.Current.Promoted.Wall}}
	if b.since.Event.IsZero() {
		b.since.Event = s.Current.TrainedThrough
	}
	return b
}

// triggers says whether a cycle is due, by the tree that the policy declares.
func (s *State) triggers(now time.Time) events.Reason {
	switch {
	case s.Policy == nil:
		return events.Reason{Rule: "policy", Text: "no policy is applied for this model: it is retrained only when asked"}
	case s.Policy.Spec.Initial == nil || s.Current.Version != "":
		return s.trigger(s.Policy.Spec.When, "when", now)
	}
	rows := s.Policy.Spec.Initial.Rows
	r := events.Reason{Rule: "initial", Value: float64(s.Data.Rows), Target: float64(rows)}
	if b := s.base(); b.running {
		r.Text = "the first model is in the making: cycle " + s.Running.ID
		return r
	}
	r.Holds = s.Data.Rows >= rows
	r.Text = fmt.Sprintf("%s of %s rows for the first model", count(s.Data.Rows), count(rows))
	return r
}

// trigger evaluates one node; path is its place in the tree, which names schedules.
func (s *State) trigger(t resource.Trigger, path string, now time.Time) events.Reason {
	switch {
	case len(t.Any) > 0:
		return s.combine("any", t.Any, path, now)
	case len(t.All) > 0:
		return s.combine("all", t.All, path, now)
	case t.NewData != nil:
		return s.newData(*t.NewData)
	case t.Schedule != nil:
		return s.schedule(*t.Schedule, path)
	case t.MaxAge != nil:
		return s.maxAge(t.MaxAge.Std(), now)
	case t.Performance != nil:
		return s.performance(*t.Performance)
	case t.Drift != nil:
		return s.drift(*t.Drift)
	case len(t.Change) > 0:
		return s.change(t.Change)
	}
	return events.Reason{Rule: "none", Text: "the policy has no trigger: the model is retrained only when asked"}
}

func (s *State) combine(rule string, children []resource.Trigger, path string, now time.Time) events.Reason {
	r := events.Reason{Rule: rule, Target: 1}
	if rule == "all" {
		r.Target = float64(len(children))
	}
	for i, c := range children {
		child := s.trigger(c, childPath(path, rule, i), now)
		r.Children = append(r.Children, child)
		if child.Holds {
			r.Value++
		}
	}
	r.Holds = r.Value >= r.Target
	verb := "hold"
	if r.Value == 1 {
		verb = "holds"
	}
	r.Text = fmt.Sprintf("%.0f of %d triggers %s; %s", r.Value, len(children), verb,
		map[string]string{"any": "one is enough", "all": "all are needed"}[rule])
	return r
}

func (s *State) newData(n resource.NewData) events.Reason {
	b, d := s.base(), s.Data
	r := events.Reason{Rule: "newData"}
	measure := func(have, had, want int64, unit string) events.Reason {
		fresh := max(0, have-had)
		r.Value, r.Target, r.Holds = float64(fresh), float64(want), fresh >= want
		r.Text = fmt.Sprintf("%s of %s new %s since %s", count(fresh), count(want), unit, b.name)
		return r
	}
	switch {
	case n.Rows > 0:
		return measure(d.Rows, b.marks.Rows, n.Rows, "rows")
	case n.Bytes > 0:
		return measure(d.Bytes, b.marks.Bytes, n.Bytes, "bytes")
	case n.Segments > 0:
		return measure(int64(d.Segments), int64(b.marks.Segments), n.Segments, "segments")
	case n.Batches > 0:
		return measure(d.Batches, b.marks.Batches, n.Batches, "batches")
	}
	r.Target = n.Fraction
	if b.marks.Rows == 0 {
		r.Text = "there is no snapshot yet that new rows could be a fraction of; give the policy an 'initial' or run tidemill retrain"
		return r
	}
	fresh := max(0, d.Rows-b.marks.Rows)
	r.Value = float64(fresh) / float64(b.marks.Rows)
	r.Holds = n.Fraction > 0 && r.Value >= n.Fraction
	r.Text = fmt.Sprintf("%s new rows are %s of the %s in %s; due at %s", count(fresh), percent(r.Value), count(b.marks.Rows), b.name, percent(n.Fraction))
	return r
}

func (s *State) maxAge(limit time.Duration, now time.Time) events.Reason {
	r := events.Reason{Rule: "maxAge", Target: limit.Seconds()}
	b := s.base()
	from, at := s.on(b.since), s.clock(now)
	if !b.exists || from.IsZero() || at.IsZero() {
		r.Text = "there is no model yet that could be old; give the policy an 'initial' or run tidemill retrain"
		return r
	}
	age := max(0, at.Sub(from))
	r.Value, r.Holds = age.Seconds(), age >= limit
	whose := "version " + s.Current.Version
	if b.running {
		whose = "the running cycle " + s.Running.ID
	}
	r.Text = fmt.Sprintf("%s is %s old of at most %s (%s clock)", whose, span(age), span(limit), s.clockName())
	return r
}

func (s *State) performance(p resource.PerformanceTrigger) events.Reason {
	return s.alerts("performance", events.AlertPerformance, p.Metric, func(a Alert) bool { return a.Metric == p.Metric })
}

func (s *State) drift(d resource.DriftTrigger) events.Reason {
	return s.alerts("drift", events.AlertDrift, words(d.Columns, "any column"), func(a Alert) bool {
		return len(d.Columns) == 0 || slices.Contains(d.Columns, a.Column)
	})
}

// alerts holds while an alert about the present champion is open; while a cycle runs, only one that began after its
// snapshot counts.
func (s *State) alerts(rule, kind, what string, match func(Alert) bool) events.Reason {
	r := events.Reason{Rule: rule, Target: 1}
	b := s.base()
	var names []string
	since := uint64(0)
	for _, a := range s.Alerts {
		if a.Kind != kind || a.Champion != s.Current.Version || !match(a) || (b.running && a.Since <= b.marks.Ordinal) {
			continue
		}
		name := a.Metric
		if kind == events.AlertDrift {
			name = a.Column
		}
		names = append(names, name)
		if since == 0 || a.Since < since {
			since = a.Since
		}
	}
	if s.Current.Version == "" {
		r.Text = "there is no champion yet that could be watched; give the policy an 'initial' or run tidemill retrain"
		return r
	}
	r.Value, r.Holds = float64(len(names)), len(names) > 0
	if !r.Holds {
		r.Text = fmt.Sprintf("no alert on %s is open for version %s", what, s.Current.Version)
		if b.running {
			r.Text = fmt.Sprintf("no alert on %s began since the running cycle %s was requested", what, s.Running.ID)
		}
		return r
	}
	r.Text = fmt.Sprintf("an alert on %s is open for version %s since segment %d", words(names, ""), s.Current.Version, since)
	return r
}

// causes lists the leaves that make the node hold.
func causes(r events.Reason) []events.Cause {
	if !r.Holds {
		return nil
	}
	if len(r.Children) == 0 {
		return []events.Cause{{Trigger: r.Rule, Text: r.Text}}
	}
	var out []events.Cause
	for _, c := range r.Children {
		out = append(out, causes(c)...)
	}
	return out
}

func childPath(path, rule string, i int) string { return fmt.Sprintf("%s.%s[%d]", path, rule, i) }
