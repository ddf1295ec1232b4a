package lake

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// ErrTooLittle marks plans for which there are not enough rows yet.
var ErrTooLittle = errors.New("too little data")

// Part is an accepted segment with what is needed to choose among segments without reading them.
type Part struct {
	Ordinal uint64
	Parquet events.Blob
	Rows    int64
	MinTime time.Time // lowest and highest event time of its rows, inclusive
	MaxTime time.Time
}

// PartOf is the part of a segment.
func PartOf(s events.Segment) Part {
	return Part{Ordinal: s.Ordinal, Parquet: s.Parquet, Rows: s.Rows, MinTime: s.MinTime, MaxTime: s.MaxTime}
}

// Range selects rows by event time: From ≤ t < To, half-open, so that neighbouring ranges share no row. A zero From or To
// does not bound. Newest, when not 0, keeps only that many rows, the latest by (event time, place in the dataset). Draw draws
// among what is left.
type Range struct {
	From   time.Time
	To     time.Time
	Newest int64
	Draw   Draw
}

// Draw takes only so many of the rows that have a label, as if at random: which ones depends on the seed and on each row's
// place in the dataset, and on nothing else. The zero value takes all.
type Draw struct {
	Rows int64
	// Balanced draws as many rows of each class. Where a class has not as many, all of its rows are drawn, and the others
	// share what is left. Without it, each row is as likely as any other.
	Balanced bool
	Seed     int64
}

// Quotas shares n rows among classes that have so many rows each, as evenly as they allow: a class gets less than another
// only when it has no more. What can't be shared evenly goes to the first ones. They sum up to n, or to all there are.
func Quotas(n int64, have []int64) []int64 {
	order := make([]int, len(have))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(have[a], have[b]) })
	out := make([]int64, len(have))
	for i, k := range order {
		left := int64(len(order) - i)
		share := n / left
		if have[k] > share { // so has every class after it
			rest := order[i:]
			slices.Sort(rest)
			for j, k := range rest {
				out[k] = share
				if int64(j) < n%left {
					out[k]++
				}
			}
			return out
		}
		out[k] = have[k]
		n -= have[k]
	}
	return out
}

// Contains reports whether an event time is inside From and To.
func (r Range) Contains(t time.Time) bool {
	return (r.From.IsZero() || !t.Before(r.From)) && (r.To.IsZero() || t.Before(r.To))
}

// Empty reports whether no time is inside.
func (r Range) Empty() bool { return !r.From.IsZero() && !r.To.IsZero() && !r.From.Before(r.To) }

// Selection is a range of rows and the segments that may hold some of them, by ordinal.
type Selection struct {
	Range Range
	Parts []Part
}

// Select keeps the parts with rows that may lie in the range, by ordinal.
func Select(parts []Part, r Range) Selection {
	s := Selection{Range: r}
	for _, p := range parts {
		if p.Rows > 0 && (r.To.IsZero() || p.MinTime.Before(r.To)) && (r.From.IsZero() || !p.MaxTime.Before(r.From)) && !r.Empty() {
			s.Parts = append(s.Parts, p)
		}
	}
	slices.SortFunc(s.Parts, byOrdinal)
	return s
}

func byOrdinal(a, b Part) int {
	switch {
	case a.Ordinal < b.Ordinal:
		return -1
	case a.Ordinal > b.Ordinal:
		return 1
	}
	return 0
}

// Plan says which rows of a snapshot train, validate and test. By event time, oldest first, the three ranges are disjoint and
// lie `gap` apart:
//
//	train | gap | validation | gap | test
type Plan struct {
	Train      Selection
	Validation Selection
	Test       Selection
}

// MakePlan splits the rows of a snapshot: test is the newest split.Test before the end of the data, validation the
// split.Validation before that, and the window selects training rows before both. Zero validation or test make that part
// empty, without a gap of its own. It is a pure function of its arguments; the order of parts does not matter.
//
// Windows: expanding takes all rows before the hold-out; a duration counts back from the end of training; rows takes the
// newest rows before the hold-out; segments takes rows of the newest segments that hold any before the hold-out; a sample
// draws among all rows before the hold-out (the caller gives the draw its seed).
//
// The error is an ErrTooLittle when the data does not reach back beyond the hold-out.
func MakePlan(parts []Part, w events.Window, split resource.Split) (Plan, error) {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, byOrdinal)
	lo, hi, ok := extent(parts)
	if !ok {
		return Plan{}, fmt.Errorf("there are no accepted rows yet: %w", ErrTooLittle)
	}
	gap := split.Gap.Std()
	end := hi.Add(time.Microsecond) // the newest row is inside
	test, end := takeNewest(end, split.Test.Std(), gap)
	validation, end := takeNewest(end, split.Validation.Std(), gap)
	if !lo.Before(end) {
		return Plan{}, fmt.Errorf("the data spans %s, from %s to %s, and the hold-out of %s leaves nothing to train on; wait for more rows or shorten the split: %w",
			events.Duration(hi.Sub(lo).Round(time.Second)), lo.Format(time.RFC3339), hi.Format(time.RFC3339),
			events.Duration(hi.Sub(end).Round(time.Second)), ErrTooLittle)
	}
	return Plan{Train: window(parts, w, lo, end), Validation: Select(parts, validation), Test: Select(parts, test)}, nil
}

// takeNewest cuts d off before end, and the gap that separates it from what comes before. Without d nothing is cut.
func takeNewest(end time.Time, d, gap time.Duration) (Range, time.Time) {
	if d <= 0 {
		return Range{From: end, To: end}, end
	}
	from := end.Add(-d)
	return Range{From: from, To: end}, from.Add(-gap)
}

func extent(parts []Part) (lo, hi time.Time, ok bool) {
	for _, p := range parts {
		if p.Rows == 0 {
			continue
		}
		if !ok || p.MinTime.Before(lo) {
			lo = p.MinTime
		}
		if !ok || p.MaxTime.After(hi) {
			hi = p.MaxTime
		}
		ok = true
	}
	return lo, hi, ok
}

// window selects the training rows before end.
func window(parts []Part, w events.Window, lo, end time.Time) Selection {
	r := Range{From: lo, To: end}
	switch {
	case w.Duration > 0:
		if from := end.Add(-w.Duration.Std()); from.After(lo) {
			r.From = from
		}
	case w.Rows > 0:
		r.From, r.Newest = reach(parts, w.Rows, lo, end), w.Rows
	case w.Sample > 0:
		r.Draw = Draw{Rows: w.Sample, Balanced: w.Method == events.SampleBalanced}
	case w.Segments > 0:
		s := Select(parts, r)
		s.Parts = s.Parts[max(0, len(s.Parts)-int(min(w.Segments, int64(len(s.Parts))))):]
		s.Range.From, _, _ = extent(s.Parts)
		return s
	}
	return Select(parts, r)
}

// reach is a time since when there surely are n rows before end: it counts, newest first, only segments that end before end,
// since of others it is not known how many rows lie before it.
func reach(parts []Part, n int64, lo, end time.Time) time.Time {
	whole := slices.DeleteFunc(slices.Clone(parts), func(p Part) bool { return p.Rows == 0 || !p.MaxTime.Before(end) })
	slices.SortFunc(whole, func(a, b Part) int { return b.MinTime.Compare(a.MinTime) })
	for _, p := range whole {
		if n -= p.Rows; n <= 0 {
			return p.MinTime
		}
	}
	return lo
}
