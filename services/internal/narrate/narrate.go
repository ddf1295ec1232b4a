// Package narrate says facts in plain words: one sentence for each type.
package narrate

import (
	"strings"

	"github.com/tidemill/tidemill/events"
)

// Text is one plain sentence about a fact. A fact that can't be read is told by its type and subject.
func Text(f events.Fact) string {
	if tell, ok := tellers[f.Type]; ok {
		if text, err := tell(f); err == nil {
			return text
		}
	}
	return sentence("%s of %s", f.Type.Short(), f.Subject)
}

type teller func(events.Fact) (string, error)

// about makes a teller of a function over the payload.
func about[T any](tell func(T) string) teller {
	return func(f events.Fact) (string, error) {
		p, err := events.PayloadOf[T](f)
		if err != nil {
			return "", err
		}
		return tell(p), nil
	}
}

var tellers = map[events.Type]teller{
	events.ResourceAppliedType:    about(resourceApplied),
	events.ResourceDeletedType:    about(resourceDeleted),
	events.RetrainAskedType:       about(retrainAsked),
	events.RollbackAskedType:      about(rollbackAsked),
	events.ModelPausedType:        about(modelPaused),
	events.ModelResumedType:       about(modelResumed),
	events.QuarantineReleasedType: about(quarantineReleased),
	events.QuarantineDroppedType:  about(quarantineDropped),
	events.SegmentWrittenType:     about(segmentWritten),
	events.SegmentAcceptedType:    about(segmentAccepted),
	events.SegmentQuarantinedType: about(segmentQuarantined),
	events.SegmentObservedType:    about(segmentObserved),
	events.AlertRaisedType:        about(alertRaised),
	events.AlertResolvedType:      about(alertResolved),
	events.PolicyEvaluatedType:    about(policyEvaluated),
	events.CycleRequestedType:     about(cycleRequested),
	events.CycleEndedType:         about(cycleEnded),
	events.TrialStartedType:       about(trialStarted),
	events.TrialProgressedType:    about(trialProgressed),
	events.TrialFinishedType:      about(trialFinished),
	events.CandidateTrainedType:   about(candidateTrained),
	events.CandidateFailedType:    about(candidateFailed),
	events.CandidateRefittedType:  about(candidateRefitted),
	events.RefitRequestedType:     about(refitRequested),
	events.CandidateApprovedType:  about(candidateApproved),
	events.CandidateRejectedType:  about(candidateRejected),
	events.RolloutStartedType:     about(rolloutStarted),
	events.RolloutRolledBackType:  about(rolledBack),
	events.ModelReadyType:         about(modelReady),
	events.TimerFiredType:         about(timerFired),
}

func resourceApplied(p events.ResourceApplied) string {
	if p.Revision == 1 {
		return sentence("%s %s was declared", p.Kind, p.Name)
	}
	return sentence("%s %s was changed; this is its revision %d", p.Kind, p.Name, p.Revision)
}

func resourceDeleted(p events.ResourceDeleted) string {
	return sentence("%s %s was deleted", p.Kind, p.Name)
}

func retrainAsked(p events.RetrainAsked) string {
	window := ""
	if p.Window != nil {
		window = " with the window " + p.Window.String()
	}
	return sentence("retraining of %s%s was asked for%s%s", p.Model, window, by(p.By), because(p.Reason))
}

func rollbackAsked(p events.RollbackAsked) string {
	to := "the champion before"
	if p.To != "" {
		to = "version " + p.To
	}
	return sentence("a rollback of %s to %s was asked for%s%s", p.Model, to, by(p.By), because(p.Reason))
}

func modelPaused(p events.ModelPaused) string {
	return sentence("automatic retraining of %s was paused%s%s", p.Model, by(p.By), because(p.Reason))
}

func modelResumed(p events.ModelResumed) string {
	return sentence("automatic retraining of %s was resumed%s", p.Model, by(p.By))
}

func quarantineReleased(p events.QuarantineReleased) string {
	return sentence("%s refused with segment %d of %s were let back in%s", Rows(p.Rows), p.Ordinal, p.Dataset, by(p.By))
}

func quarantineDropped(p events.QuarantineDropped) string {
	return sentence("%s refused with segment %d of %s were dropped for good%s", Rows(p.Rows), p.Ordinal, p.Dataset, by(p.By))
}

func segmentWritten(p events.SegmentWritten) string {
	refused := ""
	if p.Quarantined > 0 {
		refused = ", " + Count(p.Quarantined) + " refused"
		if reasons := Reasons(p.Reasons); reasons != "" {
			refused += " (" + reasons + ")"
		}
	}
	return sentence("segment %d of %s was written with %s%s", p.Ordinal, p.Dataset, Rows(p.Rows), refused)
}

func segmentAccepted(p events.SegmentAccepted) string {
	warnings := ""
	for _, w := range p.Warnings {
		warnings += "; warning: " + strings.TrimSuffix(w.Message, ".")
	}
	return sentence("segment %d of %s was accepted: %s with event times up to %s, %s in all%s",
		p.Ordinal, p.Dataset, Rows(p.Rows), Moment(p.MaxTime), Rows(p.TotalRows), warnings)
}

func segmentQuarantined(p events.SegmentQuarantined) string {
	why := make([]string, len(p.Violations))
	for i, v := range p.Violations {
		why[i] = strings.TrimSuffix(v.Message, ".")
	}
	return sentence("segment %d of %s with %s was refused%s", p.Ordinal, p.Dataset, Rows(p.Rows), because(strings.Join(why, "; ")))
}

func segmentObserved(p events.SegmentObserved) string {
	switch figures := Figures(p.Metrics, ""); {
	case p.Champion == "":
		return sentence("segment %d of %s was observed for %s, which has no version yet", p.Ordinal, p.Dataset, p.Model)
	case figures == "":
		return sentence("segment %d of %s was observed for %s; version %s gave no figures on it", p.Ordinal, p.Dataset, p.Model, p.Champion)
	default:
		return sentence("version %s of %s scored segment %d of %s before anything trained on it: %s", p.Champion, p.Model, p.Ordinal, p.Dataset, figures)
	}
}

func alertRaised(p events.AlertRaised) string {
	return sentence("a %s alert of %s began%s", p.Kind, whose(p.Alert), because(p.Message))
}

func alertResolved(p events.AlertResolved) string {
	return sentence("a %s alert of %s ended%s", p.Kind, whose(p.Alert), because(p.Message))
}

func whose(a events.Alert) string {
	if a.Model != "" {
		return a.Model
	}
	return a.Dataset
}

func timerFired(p events.TimerFired) string {
	return sentence("it was time for %s of %s (%s)", p.Kind, p.Name, p.Owner)
}
