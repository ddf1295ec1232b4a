package resource

import (
	"encoding/json"

	"github.com/tidemill/tidemill/events"
)

// APIVersion is the only version there is.
const APIVersion = "tidemill.dev/v1"

// Kinds of resources.
const (
	KindDataset          = "Dataset"
	KindModel            = "Model"
	KindRetrainingPolicy = "RetrainingPolicy"
)

// Duration and Window are the vocabulary's own.
type (
	Duration = events.Duration
	Window   = events.Window
)

// Metadata names a resource.
type Metadata struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
}

// Header is what every resource document begins with.
type Header struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   Metadata `json:"metadata"`
}

// Resource is one decoded document: exactly one of Dataset, Model and Policy is set.
type Resource struct {
	Header
	Dataset *DatasetSpec
	Model   *ModelSpec
	Policy  *PolicySpec
	// Canonical is the document as canonical JSON (defaults filled in, sorted keys); Digest is its SHA-256.
	Canonical json.RawMessage
	Digest    string

	src *document // where it was written, for errors
}

// Column types.
const (
	TypeString    = "string"
	TypeFloat64   = "float64"
	TypeInt64     = "int64"
	TypeBoolean   = "boolean"
	TypeTimestamp = "timestamp" // microseconds, UTC
)

// Column is one column of a dataset with its per-row contract.
type Column struct {
	Name      string   `json:"name"`
	Type      string   `json:"type"`
	EventTime bool     `json:"eventTime,omitempty"` // exactly one timestamp column of a dataset; it is required
	Required  bool     `json:"required,omitempty"`  // null or missing refuses the row
	Key       bool     `json:"key,omitempty"`       // part of the row's key
	Min       *float64 `json:"min,omitempty"`
	Max       *float64 `json:"max,omitempty"`
	Values    []string `json:"values,omitempty"` // the domain of a string column
}

// Clock says how the event-time clock of a dataset runs.
type Clock struct {
	Lateness  Duration `json:"lateness"`  // the watermark is the highest event time minus this; default 0s
	MaxFuture Duration `json:"maxFuture"` // rows dated later than wall time plus this are quarantined; default 10m
}

// SegmentSpec says when a segment is cut.
type SegmentSpec struct {
	MaxRows int64    `json:"maxRows"` // default 50000
	MaxAge  Duration `json:"maxAge"`  // wall time since its first row; default 1m
}

// Rule is a dataset-level rule, checked on each segment. Exactly one field besides Column and Warn is set.
type Rule struct {
	Column string `json:"column,omitempty"`
	Warn   bool   `json:"warn,omitempty"` // report it, but accept the segment

	MinRows     *int64    `json:"minRows,omitempty"`     // volume
	MaxRows     *int64    `json:"maxRows,omitempty"`     // volume
	MaxNulls    *float64  `json:"maxNulls,omitempty"`    // fraction of nulls in Column, 0 to 1
	MinMean     *float64  `json:"minMean,omitempty"`     // range of the mean of Column
	MaxMean     *float64  `json:"maxMean,omitempty"`     // range of the mean of Column
	MaxRefused  *float64  `json:"maxRefused,omitempty"`  // fraction of rows that the per-row contract refused, 0 to 1
	MinDistinct *float64  `json:"minDistinct,omitempty"` // uniqueness: distinct values of Column over its rows, 0 to 1
	MaxDistinct *int64    `json:"maxDistinct,omitempty"` // domain: number of distinct values of Column
	MaxDelay    *Duration `json:"maxDelay,omitempty"`    // freshness: wall time minus the segment's highest event time
}

// DatasetSpec is the spec of a Dataset.
type DatasetSpec struct {
	Columns     []Column    `json:"columns"`
	Clock       Clock       `json:"clock"`
	Segment     SegmentSpec `json:"segment"`
	Rules       []Rule      `json:"rules,omitempty"`
	OnViolation string      `json:"onViolation"` // of the per-row contract and the rules: warn, quarantine (default)
}

// EventTime is the name of the event-time column.
func (d *DatasetSpec) EventTime() string {
	for _, c := range d.Columns {
		if c.EventTime {
			return c.Name
		}
	}
	return ""
}

// Column finds a column by name.
func (d *DatasetSpec) Column(name string) (Column, bool) {
	for _, c := range d.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}

// Tasks.
const (
	TaskBinary     = "binaryClassification"
	TaskMulticlass = "multiclassClassification"
	TaskRegression = "regression"
)

// ModelSpec is the spec of a Model.
type ModelSpec struct {
	Dataset    string      `json:"dataset"`
	Task       string      `json:"task"`
	Features   string      `json:"features"` // SQL: comma-separated row-wise scalar expressions, each "expr AS name" or a column
	Label      string      `json:"label"`    // SQL expression over the columns
	Split      Split       `json:"split"`
	Candidates []Candidate `json:"candidates"`
	Evaluation Evaluation  `json:"evaluation"`
	Rollout    Rollout     `json:"rollout"`
	Seed       int64       `json:"seed,omitempty"`
	// Weight is SQL: how much a row counts in training, a number of at least 0. Null counts as 0.
	Weight string `json:"weight,omitempty"`
	// ClassWeights multiply the weight of the rows of a class.
	ClassWeights *ClassWeights `json:"classWeights,omitempty"`
	// Refit trains the recipe that passed its gates again, on all rows with a mature label, before it is rolled out.
	Refit bool `json:"refit,omitempty"`
}

// ClassWeights are "balanced" (every class counts the same in all: N / (classes · rows of the class)) or a number per class;
// a class that is not named counts 1.
type ClassWeights struct {
	Balanced bool
	Each     map[string]float64
}

// MarshalJSON writes "balanced" or the numbers.
func (w ClassWeights) MarshalJSON() ([]byte, error) {
	if w.Balanced {
		return []byte(`"balanced"`), nil
	}
	return json.Marshal(w.Each)
}

// UnmarshalJSON reads MarshalJSON's form.
func (w *ClassWeights) UnmarshalJSON(b []byte) error {
	*w = ClassWeights{}
	if string(b) == `"balanced"` {
		w.Balanced = true
		return nil
	}
	return json.Unmarshal(b, &w.Each)
}

// Split holds out the newest rows by event time.
type Split struct {
	By         string   `json:"by"` // time
	Validation Duration `json:"validation"`
	Test       Duration `json:"test"`
	Gap        Duration `json:"gap"`
}

// Candidate is one way to train the model.
type Candidate struct {
	Name      string         `json:"name"`
	Trainer   string         `json:"trainer"` // builtin/linear or process
	Params    map[string]any `json:"params,omitempty"`
	Command   []string       `json:"command,omitempty"` // process
	Source    string         `json:"source,omitempty"`  // folder that the command runs from (process), relative to the YAML file
	Format    string         `json:"format,omitempty"`  // parquet (default) or csv
	Metrics   []MetricRegex  `json:"metrics,omitempty"` // how to read metrics from the trainer's output besides JSON lines
	Pool      string         `json:"pool"`              // default "default", or "gpu" for a candidate that wants some
	Resources Resources      `json:"resources"`
	// Secrets name variables of the worker's environment that the command gets.
	Secrets []string `json:"secrets,omitempty"`
	// Predict is a command that answers rows instead of an ONNX model (process), run in the source folder.
	Predict []string `json:"predict,omitempty"`
	// Search tries several values of hyperparameters instead of Params alone.
	Search *Search `json:"search,omitempty"`
	// Code is the source folder as it was when the model was applied, packed by its content.
	Code *events.Blob `json:"code,omitempty"`
}

// MetricRegex reads one metric from the trainer's output lines: the first group is the number.
type MetricRegex struct {
	Name  string `json:"name"`
	Regex string `json:"regex"`
}

// Resources bound one trial.
type Resources struct {
	Time       Duration `json:"time"`                 // wall time; default 1h
	Memory     Size     `json:"memory,omitempty"`     // of all its processes together; 0 is no limit
	CPU        int      `json:"cpu,omitempty"`        // threads it is told to use; 0 is all of the machine's
	GPU        int      `json:"gpu,omitempty"`        // a label for scheduling: the worker's pool must have them
	OpenFiles  int      `json:"openFiles,omitempty"`  // of one process; 0 is the worker's limit
	OutputSize Size     `json:"outputSize,omitempty"` // bytes of all that it writes; default 2Gi
}

// Evaluation says how a candidate is judged.
type Evaluation struct {
	Primary string `json:"primary"` // metric that picks the best trial and is shown first
	Gates   []Gate `json:"gates"`
	MinRows int64  `json:"minRows"` // fewer judged rows are inconclusive; default 200
}

// Gate is one condition a candidate must meet.
type Gate struct {
	Metric         string   `json:"metric"`
	Min            *float64 `json:"min,omitempty"`
	Max            *float64 `json:"max,omitempty"`
	Versus         string   `json:"versus,omitempty"`         // "champion"
	NonInferiority float64  `json:"nonInferiority,omitempty"` // margin in the metric's units
	Confidence     float64  `json:"confidence,omitempty"`     // default 0.95
}

// Rollout says how an approved version takes traffic.
type Rollout struct {
	Strategy string `json:"strategy"` // direct
}

// Clocks a policy's durations may run on.
const (
	ClockEvent = "event"
	ClockWall  = "wall"
)

// Modes of a policy.
const (
	ModeAuto    = "auto"    // requests cycles
	ModeObserve = "observe" // evaluates and explains, requests nothing
)

// PolicySpec is the spec of a RetrainingPolicy.
type PolicySpec struct {
	Model      string     `json:"model"`
	Mode       string     `json:"mode"`  // auto (default) or observe
	Clock      string     `json:"clock"` // event (default) or wall
	Initial    *Initial   `json:"initial,omitempty"`
	When       Trigger    `json:"when"`
	Window     Window     `json:"window"`
	WarmStart  bool       `json:"warmStart,omitempty"` // trials may begin from the champion
	Guardrails Guardrails `json:"guardrails"`
}

// Initial says when the first model is due.
type Initial struct {
	Rows int64 `json:"rows"`
}

// Trigger is a node of the when-tree: exactly one field is set.
type Trigger struct {
	Any         []Trigger           `json:"any,omitempty"`
	All         []Trigger           `json:"all,omitempty"`
	NewData     *NewData            `json:"newData,omitempty"`
	Schedule    *Schedule           `json:"schedule,omitempty"`
	MaxAge      *Duration           `json:"maxAge,omitempty"`
	Performance *PerformanceTrigger `json:"performance,omitempty"`
	Drift       *DriftTrigger       `json:"drift,omitempty"`
	Change      []string            `json:"change,omitempty"` // of code, features, params; since the champion's cycle
}

// NewData fires on data since the champion's snapshot; exactly one field is set.
type NewData struct {
	Rows     int64   `json:"rows,omitempty"`
	Bytes    int64   `json:"bytes,omitempty"`
	Segments int64   `json:"segments,omitempty"`
	Batches  int64   `json:"batches,omitempty"`
	Fraction float64 `json:"fraction,omitempty"` // of the rows in that snapshot
}

// Schedule fires on the wall clock.
type Schedule struct {
	Cron     string `json:"cron"`               // five fields, or @daily and the like
	Timezone string `json:"timezone,omitempty"` // IANA name; default UTC
}

// PerformanceTrigger declares a monitor of the champion's metric over an event-time window; it fires while its alert is open.
type PerformanceTrigger struct {
	Metric  string   `json:"metric"`
	WorseBy string   `json:"worseBy"` // "3%" of the reference, or an absolute number "0.02"
	Window  Duration `json:"window"`  // default 7d
	Than    string   `json:"than"`    // atPromotion
	MinRows int64    `json:"minRows"` // default 500
}

// DriftTrigger declares a monitor of columns against the champion's training data; it fires while one of its alerts is open.
type DriftTrigger struct {
	Columns []string `json:"columns,omitempty"` // default: the dataset columns that the features use
	Window  Duration `json:"window"`            // default 7d
	MinRows int64    `json:"minRows"`           // default 1000
}

// Guardrails hold a cycle back though a trigger fired.
type Guardrails struct {
	Cooldown      Cooldown    `json:"cooldown"`
	MaxConcurrent int         `json:"maxConcurrent"` // one running; a fired trigger waits as one pending. Default and only value 1
	Budget        *Budget     `json:"budget,omitempty"`
	OnRejected    *OnRejected `json:"onRejected,omitempty"`
	Deadline      Duration    `json:"deadline"` // wall time a cycle may take; default 2h
}

// Cooldown is the least time between cycles, on the policy's clock.
type Cooldown struct {
	Requested Duration `json:"requested,omitempty"`
	Promoted  Duration `json:"promoted,omitempty"`
}

// Budget bounds cycles per wall time.
type Budget struct {
	Cycles int64    `json:"cycles"`
	Per    Duration `json:"per"`
}

// OnRejected waits for news after a rejected candidate.
type OnRejected struct {
	Until Until `json:"until"`
}

// Until says which news.
type Until struct {
	NewRows int64 `json:"newRows"`
}
