package api

import (
	"encoding/json"
	"time"

	"github.com/tidemill/tidemill/events"
)

// List is how every list is written.
type List[T any] struct {
	Items []T `json:"items"`
}

// Problem is an RFC 9457 problem document, what every error is.
type Problem struct {
	Title  string        `json:"title,omitempty"`
	Status int           `json:"status"`
	Detail string        `json:"detail"`
	Hint   string        `json:"hint,omitempty"`
	Errors []ErrorDetail `json:"errors,omitempty"`
}

// ErrorDetail is one of several errors in a document.
type ErrorDetail struct {
	Message  string `json:"message"`
	Location string `json:"location,omitempty"` // file:line:column, or a path
	Hint     string `json:"hint,omitempty"`
}

// Change is one difference between two documents.
type Change struct {
	Path string `json:"path"`
	Old  any    `json:"old,omitempty"`
	New  any    `json:"new,omitempty"`
}

// Applied is what applying or deleting did to one resource. Action: created, configured, unchanged, deleted.
type Applied struct {
	Kind     string   `json:"kind"`
	Name     string   `json:"name"`
	Action   string   `json:"action"`
	Revision uint64   `json:"revision"`
	Changes  []Change `json:"changes,omitempty"`
	Seq      uint64   `json:"seq,omitempty"` // of resource.applied in FACTS
}

// Resource is a stored resource: its document, with its revision.
type Resource struct {
	Kind     string          `json:"kind"`
	Name     string          `json:"name"`
	Revision uint64          `json:"revision"`
	Digest   string          `json:"digest"`
	At       time.Time       `json:"at"`
	Document json.RawMessage `json:"document"`
}

// Published acknowledges rows that are on disk.
type Published struct {
	Dataset  string `json:"dataset"`
	Rows     int64  `json:"rows"`     // rows taken
	Batch    string `json:"batch"`    // of a file; ask Batch for its progress
	Sequence uint64 `json:"sequence"` // the last ROWS sequence
}

// Batch is how far a published file is.
type Batch struct {
	Batch       string           `json:"batch"`
	Rows        int64            `json:"rows"` // rows in the file, when known
	Accepted    int64            `json:"accepted"`
	Quarantined int64            `json:"quarantined"`
	Reasons     map[string]int64 `json:"reasons,omitempty"`
	Done        bool             `json:"done"`
	Error       string           `json:"error,omitempty"`
}

// Dataset is a dataset as it stands.
type Dataset struct {
	Name         string           `json:"name"`
	Revision     uint64           `json:"revision"`
	Segments     uint64           `json:"segments"` // newest ordinal
	Accepted     int64            `json:"accepted"` // rows in segments
	Quarantined  int64            `json:"quarantined"`
	Reasons      map[string]int64 `json:"reasons,omitempty"`
	SegmentsHeld uint64           `json:"segmentsHeld"` // segments refused by dataset-level rules
	RowsHeld     int64            `json:"rowsHeld"`
	Watermark    time.Time        `json:"watermark"`
	Cursor       events.Cursor    `json:"cursor"`
	Waiting      int64            `json:"waiting"` // messages in ROWS beyond the cursor
	Chain        string           `json:"chain"`
}

// Segment is one segment with its fate. State: written, accepted, quarantined.
type Segment struct {
	events.Segment
	State      string             `json:"state"`
	At         time.Time          `json:"at"`
	Violations []events.Violation `json:"violations,omitempty"`
}

// Quarantine is the refused rows of one SEGMENTS entry. State: held, released, dropped.
type Quarantine struct {
	Dataset string           `json:"dataset"`
	Ordinal uint64           `json:"ordinal"`
	Rows    int64            `json:"rows"`
	Reasons map[string]int64 `json:"reasons"`
	State   string           `json:"state"`
	At      time.Time        `json:"at"`
}

// QuarantinedRow is one refused row.
type QuarantinedRow struct {
	Row      string `json:"row"` // as it was sent
	Reason   string `json:"reason"`
	Column   string `json:"column,omitempty"`
	Detail   string `json:"detail"`
	Sequence uint64 `json:"sequence"`
	Offset   int64  `json:"offset"`
}

// Model is a model as it stands.
type Model struct {
	Name       string                  `json:"name"`
	Dataset    string                  `json:"dataset"`
	Task       string                  `json:"task"`
	Primary    string                  `json:"primary"` // metric shown first
	Policy     string                  `json:"policy,omitempty"`
	Paused     bool                    `json:"paused"`
	Champion   *Version                `json:"champion,omitempty"`
	Cycle      *Cycle                  `json:"cycle,omitempty"` // in flight
	OpenAlerts []events.Alert          `json:"openAlerts"`
	Evaluation *events.PolicyEvaluated `json:"evaluation,omitempty"`  // the last one
	Evaluated  uint64                  `json:"evaluatedOn,omitempty"` // sequence in the ledger of the newest fact that its policy was evaluated on
	Observed   uint64                  `json:"observed"`              // ordinal up to which segments are observed for it, or were refused as a whole
	Decided    uint64                  `json:"decided"`               // ordinal up to which its policy was evaluated on segments, or they were refused as a whole; what it requested is in Cycle
	Cycles     map[string]int64        `json:"cycles"`                // how many by outcome, and "requested"
	LastCycle  string                  `json:"lastCycle,omitempty"`
}

// Version is a version with its standing. State: candidate, champion, retired, rejected, refitted.
type Version struct {
	events.Version
	State      string             `json:"state"`
	Cycle      string             `json:"cycle"`
	Candidate  string             `json:"candidate"`
	Metrics    map[string]float64 `json:"metrics,omitempty"` // on the rows it was judged on
	TrainedAt  time.Time          `json:"trainedAt"`
	PromotedAt time.Time          `json:"promotedAt"`
	Verdict    *events.Verdict    `json:"verdict,omitempty"`
}

// Cycle is one trip. State: requested, training, evaluating, rollingOut, ended.
type Cycle struct {
	events.CycleRequested
	State     string          `json:"state"`
	Primary   string          `json:"primary,omitempty"` // metric that ranks the trials
	Trials    []Trial         `json:"trials"`
	Queued    int             `json:"queued,omitempty"` // trials that wait, listed or not; at most so many, of a search
	Version   string          `json:"version,omitempty"`
	Verdict   *events.Verdict `json:"verdict,omitempty"`
	Outcome   string          `json:"outcome,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	Began     time.Time       `json:"began"`
	Ended     time.Time       `json:"ended"`
	EventTime time.Time       `json:"eventTime"` // watermark when it was requested
	Steps     []Step          `json:"steps"`     // its facts in order
}

// Step is a fact of a cycle.
type Step struct {
	Seq  uint64    `json:"seq"`
	Type string    `json:"type"` // short
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// MetricPoint is the champion's figures over one bucket of event time, each row scored before anything trained on it.
type MetricPoint struct {
	From    time.Time          `json:"from"`
	To      time.Time          `json:"to"`
	Rows    int64              `json:"rows"`
	Version string             `json:"version"` // that scored the last row of the bucket
	Metrics map[string]float64 `json:"metrics"`
}

// Why explains why a version is what it is: its causes back to the rows, newest first.
type Why struct {
	Model   string          `json:"model"`
	Version *Version        `json:"version,omitempty"`
	Text    string          `json:"text"`  // one paragraph
	Chain   []WhyStep       `json:"chain"` // from model.ready back along the causes
	Cycle   *Cycle          `json:"cycle,omitempty"`
	Policy  []events.Reason `json:"policy,omitempty"` // the evaluation that requested the cycle
}

// WhyStep is one fact on the way.
type WhyStep struct {
	Seq  uint64    `json:"seq"`
	ID   string    `json:"id"`
	Type string    `json:"type"`
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// WhyNot explains why no cycle runs now.
type WhyNot struct {
	Model   string          `json:"model"`
	Text    string          `json:"text"`
	Now     time.Time       `json:"now"`
	Reasons []events.Reason `json:"reasons"`
}

// Retrain is a person's wish. Window is ParseWindow's form. An Import, stored before by PUT /api/v1/imports/{sha256}, takes the
// place of training.
type Retrain struct {
	Window string         `json:"window,omitempty"`
	Reason string         `json:"reason,omitempty"`
	Import *events.Import `json:"import,omitempty"`
}

// Rollback is a person's wish. To is empty for the previous champion.
type Rollback struct {
	To     string `json:"to,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Asked acknowledges a wish: it is a fact now.
type Asked struct {
	ID  string `json:"id"`
	Seq uint64 `json:"seq"`
}

// Alert is an alert with its end, if it has one.
type Alert struct {
	events.Alert
	Open     bool      `json:"open"`
	Resolved time.Time `json:"resolved"`
}

// FactEvent is a fact as the API tells it: the CloudEvent as the ledger holds it, with its sequence and one sentence about it in
// the extension attributes "sequence" and "text". It is the data of server-sent events named "fact" and the answer of
// /subscriptions/{durable}/next; whatever reads CloudEvents reads it.
type FactEvent struct {
	events.Fact
	Text string
}

// MarshalJSON writes the CloudEvent.
func (e FactEvent) MarshalJSON() ([]byte, error) { return e.Told(e.Text) }

// UnmarshalJSON reads it.
func (e *FactEvent) UnmarshalJSON(b []byte) error {
	var more struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(b, &e.Fact); err != nil {
		return err
	}
	err := json.Unmarshal(b, &more)
	e.Text = more.Text
	return err
}

// LoginLink opens the dashboard once.
type LoginLink struct {
	URL  string `json:"url"`
	Code string `json:"code"`
}

// Pause is a person's wish that policy requests no cycles for now. It may be left out.
type Pause struct {
	Reason string `json:"reason,omitempty"`
}

// Ack acknowledges a fact of a durable subscription.
type Ack struct {
	Seq uint64 `json:"seq"`
}

// Dead is a dead letter.
type Dead struct {
	Seq     uint64          `json:"seq"`
	Handler string          `json:"handler"`
	Subject string          `json:"subject"` // where the message was
	Source  uint64          `json:"source"`  // its sequence there
	Error   string          `json:"error"`
	At      time.Time       `json:"at"`
	Message json.RawMessage `json:"message,omitempty"`
}

// Status is the platform as it stands.
type Status struct {
	Version string            `json:"version"`
	Started time.Time         `json:"started"`
	Targets []string          `json:"targets"`
	NATS    string            `json:"nats"`
	Rates   Rates             `json:"rates"`
	Leases  map[string]string `json:"leases,omitempty"`
}

// Rates are rows per second over the last seconds, per dataset. Also sent as server-sent event "rates" once a second.
type Rates struct {
	At       time.Time       `json:"at"`
	Datasets map[string]Rate `json:"datasets"`
}

// Rate is rows per second.
type Rate struct {
	Accepted    float64 `json:"accepted"`
	Quarantined float64 `json:"quarantined"`
}
