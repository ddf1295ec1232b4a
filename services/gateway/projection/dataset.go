package projection

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

// States of a segment.
const (
	stateWritten     = "written"
	stateAccepted    = "accepted"
	stateQuarantined = "quarantined"
)

// States of refused rows.
const (
	Held     = "held"
	Released = "released"
	Dropped  = "dropped"
)

// unreadable is the reason of a file whose rows could not be read at all.
const unreadable = "unreadable"

type dataset struct {
	about      api.Dataset
	segments   []api.Segment
	batches    []*api.Batch
	quarantine []entry // by ordinal
	held       []uint64
	rates      rates
}

// entry is the refused rows of one segment, and where they lie.
type entry struct {
	api.Quarantine
	Blob events.Blob
}

func newDataset(name string) *dataset {
	return &dataset{about: api.Dataset{Name: name, Reasons: map[string]int64{}}}
}

// written folds an entry of the SEGMENTS log. Ordinals have no gaps, so an older one is told again.
func (d *dataset) written(e events.SegmentEntry) {
	if e.Ordinal <= d.about.Segments {
		return
	}
	d.about.Segments, d.about.Cursor = e.Ordinal, e.Cursor
	d.about.Accepted, d.about.Quarantined = e.TotalAccepted, e.TotalRefused
	for reason, n := range e.Reasons {
		d.about.Reasons[reason] += n
	}
	d.segments = bound(append(d.segments, api.Segment{Segment: e.Segment, State: stateWritten, At: e.WrittenAt}), maxSegments)
	d.rates.add(e.WrittenAt, e.Rows, e.Quarantined)
	if e.Batch != "" {
		d.batch(e)
	}
	if e.Release != 0 && e.EndsBatch && e.Reasons[unreadable] == 0 {
		d.decided(e.Release, Released)
	}
	if e.Quarantine != nil && e.Quarantined > 0 {
		d.quarantine = append(d.quarantine, entry{Blob: *e.Quarantine, Quarantine: api.Quarantine{Dataset: e.Dataset, Ordinal: e.Ordinal,
			Rows: e.Quarantined, Reasons: maps.Clone(e.Reasons), State: Held, At: e.WrittenAt}})
	}
}

func (d *dataset) batch(e events.SegmentEntry) {
	b := d.findBatch(e.Batch)
	if b == nil {
		b = &api.Batch{Batch: e.Batch, Reasons: map[string]int64{}}
		d.batches = bound(append(d.batches, b), maxBatches)
	}
	b.Accepted += e.Rows
	b.Quarantined += e.Quarantined
	b.Done = e.EndsBatch
	for reason, n := range e.Reasons {
		b.Reasons[reason] += n
	}
	if b.Done {
		b.Rows = b.Accepted + b.Quarantined
	}
	if b.Reasons[unreadable] > 0 {
		b.Error = "the file could not be read to its end; its refused rows say why"
	}
}

func (d *dataset) findBatch(id string) *api.Batch {
	for _, b := range slices.Backward(d.batches) {
		if b.Batch == id {
			return b
		}
	}
	return nil
}

// judged finds a segment that was written and not yet judged.
func (d *dataset) judged(ordinal uint64, state string, at time.Time) *api.Segment {
	i, ok := slices.BinarySearchFunc(d.segments, ordinal, func(s api.Segment, o uint64) int { return cmp.Compare(s.Ordinal, o) })
	if !ok || d.segments[i].State != stateWritten {
		return nil
	}
	d.segments[i].State, d.segments[i].At = state, at
	return &d.segments[i]
}

func (d *dataset) accepted(f events.Fact, x events.SegmentAccepted) {
	if s := d.judged(x.Ordinal, stateAccepted, f.Time); s != nil {
		s.Violations = x.Warnings
		d.about.Watermark, d.about.Chain = x.Watermark, x.Chain
	}
}

func (d *dataset) refused(f events.Fact, x events.SegmentQuarantined) {
	if s := d.judged(x.Ordinal, stateQuarantined, f.Time); s != nil {
		s.Violations = x.Violations
		d.held = append(d.held, x.Ordinal)
		if x.Rows > 0 {
			d.about.SegmentsHeld++
			d.about.RowsHeld += x.Rows
		}
	}
}

// passed is the highest ordinal that is settled when everything up to o is: segments that were refused as a whole have nothing
// to observe or to decide on.
func (d *dataset) passed(o uint64) uint64 {
	if d == nil {
		return o
	}
	i, _ := slices.BinarySearch(d.held, o+1)
	for ; i < len(d.held) && d.held[i] == o+1; i++ {
		o++
	}
	return o
}

func (d *dataset) decided(ordinal uint64, state string) {
	if i, ok := d.findEntry(ordinal); ok && d.quarantine[i].State == Held {
		d.quarantine[i].State = state
	}
}

func (d *dataset) findEntry(ordinal uint64) (int, bool) {
	return slices.BinarySearchFunc(d.quarantine, ordinal, func(e entry, o uint64) int { return cmp.Compare(e.Ordinal, o) })
}

// Dataset is what is known of a dataset but for its declaration and what waits in ROWS.
func (p *Projection) Dataset(name string) api.Dataset {
	p.mu.RLock()
	defer p.mu.RUnlock()
	d := p.datasets[name]
	if d == nil {
		return api.Dataset{Name: name}
	}
	out := d.about
	out.Reasons = maps.Clone(out.Reasons)
	return out
}

// Segments lists the newest segments of a dataset first; limit 0 gives all that are kept.
func (p *Projection) Segments(name string, limit int) []api.Segment {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if d := p.datasets[name]; d != nil {
		return newest(d.segments, limit)
	}
	return nil
}

// Batch is a file that has begun to come in.
func (p *Projection) Batch(dataset, id string) (api.Batch, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if d := p.datasets[dataset]; d != nil {
		if b := d.findBatch(id); b != nil {
			out := *b
			out.Reasons = maps.Clone(b.Reasons)
			return out, true
		}
	}
	return api.Batch{}, false
}

// Quarantine lists refused rows by segment, newest first.
func (p *Projection) Quarantine(dataset string) []api.Quarantine {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out []api.Quarantine
	if d := p.datasets[dataset]; d != nil {
		for _, e := range slices.Backward(d.quarantine) {
			out = append(out, e.Quarantine)
		}
	}
	return out
}

// Refused is the refused rows of one segment, and the Parquet that holds them.
func (p *Projection) Refused(dataset string, ordinal uint64) (api.Quarantine, events.Blob, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if d := p.datasets[dataset]; d != nil {
		if i, ok := d.findEntry(ordinal); ok {
			return d.quarantine[i].Quarantine, d.quarantine[i].Blob, true
		}
	}
	return api.Quarantine{}, events.Blob{}, false
}
