package validation

import (
	"time"

	"github.com/tidemill/tidemill/events"
)

// accepted is what validation knows of a dataset: the sum of its accepted segments.
type accepted struct {
	Ordinal    uint64    `json:"ordinal"` // of the last segment that was decided on
	Chain      string    `json:"chain,omitempty"`
	TotalRows  int64     `json:"totalRows"`
	TotalBytes int64     `json:"totalBytes"`
	Accepted   uint64    `json:"accepted"`
	Batches    int64     `json:"batches"`
	MaxTime    time.Time `json:"maxTime,omitzero"`
	Watermark  time.Time `json:"watermark,omitzero"`
	// Batch is the file of which a segment was accepted and whose end has not come.
	Batch string `json:"batch,omitempty"`
}

// decide takes the next segment in. at is the wall clock.
func (a accepted) decide(p events.SegmentWritten, v verdict, at time.Time) (accepted, events.Fact, error) {
	a.Ordinal = p.Ordinal
	if len(v.violations) > 0 {
		a.endBatch(p.Segment, false)
		f, err := fact(p, "quarantined", events.SegmentQuarantinedType, at,
			events.SegmentQuarantined{Segment: p.Segment, Profile: v.profile, Violations: v.violations})
		return a, f, err
	}
	a.Chain = events.NextChain(a.Chain, p.Parquet.SHA256)
	a.TotalRows += p.Rows
	a.TotalBytes += p.Parquet.Bytes
	a.Accepted++
	if p.MaxTime.After(a.MaxTime) {
		a.MaxTime = p.MaxTime
	}
	// A shorter lateness takes effect at once, a longer one never turns the clock back.
	if mark := a.MaxTime.Add(-v.lateness); mark.After(a.Watermark) {
		a.Watermark = mark
	}
	a.endBatch(p.Segment, true)
	f, err := fact(p, "accepted", events.SegmentAcceptedType, at, events.SegmentAccepted{Segment: p.Segment, Profile: v.profile, Warnings: v.warnings,
		Watermark: a.Watermark, TotalRows: a.TotalRows, TotalBytes: a.TotalBytes, Accepted: a.Accepted, Batches: a.Batches, Chain: a.Chain})
	return a, f, err
}

// endBatch counts a file when its last segment has come and any of its segments was accepted.
func (a *accepted) endBatch(s events.Segment, taken bool) {
	if s.Batch == "" {
		return
	}
	if taken {
		a.Batch = s.Batch
	}
	if s.EndsBatch {
		if a.Batch == s.Batch {
			a.Batches++
		}
		a.Batch = ""
	}
}

func fact(p events.SegmentWritten, step string, t events.Type, at time.Time, payload any) (events.Fact, error) {
	return events.NewFact(events.SegmentStepID(p.Dataset, p.Ordinal, step), t, Name, p.Dataset, at, payload)
}
