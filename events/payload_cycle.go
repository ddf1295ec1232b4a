package events

import "time"

// RetrainAsked is a person's wish for a cycle now.
type RetrainAsked struct {
	Model  string  `json:"model"`
	Window *Window `json:"window,omitempty"` // instead of the policy's
	Reason string  `json:"reason,omitempty"`
	By     string  `json:"by,omitempty"`
	Import *Import `json:"import,omitempty"` // no training: this model goes through the gates
}

// ImportedCandidate is what an imported model is called among the candidates of a cycle.
const ImportedCandidate = "import"

// Import is an existing model that a person brings.
type Import struct {
	ONNX           Blob      `json:"onnx"`
	TrainedThrough time.Time `json:"trainedThrough"` // newest event time that it was trained on; zero when nobody knows
	Name           string    `json:"name,omitempty"` // of the file
}

// RollbackAsked is a person's wish to put an earlier version back. To is empty for the previous champion.
type RollbackAsked struct {
	Model  string `json:"model"`
	To     string `json:"to,omitempty"`
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"`
}

// ModelPaused stops policy from requesting cycles for a model; ModelResumed undoes it.
type ModelPaused struct {
	Model  string `json:"model"`
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"`
}

// ModelResumed lets policy request cycles again.
type ModelResumed struct {
	Model string `json:"model"`
	By    string `json:"by,omitempty"`
}

// Reason is a node of the tree that explains a policy evaluation: a trigger, a combination or a guardrail.
type Reason struct {
	Rule     string   `json:"rule"`             // any, all, newData, schedule, maxAge, performance, drift, initial, manual, cooldown …
	Holds    bool     `json:"holds"`            // a trigger that fired; a guardrail that lets the cycle pass
	Text     string   `json:"text"`             // one sentence with the figures
	Value    float64  `json:"value,omitempty"`  // how far it is
	Target   float64  `json:"target,omitempty"` // where it fires
	Children []Reason `json:"children,omitempty"`
}

// PolicyEvaluated is one decision of the policy engine, fired or not.
type PolicyEvaluated struct {
	Model     string    `json:"model"`
	Policy    string    `json:"policy"`
	Revision  uint64    `json:"revision"`
	Cause     string    `json:"cause"`             // short type of the fact that was decided on
	Ordinal   uint64    `json:"ordinal,omitempty"` // of the segment, when the cause was one
	Fired     bool      `json:"fired"`             // the triggers say yes
	Requested bool      `json:"requested"`         // and the guardrails let it: a cycle was requested
	Pending   bool      `json:"pending,omitempty"` // a cycle is running; the wish waits for its end
	Cycle     string    `json:"cycle,omitempty"`
	Now       time.Time `json:"now"` // the clock it was decided on
	Reasons   []Reason  `json:"reasons"`
}

// Snapshot says exactly what a cycle trains on: all accepted segments of a dataset up to an ordinal, and the window.
type Snapshot struct {
	ID        string    `json:"id"` // SHA-256 over Chain and Window
	Dataset   string    `json:"dataset"`
	Through   uint64    `json:"through"` // ordinal of the newest segment
	Chain     string    `json:"chain"`   // of SegmentAccepted, at Through
	Rows      int64     `json:"rows"`    // accepted rows up to Through (before the window)
	MaxTime   time.Time `json:"maxTime"`
	Watermark time.Time `json:"watermark"`
	Window    Window    `json:"window"`
}

// Cause is why a cycle was requested.
type Cause struct {
	Trigger string `json:"trigger"` // newData, performance, drift, maxAge, schedule, initial, manual
	Text    string `json:"text"`
	FactID  string `json:"factId,omitempty"`
}

// CycleRequested begins a cycle. Only retraining says it.
type CycleRequested struct {
	Cycle         string    `json:"cycle"` // "<model>-<number>"
	Number        int64     `json:"number"`
	Model         string    `json:"model"`
	ModelRevision uint64    `json:"modelRevision"`
	Policy        string    `json:"policy,omitempty"`
	Snapshot      Snapshot  `json:"snapshot"`
	Champion      string    `json:"champion,omitempty"` // version at the time of the decision
	Causes        []Cause   `json:"causes"`
	Deadline      time.Time `json:"deadline"` // wall clock
	Manual        bool      `json:"manual,omitempty"`
	WarmStart     bool      `json:"warmStart,omitempty"` // trials may begin from the champion
	Import        *Import   `json:"import,omitempty"`    // no training: this model goes through the gates
}

// Outcomes of a cycle.
const (
	OutcomePromoted   = "promoted"
	OutcomeRejected   = "rejected"
	OutcomeFailed     = "failed"
	OutcomeCancelled  = "cancelled"
	OutcomeSuperseded = "superseded"
)

// CycleEnded is the one terminal fact of a cycle.
type CycleEnded struct {
	Cycle   string    `json:"cycle"`
	Model   string    `json:"model"`
	Outcome string    `json:"outcome"`
	Reason  string    `json:"reason"`
	Version string    `json:"version,omitempty"`
	Began   time.Time `json:"began"`
}

// TrialStarted says that a worker took a trial.
type TrialStarted struct {
	Trial     string `json:"trial"` // "<cycle>-<candidate>-<n>"
	Cycle     string `json:"cycle"`
	Model     string `json:"model"`
	Candidate string `json:"candidate"`
	Attempt   int    `json:"attempt"`
	Worker    string `json:"worker"`
	PID       int    `json:"pid,omitempty"` // of the process contract
	// Params are its hyperparameters.
	Params map[string]any `json:"params,omitempty"`
}

// TrialProgressed is for people who watch; it may be lost.
type TrialProgressed struct {
	Trial    string             `json:"trial"`
	Cycle    string             `json:"cycle"`
	Model    string             `json:"model"`
	Attempt  int                `json:"attempt"`
	Phase    string             `json:"phase"` // preparing, training, checking, scoring
	Fraction float64            `json:"fraction"`
	Message  string             `json:"message,omitempty"`
	Metrics  map[string]float64 `json:"metrics,omitempty"`
	Log      []string           `json:"log,omitempty"`

	Candidate   string `json:"candidate"`
	Checkpoints int    `json:"checkpoints,omitempty"` // stored so far
}

// Feature is one input of a model.
type Feature struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // numeric (float32, null is NaN) or string (null is "")
}

// TrialFinished is the one result of a trial. Validation figures are the platform's, never the trainer's own.
type TrialFinished struct {
	Trial          string             `json:"trial"`
	Cycle          string             `json:"cycle"`
	Model          string             `json:"model"`
	Candidate      string             `json:"candidate"`
	Attempt        int                `json:"attempt"`
	Succeeded      bool               `json:"succeeded"`
	Reason         string             `json:"reason,omitempty"`  // why it failed, for a person
	Package        *Blob              `json:"package,omitempty"` // the ONNX file
	Features       []Feature          `json:"features,omitempty"`
	Classes        []string           `json:"classes,omitempty"` // in the order of the model's probabilities
	Input          string             `json:"input,omitempty"`   // how the model takes its features: columns or matrix
	Validation     map[string]float64 `json:"validation,omitempty"`
	Reported       map[string]float64 `json:"reported,omitempty"` // the trainer's own figures; shown, never judged
	TrainRows      int64              `json:"trainRows,omitempty"`
	ValidationRows int64              `json:"validationRows,omitempty"`
	TestRows       int64              `json:"testRows,omitempty"`
	TrainedThrough time.Time          `json:"trainedThrough"` // newest event time that the trainer saw, validation rows included
	CodeDigest     string             `json:"codeDigest,omitempty"`
	Environment    map[string]string  `json:"environment,omitempty"`
	Seconds        float64            `json:"seconds"`
	LogTail        []string           `json:"logTail,omitempty"`

	Params  map[string]any `json:"params,omitempty"`  // its hyperparameters
	Extras  *Blob          `json:"extras,omitempty"`  // what else the trainer left beside its model, as a tar.gz
	Code    *Blob          `json:"code,omitempty"`    // the source that it ran, as a tar.gz
	Command []string       `json:"command,omitempty"` // what answers instead of an ONNX model
	Log     *Blob          `json:"log,omitempty"`     // everything it printed
	Curve   []Point        `json:"curve,omitempty"`   // the metric that early stopping watches; at most 200 points
	Stopped bool           `json:"stopped,omitempty"` // early stopping ended it: it is no candidate
	Worker  string         `json:"worker,omitempty"`  // who ran it
}

// Point is one figure that a trainer reported.
type Point struct {
	Step  int     `json:"step"` // the how-manieth report, from 1
	Value float64 `json:"value"`
}

// Version names a version's package.
type Version struct {
	Model          string    `json:"model"`
	Version        string    `json:"version"` // "1", "2", …
	URI            string    `json:"uri"`     // key prefix of the package in the blob store: "models/<model>/<version>"
	SHA256         string    `json:"sha256"`  // of its manifest, which holds the digest of every other file
	Snapshot       string    `json:"snapshot"`
	TrainedThrough time.Time `json:"trainedThrough"`
}

// CandidateTrained says that the best trial of a cycle became a version.
type CandidateTrained struct {
	Version
	Cycle         string             `json:"cycle"`
	Candidate     string             `json:"candidate"`
	Trial         string             `json:"trial"`
	Validation    map[string]float64 `json:"validation"`
	Data          Snapshot           `json:"data"`
	ModelRevision uint64             `json:"modelRevision"`
}

// CandidateFailed says that no trial of a cycle gave a usable model.
type CandidateFailed struct {
	Cycle  string `json:"cycle"`
	Model  string `json:"model"`
	Reason string `json:"reason"`
}

// GateResult is one gate's finding.
type GateResult struct {
	Gate       string   `json:"gate"` // "auc ≥ 0.6", "logloss vs champion"
	Metric     string   `json:"metric"`
	Outcome    string   `json:"outcome"` // pass, fail, inconclusive, skipped
	Value      float64  `json:"value"`
	Champion   *float64 `json:"champion,omitempty"`
	Difference *float64 `json:"difference,omitempty"`
	Lower      *float64 `json:"lower,omitempty"`
	Upper      *float64 `json:"upper,omitempty"`
	N          int64    `json:"n"`
	Text       string   `json:"text"`
}

// Verdict is what evaluation found.
type Verdict struct {
	Approved        bool               `json:"approved"`
	Gates           []GateResult       `json:"gates"`
	Metrics         map[string]float64 `json:"metrics"`                   // of the candidate on the judged rows
	ChampionMetrics map[string]float64 `json:"championMetrics,omitempty"` // on the same rows
	Rows            int64              `json:"rows"`
	From            time.Time          `json:"from"` // event times of the judged rows
	To              time.Time          `json:"to"`
	Reason          string             `json:"reason"`
}

// CandidateApproved lets a version be rolled out.
type CandidateApproved struct {
	Version
	Cycle    string  `json:"cycle"`
	Champion string  `json:"champion,omitempty"`
	Verdict  Verdict `json:"verdict"`
	// Judged is the version that passed the gates, when this one is the same recipe trained again on all mature rows.
	Judged string `json:"judged,omitempty"`
}

// RefitRequested asks for the recipe of a version that passed its gates to be trained again on all mature rows. Evaluation
// says it instead of candidate.approved, which follows when the refitted version is there.
type RefitRequested struct {
	Version
	Cycle     string  `json:"cycle"`
	Champion  string  `json:"champion,omitempty"`
	Verdict   Verdict `json:"verdict"`
	Candidate string  `json:"candidate"`
	Trial     string  `json:"trial"` // whose recipe it is
}

// CandidateRefitted says that the recipe of a judged version was trained again on all mature rows, or could not be.
type CandidateRefitted struct {
	Cycle    string   `json:"cycle"`
	Model    string   `json:"model"`
	Judged   Version  `json:"judged"`
	Refitted *Version `json:"refitted,omitempty"`
	Trial    string   `json:"trial,omitempty"`
	Reason   string   `json:"reason,omitempty"` // why there is no refitted version
}

// CandidateRejected ends a candidate.
type CandidateRejected struct {
	Version
	Cycle    string  `json:"cycle"`
	Champion string  `json:"champion,omitempty"`
	Verdict  Verdict `json:"verdict"`
}

// RolloutStarted says that a version begins to take traffic.
type RolloutStarted struct {
	Version
	Cycle    string `json:"cycle,omitempty"`
	Previous string `json:"previous,omitempty"`
	Strategy string `json:"strategy"`
}

// RolloutRolledBack says that a version lost its traffic to an earlier one.
type RolloutRolledBack struct {
	Model  string `json:"model"`
	From   string `json:"from"`
	To     string `json:"to"`
	Reason string `json:"reason"`
}

// Reasons of model.ready.
const (
	ReadyPromoted   = "promoted"
	ReadyRolledBack = "rolledBack"
)

// ModelReady says that a version became champion.
type ModelReady struct {
	Version
	Previous string             `json:"previous,omitempty"`
	Reason   string             `json:"reason"`
	Cycle    string             `json:"cycle,omitempty"`
	Metrics  map[string]float64 `json:"metrics,omitempty"` // on the rows it was judged on
}
