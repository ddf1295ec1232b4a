package policy

import (
	"fmt"
	"strings"
	"time"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

var (
	wall0  = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) // a Monday
	event0 = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
)

// flights is the model of the quickstart: 3 days of validation and 7 of test are held out.
func flights(revision uint64) ModelApplied {
	return ModelApplied{Revision: revision, Spec: resource.ModelSpec{Dataset: "flights",
		Split: resource.Split{By: "time", Validation: dur(3 * day), Test: dur(7 * day)}}}
}

func dur(d time.Duration) events.Duration { return events.Duration(d) }

// policyOf is a policy of the model m with initial 40,000 rows, changed by the given functions.
func policyOf(when resource.Trigger, change ...func(*resource.PolicySpec)) PolicyApplied {
	p := PolicyApplied{Name: "p", Revision: 1, Spec: resource.PolicySpec{Model: "m", Mode: resource.ModeAuto, Clock: resource.ClockEvent,
		Initial: &resource.Initial{Rows: 40_000}, When: when}}
	p.Spec.Guardrails.Deadline = dur(2 * time.Hour)
	for _, c := range change {
		c(&p.Spec)
	}
	return p
}

func fraction(f float64) resource.Trigger {
	return resource.Trigger{NewData: &resource.NewData{Fraction: f}}
}
func newRows(n int64) resource.Trigger { return resource.Trigger{NewData: &resource.NewData{Rows: n}} }
func maxAge(d time.Duration) resource.Trigger {
	x := dur(d)
	return resource.Trigger{MaxAge: &x}
}
func anyOf(t ...resource.Trigger) resource.Trigger { return resource.Trigger{Any: t} }
func allOf(t ...resource.Trigger) resource.Trigger { return resource.Trigger{All: t} }
func weekly() resource.Trigger {
	return resource.Trigger{Schedule: &resource.Schedule{Cron: "0 0 * * 1"}}
}
func entropy() resource.Trigger {
	return resource.Trigger{Performance: &resource.PerformanceTrigger{Metric: "normalizedEntropy"}}
}

func onWall(p *resource.PolicySpec)  { p.Clock = resource.ClockWall }
func observe(p *resource.PolicySpec) { p.Mode = resource.ModeObserve }
func cooldown(requested, promoted time.Duration) func(*resource.PolicySpec) {
	return func(p *resource.PolicySpec) {
		p.Guardrails.Cooldown = resource.Cooldown{Requested: dur(requested), Promoted: dur(promoted)}
	}
}
func budget(n int64, per time.Duration) func(*resource.PolicySpec) {
	return func(p *resource.PolicySpec) { p.Guardrails.Budget = &resource.Budget{Cycles: n, Per: dur(per)} }
}
func untilRows(n int64) func(*resource.PolicySpec) {
	return func(p *resource.PolicySpec) {
		p.Guardrails.OnRejected = &resource.OnRejected{Until: resource.Until{NewRows: n}}
	}
}

// seen is the observation of the nth day: 1,500 rows a day, a segment each, scored by the champion.
func seen(n int, champion string, alerts ...events.AlertRef) SegmentObserved {
	end := event0.Add(time.Duration(n) * day)
	return SegmentObserved{Model: "m", Dataset: "flights", Ordinal: uint64(n), Rows: 1500, Champion: champion, MaxTime: end, Watermark: end,
		TotalRows: int64(n) * 1500, TotalBytes: int64(n) * 30_000, Accepted: uint64(n), Batches: int64(n / 7),
		Chain: fmt.Sprintf("chain-%d", n), OpenAlerts: alerts}
}

func entropyAlert() events.AlertRef {
	return events.AlertRef{ID: "a1", Kind: events.AlertPerformance, Metric: "normalizedEntropy"}
}

func driftAlert(column string) events.AlertRef {
	return events.AlertRef{ID: "d-" + column, Kind: events.AlertDrift, Column: column, Metric: "psi"}
}

// promoted makes version n champion out of a cycle whose newest segment was of the given day; 7 days of test were unseen.
func promoted(cycle string, version, day_ int) ModelReady {
	return ModelReady{Version: events.Version{Model: "m", Version: fmt.Sprint(version), Snapshot: snapshotOf(day_),
		TrainedThrough: event0.Add(time.Duration(day_-7) * day)}, Reason: events.ReadyPromoted, Cycle: cycle}
}

func snapshotOf(day int) string {
	return events.SnapshotID(fmt.Sprintf("chain-%d", day), events.Window{})
}

func rejected(cycle string, version int) CandidateRejected {
	return CandidateRejected{Version: events.Version{Model: "m", Version: fmt.Sprint(version)}, Cycle: cycle,
		Verdict: events.Verdict{Reason: "logloss is worse"}}
}

func asked(window string) RetrainAsked {
	r := RetrainAsked{RetrainAsked: events.RetrainAsked{Model: "m", By: "ada"}, FactID: "f"}
	if window != "" {
		w, err := events.ParseWindow(window)
		if err != nil {
			panic(err)
		}
		r.Window = &w
	}
	return r
}

// brief writes a decision in one line: "end m-1 promoted, request m-2 newData+maxAge", "pending", "held by cooldown.requested",
// "refused", "quiet".
func brief(d Decision) string {
	var parts []string
	if d.End != nil {
		parts = append(parts, "end "+d.End.Cycle+" "+d.End.Outcome)
	}
	if d.Refused != "" {
		parts = append(parts, "refused")
	}
	switch {
	case d.Request != nil:
		var t []string
		for _, c := range d.Request.Causes {
			t = append(t, c.Trigger)
		}
		parts = append(parts, "request "+d.Request.Cycle+" "+strings.Join(t, "+"))
	case d.Pending:
		parts = append(parts, "pending")
	case d.Fired && d.Refused == "":
		rails := d.Reasons[len(d.Reasons)-1]
		parts = append(parts, rails.Text)
	case len(parts) == 0:
		parts = append(parts, "quiet")
	}
	return strings.Join(parts, ", ")
}

// sentences writes the tree, a line per node.
func sentences(reasons []events.Reason, indent string) string {
	var b strings.Builder
	for _, r := range reasons {
		mark := "-"
		if r.Holds {
			mark = "+"
		}
		fmt.Fprintf(&b, "%s%s %s: %s\n%s", indent, mark, r.Rule, r.Text, sentences(r.Children, indent+"  "))
	}
	return b.String()
}
