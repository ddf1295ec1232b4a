package events

import (
	"encoding/json"
	"time"
)

// Blob names one immutable object in blob storage by its key and its content.
type Blob struct {
	Key    string `json:"key"`    // key in the blob store: "segments/<sha256>.parquet"
	SHA256 string `json:"sha256"` // lower-case hex
	Bytes  int64  `json:"bytes"`
}

// ResourceApplied says that a resource was created or changed. Spec is the whole resource document as canonical JSON.
type ResourceApplied struct {
	Kind     string          `json:"kind"` // Dataset, Model, RetrainingPolicy
	Name     string          `json:"name"`
	Revision uint64          `json:"revision"` // grows by one with each change of this resource
	Digest   string          `json:"digest"`   // SHA-256 of Resource
	Resource json.RawMessage `json:"resource"`
}

// ResourceDeleted says that a resource is gone.
type ResourceDeleted struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Revision uint64 `json:"revision"`
}

// Cursor is a place in the rows of a dataset: everything at or before it is in segments or in quarantine.
type Cursor struct {
	Sequence uint64 `json:"sequence"`         // sequence in ROWS of the last message that was begun
	Offset   int64  `json:"offset,omitempty"` // rows of that message that are done, when it holds several (a chunk or a file); 0: all of it is done
}

// Segment is what is known of a segment when it is written.
type Segment struct {
	Dataset   string    `json:"dataset"`
	Ordinal   uint64    `json:"ordinal"` // 1, 2, 3 … without gaps within a dataset
	Parquet   Blob      `json:"parquet"`
	Rows      int64     `json:"rows"`
	MinTime   time.Time `json:"minTime"` // lowest and highest event time; zero when the segment has no rows
	MaxTime   time.Time `json:"maxTime"`
	Batch     string    `json:"batch,omitempty"`     // the file these rows came from, when they came from one
	EndsBatch bool      `json:"endsBatch,omitempty"` // the last segment of that file
}

// SegmentEntry is one entry of the SEGMENTS log: a segment and the cursor in one write.
type SegmentEntry struct {
	Segment
	Quarantine     *Blob            `json:"quarantine,omitempty"` // Parquet of the rows that were refused between this entry and the one before
	Quarantined    int64            `json:"quarantined"`
	Reasons        map[string]int64 `json:"reasons,omitempty"` // refused rows by reason
	Release        uint64           `json:"release,omitempty"` // the ordinal whose refused rows these are, let back in by a person
	Cursor         Cursor           `json:"cursor"`
	TotalAccepted  int64            `json:"totalAccepted"` // rows in segments up to and with this entry
	TotalRefused   int64            `json:"totalRefused"`
	WrittenAt      time.Time        `json:"writtenAt"`
	SchemaRevision uint64           `json:"schemaRevision"` // revision of the Dataset resource that checked the rows
}

// SegmentWritten says that a segment is at rest (said by ingestion, after the SEGMENTS entry). Rows may be 0 when every
// row was refused; such a segment has no Parquet.
type SegmentWritten struct {
	SegmentEntry
}

// Violation is one broken dataset-level rule.
type Violation struct {
	Rule    string  `json:"rule"` // volume, refused, nulls, range, domain, uniqueness, freshness
	Column  string  `json:"column,omitempty"`
	Value   float64 `json:"value"`
	Limit   float64 `json:"limit"`
	Message string  `json:"message"`
}

// SegmentAccepted says that a segment may be trained on. Chain identifies all accepted segments up to this one:
// the hash of the previous chain and this segment's Parquet hash.
type SegmentAccepted struct {
	Segment
	Profile    Blob        `json:"profile"`
	Warnings   []Violation `json:"warnings,omitempty"`
	Watermark  time.Time   `json:"watermark"`  // highest accepted event time so far minus the dataset's lateness
	TotalRows  int64       `json:"totalRows"`  // accepted rows up to and with this segment
	TotalBytes int64       `json:"totalBytes"` // Parquet bytes of those
	Accepted   uint64      `json:"accepted"`   // accepted segments up to and with this one
	Batches    int64       `json:"batches"`    // files that ended up to and with this one
	Chain      string      `json:"chain"`
}

// SegmentQuarantined says that a whole segment was refused by a dataset-level rule.
type SegmentQuarantined struct {
	Segment
	Profile    Blob        `json:"profile"`
	Violations []Violation `json:"violations"`
}

// QuarantineReleased and QuarantineDropped say what a person decided about the refused rows of one SEGMENTS entry.
type QuarantineReleased struct {
	Dataset string `json:"dataset"`
	Ordinal uint64 `json:"ordinal"`
	Rows    int64  `json:"rows"`
	By      string `json:"by,omitempty"`
}

// QuarantineDropped is the other decision: the rows stay out for good.
type QuarantineDropped struct {
	Dataset string `json:"dataset"`
	Ordinal uint64 `json:"ordinal"`
	Rows    int64  `json:"rows"`
	By      string `json:"by,omitempty"`
}

// AlertRef names an open alert.
type AlertRef struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	Column string `json:"column,omitempty"`
	Metric string `json:"metric,omitempty"`
}

// Alert kinds.
const (
	AlertDrift       = "drift"
	AlertPerformance = "performance"
	AlertQuality     = "quality"
	AlertFreshness   = "freshness"
)

// Alert is a monitor's finding.
type Alert struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Model     string    `json:"model,omitempty"`
	Dataset   string    `json:"dataset"`
	Column    string    `json:"column,omitempty"` // drift
	Metric    string    `json:"metric,omitempty"` // performance, or the drift statistic
	Value     float64   `json:"value"`
	Threshold float64   `json:"threshold"`
	Message   string    `json:"message"`
	Ordinal   uint64    `json:"ordinal,omitempty"` // the segment that raised it
	At        time.Time `json:"at"`                // event time of the finding (the watermark then)
}

// AlertRaised says that a finding began.
type AlertRaised struct{ Alert }

// AlertResolved says that it is over, with the value that ended it.
type AlertResolved struct{ Alert }

// SegmentObserved says that monitoring has seen an accepted segment for one model. It is the only data input of retraining.
type SegmentObserved struct {
	Model      string             `json:"model"`
	Dataset    string             `json:"dataset"`
	Ordinal    uint64             `json:"ordinal"`
	Rows       int64              `json:"rows"`
	Champion   string             `json:"champion,omitempty"` // version that scored it before anything trained on it; "" before the first model
	Metrics    map[string]float64 `json:"metrics,omitempty"`  // of the champion on this segment's rows
	Scores     *Blob              `json:"scores,omitempty"`   // Parquet: time, label, score(s)
	Profile    Blob               `json:"profile"`
	MaxTime    time.Time          `json:"maxTime"`
	Watermark  time.Time          `json:"watermark"`
	TotalRows  int64              `json:"totalRows"`
	TotalBytes int64              `json:"totalBytes"`
	Accepted   uint64             `json:"accepted"`
	Batches    int64              `json:"batches"`
	Chain      string             `json:"chain"`
	OpenAlerts []AlertRef         `json:"openAlerts,omitempty"`
}

// TimerFired brings wall-clock time into the ledger.
type TimerFired struct {
	Owner string    `json:"owner"` // the service whose timer it is
	Kind  string    `json:"kind"`  // schedule, deadline, quietEnd, freshness …
	Name  string    `json:"name"`  // the model or dataset
	Due   time.Time `json:"due"`
	Key   string    `json:"key,omitempty"` // what it is for: a cycle id, a trigger's path
}
