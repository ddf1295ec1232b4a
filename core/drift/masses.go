package drift

import (
	"maps"
	"math"
	"slices"

	"github.com/tidemill/tidemill/core/profile"
)

// massWasserstein is the Wasserstein-1 distance of two distributions of masses,
// ascending by value. On profiles the buckets are shared, so rows that fall in
// the same buckets on both sides contribute exactly nothing, and the result
// differs from the samples' own distance by at most [profile.Accuracy] times
// the sum of both sides' mean absolute values.
func massWasserstein(a, b []profile.Mass) float64 {
	na, nb := mass(a), mass(b)
	area, i, j, below, other := 0.0, 0, 0, 0.0, 0.0
	at := min(a[0].Value, b[0].Value)
	for i < len(a) || j < len(b) {
		next := math.Inf(1)
		if i < len(a) {
			next = a[i].Value
		}
		if j < len(b) {
			next = min(next, b[j].Value)
		}
		area += (next - at) * math.Abs(below/na-other/nb)
		at = next
		if i < len(a) && a[i].Value == at {
			below += float64(a[i].Count)
			i++
		}
		if j < len(b) && b[j].Value == at {
			other += float64(b[j].Count)
			j++
		}
	}
	return area
}

func mass(a []profile.Mass) float64 {
	total := int64(0)
	for _, m := range a {
		total += m.Count
	}
	return float64(total)
}

// pool merges two ascending distributions.
func pool(a, b []profile.Mass) []profile.Mass {
	out := make([]profile.Mass, 0, len(a)+len(b))
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || (len(a) > 0 && a[0].Value < b[0].Value):
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0].Value < a[0].Value:
			out, b = append(out, b[0]), b[1:]
		default:
			out = append(out, profile.Mass{Value: a[0].Value, Count: a[0].Count + b[0].Count})
			a, b = a[1:], b[1:]
		}
	}
	return out
}

// psiBins is how many bins of equal reference mass PSI uses for numbers.
const psiBins = 10

// decileCounts counts both sides in bins that hold about a tenth of the
// reference each. Bin edges lie between buckets, so nothing is split.
func decileCounts(reference, current []profile.Mass) (a, b []float64) {
	total, seen := mass(reference), 0.0
	j := 0
	var here, there float64
	for i, m := range reference {
		here, seen = here+float64(m.Count), seen+float64(m.Count)
		for j < len(current) && current[j].Value <= m.Value {
			there += float64(current[j].Count)
			j++
		}
		if seen >= total*float64(len(a)+1)/psiBins && i+1 < len(reference) {
			a, b = append(a, here), append(b, there)
			here, there = 0, 0
		}
	}
	for ; j < len(current); j++ {
		there += float64(current[j].Count)
	}
	return append(a, here), append(b, there)
}

// categoryCounts lines up the categories of both sides: the categories
// themselves when both sides know all of theirs, else hash buckets. names is nil
// for the latter.
func categoryCounts(reference, current *profile.Categories) (a, b []float64, names []string) {
	if !reference.Exact || !current.Exact {
		return floats(reference.HashCounts()), floats(current.HashCounts()), nil
	}
	all := maps.Clone(reference.Counts)
	if all == nil {
		all = map[string]int64{}
	}
	maps.Copy(all, current.Counts)
	names = slices.Sorted(maps.Keys(all))
	for _, name := range names {
		a = append(a, float64(reference.Counts[name]))
		b = append(b, float64(current.Counts[name]))
	}
	return a, b, names
}

func floats(counts []int64) []float64 {
	out := make([]float64, len(counts))
	for i, n := range counts {
		out[i] = float64(n)
	}
	return out
}
