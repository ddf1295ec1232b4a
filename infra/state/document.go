package state

import (
	"slices"

	"github.com/tidemill/tidemill/events"
)

// AppliedSize is how many causes a document remembers by id.
const AppliedSize = 128

// Document is a value with what must be known about it to change it safely.
type Document[T any] struct {
	// Key is the document's name in its bucket.
	Key string `json:"-"`
	// Value is the service's own part.
	Value T `json:"value"`
	// Outbox holds facts that were decided and are not yet known to be said, in order.
	Outbox []events.Fact `json:"outbox,omitempty"`
	// Applied remembers the causes that made the value what it is.
	Applied Applied `json:"applied"`
	// Revision is what Update compares; it only grows.
	Revision uint64 `json:"-"`
}

// Applied is a ring of the ids of the last AppliedSize causes.
type Applied struct {
	IDs []string `json:"ids,omitempty"`
	// Seq is the highest FACTS sequence of a cause; 0 when none had one.
	Seq uint64 `json:"seq,omitempty"`
}

// Has tells whether the cause with this id was applied, as far as the ring reaches back.
func (a Applied) Has(id string) bool { return id != "" && slices.Contains(a.IDs, id) }

// with returns a copy with one more cause. A cause without an id is not remembered.
func (a Applied) with(cause events.Fact) Applied {
	if cause.ID == "" {
		return a
	}
	ids := append(slices.Clone(a.IDs), cause.ID)
	if len(ids) > AppliedSize {
		ids = ids[len(ids)-AppliedSize:]
	}
	return Applied{IDs: ids, Seq: max(a.Seq, cause.Seq)}
}
