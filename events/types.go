package events

import "strings"

// Type is a fact's CloudEvents type, dev.tidemill.<noun>.<verb>.v1.
type Type string

const typePrefix, typeSuffix = "dev.tidemill.", ".v1"

// The types of all facts, grouped by the service that says them.
const (
	// gateway, for a person or a client
	ResourceAppliedType    Type = "dev.tidemill.resource.applied.v1"
	ResourceDeletedType    Type = "dev.tidemill.resource.deleted.v1"
	RetrainAskedType       Type = "dev.tidemill.retrain.asked.v1"
	RollbackAskedType      Type = "dev.tidemill.rollback.asked.v1"
	ModelPausedType        Type = "dev.tidemill.model.paused.v1"
	ModelResumedType       Type = "dev.tidemill.model.resumed.v1"
	QuarantineReleasedType Type = "dev.tidemill.quarantine.released.v1"
	QuarantineDroppedType  Type = "dev.tidemill.quarantine.dropped.v1"
	// ingestion
	SegmentWrittenType Type = "dev.tidemill.segment.written.v1"
	// validation
	SegmentAcceptedType    Type = "dev.tidemill.segment.accepted.v1"
	SegmentQuarantinedType Type = "dev.tidemill.segment.quarantined.v1"
	// monitoring
	SegmentObservedType Type = "dev.tidemill.segment.observed.v1"
	AlertRaisedType     Type = "dev.tidemill.alert.raised.v1"
	AlertResolvedType   Type = "dev.tidemill.alert.resolved.v1"
	// retraining
	PolicyEvaluatedType Type = "dev.tidemill.policy.evaluated.v1" // stream EVALUATIONS
	CycleRequestedType  Type = "dev.tidemill.cycle.requested.v1"
	CycleEndedType      Type = "dev.tidemill.cycle.ended.v1"
	// workers
	TrialStartedType    Type = "dev.tidemill.trial.started.v1"
	TrialProgressedType Type = "dev.tidemill.trial.progressed.v1" // stream PROGRESS
	TrialFinishedType   Type = "dev.tidemill.trial.finished.v1"
	// training
	CandidateTrainedType  Type = "dev.tidemill.candidate.trained.v1"
	CandidateFailedType   Type = "dev.tidemill.candidate.failed.v1"
	CandidateRefittedType Type = "dev.tidemill.candidate.refitted.v1"
	// evaluation
	CandidateApprovedType Type = "dev.tidemill.candidate.approved.v1"
	CandidateRejectedType Type = "dev.tidemill.candidate.rejected.v1"
	RefitRequestedType    Type = "dev.tidemill.refit.requested.v1"
	// deployment
	RolloutStartedType    Type = "dev.tidemill.rollout.started.v1"
	RolloutRolledBackType Type = "dev.tidemill.rollout.rolled_back.v1"
	ModelReadyType        Type = "dev.tidemill.model.ready.v1"
	// a scheduler inside the owning service
	TimerFiredType Type = "dev.tidemill.timer.fired.v1"
)

// Types lists every fact type.
func Types() []Type {
	return []Type{
		ResourceAppliedType, ResourceDeletedType, RetrainAskedType, RollbackAskedType, ModelPausedType, ModelResumedType,
		QuarantineReleasedType, QuarantineDroppedType,
		SegmentWrittenType, SegmentAcceptedType, SegmentQuarantinedType, SegmentObservedType, AlertRaisedType, AlertResolvedType,
		PolicyEvaluatedType, CycleRequestedType, CycleEndedType, TrialStartedType, TrialProgressedType, TrialFinishedType,
		CandidateTrainedType, CandidateFailedType, CandidateRefittedType, CandidateApprovedType, CandidateRejectedType, RefitRequestedType,
		RolloutStartedType, RolloutRolledBackType, ModelReadyType, TimerFiredType,
	}
}

// Short is the type without prefix and version: "model.ready". It is what people type and read.
func (t Type) Short() string {
	return strings.TrimSuffix(strings.TrimPrefix(string(t), typePrefix), typeSuffix)
}

// Noun is the first part of Short: "model".
func (t Type) Noun() string { n, _, _ := strings.Cut(t.Short(), "."); return n }

// Verb is the second part of Short: "ready".
func (t Type) Verb() string { _, v, _ := strings.Cut(t.Short(), "."); return v }

// TypeFromShort finds the type that people call "model.ready"; ok is false for an unknown one.
func TypeFromShort(short string) (t Type, ok bool) {
	for _, t := range Types() {
		if t.Short() == short {
			return t, true
		}
	}
	return "", false
}
