package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/cli/render"
)

// standing is the outcome of a cycle, or how far it is.
func standing(c api.Cycle) string {
	if c.Outcome != "" {
		return c.Outcome
	}
	return c.State
}

func took(c api.Cycle) string {
	if c.Ended.IsZero() {
		return ""
	}
	return render.Span(c.Ended.Sub(c.Began))
}

func seconds(s float64) string {
	if s == 0 {
		return ""
	}
	return render.Span(time.Duration(s * float64(time.Second)))
}

// causes are why a cycle was requested, in words.
func causes(list []events.Cause) string {
	texts := make([]string, len(list))
	for i, c := range list {
		if texts[i] = strings.TrimSuffix(c.Text, "."); texts[i] == "" {
			texts[i] = c.Trigger
		}
	}
	return strings.Join(texts, "; ")
}

func triggers(list []events.Cause) string {
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.Trigger
	}
	return strings.Join(names, ", ")
}

func cycleFields(t *render.Grid, c api.Cycle) {
	t.Field("cycle", c.Cycle)
	t.Field("state", standing(c))
	t.Field("reason", c.Reason)
	t.Field("because", causes(c.CycleRequested.Causes))
	t.Field("began", render.Time(c.Began))
	t.Field("took", took(c))
	t.Field("trained on", fmt.Sprintf("%s rows of %s, %s", render.Count(c.Snapshot.Rows), c.Snapshot.Dataset, c.Snapshot.Window))
	t.Field("snapshot", c.Snapshot.ID)
	t.Field("champion then", c.Champion)
	t.Field("version", c.Version)
	verdict(t, c.Verdict)
	if len(c.Trials) > 0 {
		t.Text("")
		t.Head("TRIAL", "STATE", "DONE", "TOOK", "VALIDATION", "NOTE")
		for _, x := range c.Trials {
			t.Row(x.Trial, x.State, fmt.Sprintf("%.0f%%", 100*x.Fraction), seconds(x.Seconds), render.Brief(x.Validation), x.Reason)
		}
	}
	if len(c.Steps) > 0 {
		t.Text("")
		t.Head("AT", "FACT", "")
		for _, s := range c.Steps {
			t.Row(render.Time(s.At), s.Type, s.Text)
		}
	}
}

// verdict is what the gates found.
func verdict(t *render.Grid, v *events.Verdict) {
	if v == nil {
		return
	}
	t.Field("judged on", render.Count(v.Rows)+" rows, "+between(render.Time(v.From), render.Time(v.To)))
	for _, g := range v.Gates {
		t.Field("gate", g.Outcome+": "+g.Text)
	}
}

// decision is what an evaluation of the policy came to.
func decision(e events.PolicyEvaluated) string {
	switch {
	case e.Requested:
		return "request cycle " + e.Cycle
	case e.Pending:
		return "a cycle is wanted, and waits"
	case e.Fired:
		return "a cycle is wanted, but a guardrail holds it back"
	}
	return "no cause for a cycle"
}

// reasonLines are a tree of reasons, indented: ✓ holds, ✗ does not.
func reasonLines(reasons []events.Reason, indent string, style render.Style) (out []string) {
	for _, r := range reasons {
		mark := style.Dim("✗")
		if r.Holds {
			mark = style.Good("✓")
		}
		out = append(out, indent+mark+" "+r.Rule+": "+r.Text)
		out = append(out, reasonLines(r.Children, indent+"  ", style)...)
	}
	return out
}

// outcome is an outcome in its colour.
func outcome(s string, style render.Style) string {
	switch s {
	case events.OutcomePromoted:
		return style.Good(s)
	case events.OutcomeFailed, events.OutcomeRejected:
		return style.Bad(s)
	}
	return style.Warn(s)
}
