package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/core/search"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/workers/trainer/linear"
)

// JobKind is the kind of job that a trial is: its jobs go to events.JobsSubject(JobKind, pool).
const JobKind = "train"

// Trainers.
const (
	TrainerLinear  = linear.Name
	TrainerProcess = "process"
	TrainerImport  = "import" // nothing is trained: Spec.Import is the model
)

// Range is a half-open span of event time: From is in it, To is not. A zero bound is open.
type Range struct {
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// Spec is everything that a worker needs to know about a trial. It is the body of a job.
type Spec struct {
	Trial     string             `json:"trial"` // "<cycle>-<candidate>-<n>"
	Cycle     string             `json:"cycle"`
	Model     string             `json:"model"`
	Dataset   string             `json:"dataset"`
	Task      string             `json:"task"`
	Candidate resource.Candidate `json:"candidate"`
	// Params are the trial's hyperparameters; they replace those of the candidate where both name one.
	Params map[string]any `json:"params,omitempty"`
	Seed   int64          `json:"seed"`
	// Code is the candidate's source folder as PackSource made it, for the process contract.
	Code *events.Blob `json:"code,omitempty"`

	Columns  []resource.Column `json:"columns"`  // of the dataset
	Features string            `json:"features"` // SQL
	Label    string            `json:"label"`    // SQL
	Segments []events.Segment  `json:"segments"` // all that the ranges may touch, by ordinal

	// LastRows, when it isn't 0, keeps only that many of the newest rows in Train: a sliding window by rows.
	LastRows int64 `json:"lastRows,omitempty"`
	// TrainSince, when it isn't 0, keeps only rows of segments from this ordinal on in Train: a sliding window by segments.
	TrainSince uint64 `json:"trainSince,omitempty"`

	Train      Range `json:"train"`
	Validation Range `json:"validation"`
	Test       Range `json:"test"` // counted, never read: these rows judge the candidate

	// Sample, when it isn't 0, draws only that many rows of Train, by Method (events.SampleReservoir or SampleBalanced) and Seed.
	Sample int64  `json:"sample,omitempty"`
	Method string `json:"method,omitempty"`
	// Weight is SQL, "" for none; ClassWeights multiply it. See resource.ModelSpec.
	Weight       string                 `json:"weight,omitempty"`
	ClassWeights *resource.ClassWeights `json:"classWeights,omitempty"`

	// Stop ends the trial early; nil when nothing does.
	Stop *search.Stop `json:"stop,omitempty"`

	// Refit says that the recipe of a judged trial is trained again on all rows: Validation lies inside of Train then, and the
	// trainer finds what that trial reported in Reported.
	Refit    bool               `json:"refit,omitempty"`
	Reported map[string]float64 `json:"reported,omitempty"`
	// WarmStart is the champion that the trial may begin from.
	WarmStart *events.Version `json:"warmStart,omitempty"`
	// Import is a model that a person brings: nothing is trained, it is checked and scored like any other.
	Import *events.Import `json:"import,omitempty"`

	Cause Cause `json:"cause,omitzero"` // the fact that asked for the trial
}

// Cause is the fact that the worker's facts follow from.
type Cause struct {
	ID          string `json:"id"`
	Seq         uint64 `json:"seq,omitempty"` // in FACTS
	TraceParent string `json:"traceparent,omitempty"`
}

// DecodeSpec reads a job's body and checks it.
func DecodeSpec(b []byte) (Spec, error) {
	var s Spec
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("decode trial: %w", err)
	}
	if err := s.Check(); err != nil {
		return s, fmt.Errorf("decode trial %q: %w", s.Trial, err)
	}
	return s, nil
}

// Check tells what is missing.
func (s Spec) Check() error {
	for name, value := range map[string]string{"trial": s.Trial, "cycle": s.Cycle, "model": s.Model, "dataset": s.Dataset,
		"features": s.Features, "label": s.Label} {
		if value == "" {
			return fmt.Errorf("the trial has no %s", name)
		}
	}
	if !slices.Contains([]string{resource.TaskBinary, resource.TaskMulticlass, resource.TaskRegression}, s.Task) {
		return fmt.Errorf("the trial has an unknown task %q", s.Task)
	}
	if len(s.Segments) == 0 {
		return errors.New("the trial has no segments")
	}
	switch s.Candidate.Trainer {
	case TrainerLinear:
	case TrainerImport:
		if s.Import == nil {
			return errors.New("a trial with trainer: import needs the model that it imports")
		}
	case TrainerProcess:
		if len(s.Candidate.Command) == 0 {
			return errors.New("a candidate with trainer: process needs a command")
		}
	default:
		return fmt.Errorf("unknown trainer %q: use %s or %s", s.Candidate.Trainer, TrainerLinear, TrainerProcess)
	}
	return nil
}

// Hyperparameters are the candidate's params with the trial's own on top.
func (s Spec) Hyperparameters() map[string]any {
	out := map[string]any{}
	for k, v := range s.Candidate.Params {
		out[k] = v
	}
	for k, v := range s.Params {
		out[k] = v
	}
	return out
}

// timeLimit is how long the trial may take; 0 is no limit.
func (s Spec) timeLimit() time.Duration { return s.Candidate.Resources.Time.Std() }
