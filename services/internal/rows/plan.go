package rows

import (
	"slices"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/workers/runtime"
)

// Plan splits the accepted segments of a snapshot.
func Plan(accepted []events.SegmentAccepted, w events.Window, split resource.Split) (lake.Plan, error) {
	parts := make([]lake.Part, len(accepted))
	for i, a := range accepted {
		parts[i] = lake.PartOf(a.Segment)
	}
	return lake.MakePlan(parts, w, split)
}

// Segments are those of the selections, by ordinal and each once.
func Segments(accepted []events.SegmentAccepted, selections ...lake.Selection) []events.Segment {
	wanted := map[uint64]bool{}
	for _, s := range selections {
		for _, p := range s.Parts {
			wanted[p.Ordinal] = true
		}
	}
	var out []events.Segment
	for _, a := range accepted {
		if wanted[a.Ordinal] {
			out = append(out, a.Segment)
		}
	}
	slices.SortFunc(out, func(a, b events.Segment) int { return int(int64(a.Ordinal) - int64(b.Ordinal)) })
	return out
}

// Range is the selection's span of event time.
func Range(s lake.Selection) runtime.Range { return runtime.Range{From: s.Range.From, To: s.Range.To} }
