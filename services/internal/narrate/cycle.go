package narrate

import (
	"fmt"
	"strings"

	"github.com/tidemill/tidemill/events"
)

func policyEvaluated(p events.PolicyEvaluated) string {
	switch {
	case p.Requested:
		return sentence("the policy of %s requested %s", p.Model, p.Cycle)
	case p.Pending:
		return sentence("the policy of %s wants a cycle, which waits for the running one", p.Model)
	case p.Fired:
		return sentence("the policy of %s wants a cycle, but a guardrail holds it back", p.Model)
	}
	return sentence("the policy of %s sees no cause for a cycle", p.Model)
}

// Causes are the causes of a cycle in words.
func Causes(causes []events.Cause) string {
	texts := make([]string, len(causes))
	for i, c := range causes {
		texts[i] = strings.TrimSuffix(c.Text, ".")
		if texts[i] == "" {
			texts[i] = c.Trigger
		}
	}
	return strings.Join(texts, "; ")
}

func cycleRequested(p events.CycleRequested) string {
	return sentence("cycle %s was requested to train on the %s of %s (%s)%s",
		p.Cycle, Rows(p.Snapshot.Rows), p.Snapshot.Dataset, p.Snapshot.Window, because(Causes(p.Causes)))
}

func cycleEnded(p events.CycleEnded) string {
	return sentence("cycle %s ended as %s%s", p.Cycle, p.Outcome, because(p.Reason))
}

func trialStarted(p events.TrialStarted) string {
	attempt := ""
	if p.Attempt > 1 {
		attempt = fmt.Sprintf(", attempt %d", p.Attempt)
	}
	return sentence("candidate %s began to train on worker %s%s", p.Candidate, p.Worker, attempt)
}

func trialProgressed(p events.TrialProgressed) string {
	return sentence("trial %s is %s, %.0f %% done%s", p.Trial, p.Phase, 100*p.Fraction, because(p.Message))
}

func trialFinished(p events.TrialFinished) string {
	if !p.Succeeded {
		return sentence("candidate %s failed to train%s", p.Candidate, because(p.Reason))
	}
	if p.Stopped {
		return sentence("candidate %s was stopped early after %s s: others did better", p.Candidate, Figure(p.Seconds))
	}
	figures := Figures(p.Validation, "")
	if figures != "" {
		figures = "; on " + Rows(p.ValidationRows) + " kept for validation: " + figures
	}
	return sentence("candidate %s was trained on %s in %s s%s", p.Candidate, Rows(p.TrainRows), Figure(p.Seconds), figures)
}

func candidateTrained(p events.CandidateTrained) string {
	return sentence("candidate %s became version %s of %s, with event times up to %s", p.Candidate, p.Version.Version, p.Model, Moment(p.TrainedThrough))
}

func candidateFailed(p events.CandidateFailed) string {
	return sentence("cycle %s gave no usable model%s", p.Cycle, because(p.Reason))
}

func refitRequested(p events.RefitRequested) string {
	return sentence("version %s of %s passed its gates on %s, and its recipe is trained again on all rows%s", p.Version.Version, p.Model,
		Rows(p.Verdict.Rows), because(p.Verdict.Reason))
}

func candidateRefitted(p events.CandidateRefitted) string {
	if p.Refitted == nil {
		return sentence("version %s of %s could not be trained again on all rows%s", p.Judged.Version, p.Model, because(p.Reason))
	}
	return sentence("version %s of %s is the recipe of version %s, trained again on all rows up to %s", p.Refitted.Version, p.Model,
		p.Judged.Version, Moment(p.Refitted.TrainedThrough))
}

func candidateApproved(p events.CandidateApproved) string {
	return sentence("version %s of %s passed its gates on %s%s", p.Version.Version, p.Model, Rows(p.Verdict.Rows), because(p.Verdict.Reason))
}

func candidateRejected(p events.CandidateRejected) string {
	return sentence("version %s of %s was refused by its gates on %s%s", p.Version.Version, p.Model, Rows(p.Verdict.Rows), because(p.Verdict.Reason))
}

func rolloutStarted(p events.RolloutStarted) string {
	instead := ""
	if p.Previous != "" {
		instead = " instead of version " + p.Previous
	}
	return sentence("version %s of %s begins to take traffic%s", p.Version.Version, p.Model, instead)
}

func rolledBack(p events.RolloutRolledBack) string {
	to := "nothing"
	if p.To != "" {
		to = "version " + p.To
	}
	return sentence("version %s of %s was rolled back to %s%s", p.From, p.Model, to, because(p.Reason))
}

func modelReady(p events.ModelReady) string {
	figures := Figures(p.Metrics, "")
	if figures != "" {
		figures = " (" + figures + " on the rows it was judged on)"
	}
	switch {
	case p.Reason == events.ReadyRolledBack:
		return sentence("version %s of %s is champion again, after version %s was rolled back%s", p.Version.Version, p.Model, p.Previous, figures)
	case p.Previous == "":
		return sentence("version %s of %s is its first champion%s", p.Version.Version, p.Model, figures)
	}
	return sentence("version %s of %s is champion instead of version %s%s", p.Version.Version, p.Model, p.Previous, figures)
}
