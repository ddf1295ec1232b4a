package events

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Stream names. Each stream's subjects and limits are in Streams.
const (
	StreamFacts       = "FACTS"
	StreamRows        = "ROWS"
	StreamSegments    = "SEGMENTS"
	StreamJobs        = "JOBS"
	StreamPredictions = "PREDICTIONS"
	StreamOutcomes    = "OUTCOMES"
	StreamProgress    = "PROGRESS"
	StreamEvaluations = "EVALUATIONS"
	StreamDead        = "DEAD"
)

// Bucket names of the KV documents. Each bucket has exactly one writing service, named beside it.
const (
	BucketLeases      = "leases"      // every deciding service, its own key
	BucketResources   = "resources"   // gateway
	BucketValidation  = "validation"  // validation
	BucketMonitoring  = "monitoring"  // monitoring
	BucketRetraining  = "retraining"  // retraining
	BucketTraining    = "training"    // training
	BucketTrials      = "trials"      // workers (attempts and results of trials)
	BucketEvaluation  = "evaluation"  // evaluation
	BucketDeployments = "deployments" // deployment; serving follows it
	BucketWorkers     = "workers"     // every worker, its own key, which disappears with it (see jobs.Presence)
)

// Buckets lists every KV bucket.
func Buckets() []string {
	return []string{BucketLeases, BucketResources, BucketValidation, BucketMonitoring, BucketRetraining,
		BucketTraining, BucketTrials, BucketEvaluation, BucketDeployments, BucketWorkers}
}

// Stream describes one JetStream stream; infra creates them from this table.
type Stream struct {
	Name     string
	Subjects []string
	// WorkQueue: a message is gone when it is acked. DiscardNew: a full stream refuses, it never drops what is unread.
	WorkQueue, DiscardNew bool
	// AtomicPublish allows all-or-nothing batches.
	AtomicPublish bool
	MaxAge        time.Duration // 0: never expires
	MaxBytes      int64         // 0: unlimited
	MaxPerSubject int64         // 0: unlimited
	Description   string
}

// Streams is the table of all streams.
func Streams() []Stream {
	const day = 24 * time.Hour
	return []Stream{
		{Name: StreamFacts, Subjects: []string{"facts.>"}, Description: "the ledger: every fact of the control plane, in order, for ever"},
		{Name: StreamRows, Subjects: []string{"rows.*"}, DiscardNew: true, AtomicPublish: true, MaxBytes: 4 << 30, Description: "rows on their way in; purged below the ingestion cursor"},
		{Name: StreamSegments, Subjects: []string{"segments.*"}, Description: "per dataset: the log of segments with the ingestion cursor"},
		{Name: StreamJobs, Subjects: []string{"jobs.*.*"}, WorkQueue: true, DiscardNew: true, MaxBytes: 1 << 30, Description: "work for training workers"},
		{Name: StreamPredictions, Subjects: []string{"predictions.*"}, MaxAge: 7 * day, MaxBytes: 4 << 30, Description: "what serving predicted"},
		{Name: StreamOutcomes, Subjects: []string{"outcomes.*"}, MaxAge: 7 * day, MaxBytes: 4 << 30, Description: "what turned out to be true"},
		{Name: StreamProgress, Subjects: []string{"progress.*"}, MaxAge: day, MaxBytes: 1 << 30, Description: "trial.progressed, for people who watch"},
		{Name: StreamEvaluations, Subjects: []string{"evaluations.*"}, MaxPerSubject: 1000, Description: "policy.evaluated, the last 1,000 per model"},
		{Name: StreamDead, Subjects: []string{"dead.*"}, Description: "messages that a handler gave up on"},
	}
}

// Subject functions. Names must satisfy ValidName; callers validate at the edge.

// RowsSubject is where rows of a dataset are published.
func RowsSubject(dataset string) string { return "rows." + dataset }

// SegmentsSubject is the log of a dataset's segments.
func SegmentsSubject(dataset string) string { return "segments." + dataset }

// JobsSubject is the queue of one kind of work for one pool.
func JobsSubject(kind, pool string) string { return "jobs." + kind + "." + pool }

// PredictionsSubject is where serving logs predictions of a model.
func PredictionsSubject(model string) string { return "predictions." + model }

// OutcomesSubject is where true outcomes for a model's predictions are published.
func OutcomesSubject(model string) string { return "outcomes." + model }

// ProgressSubject carries trial.progressed of a model.
func ProgressSubject(model string) string { return "progress." + model }

// EvaluationsSubject carries policy.evaluated of a model.
func EvaluationsSubject(model string) string { return "evaluations." + model }

// DeadSubject holds the dead letters of one handler.
func DeadSubject(handler string) string { return "dead." + handler }

// FactSubject is facts.<noun>.<name>.<verb>; name is the dataset for segment facts, else the model or resource.
func FactSubject(t Type, name string) string {
	return "facts." + t.Noun() + "." + name + "." + t.Verb()
}

// FactFilter matches every fact of a type, whatever its name.
func FactFilter(t Type) string { return FactSubject(t, "*") }

// FactFilters is FactFilter over several types.
func FactFilters(types ...Type) []string {
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = FactFilter(t)
	}
	return out
}

// FactsOf matches every fact about one name and noun, e.g. FactsOf("segment", "flights").
func FactsOf(noun, name string) string { return "facts." + noun + "." + name + ".*" }

var namePattern = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// ValidName reports an error that says how a name must look, or nil.
func ValidName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("name %q must be 1 to 63 lower-case letters, digits or hyphens", name)
	}
	return nil
}

// LastToken returns the part of a subject after its last dot: the dataset of "rows.flights".
func LastToken(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }
