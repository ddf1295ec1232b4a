package drift

import (
	"math"
	"slices"
)

// Samples hold finite numbers; callers leave out nulls and NaN. None of these
// functions changes its arguments.

func ascending(sample []float64) []float64 {
	out := slices.Clone(sample)
	slices.Sort(out)
	return out
}

// Wasserstein is the Wasserstein-1 distance of two samples, in the samples' own
// units: the area between their distribution functions. NaN for an empty one.
func Wasserstein(a, b []float64) float64 {
	if len(a) == 0 || len(b) == 0 {
		return math.NaN()
	}
	a, b = ascending(a), ascending(b)
	area, i, j := 0.0, 0, 0
	at := min(a[0], b[0])
	for i < len(a) || j < len(b) {
		next := math.Inf(1)
		if i < len(a) {
			next = a[i]
		}
		if j < len(b) {
			next = min(next, b[j])
		}
		area += (next - at) * math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b)))
		at = next
		for i < len(a) && a[i] == at {
			i++
		}
		for j < len(b) && b[j] == at {
			j++
		}
	}
	return area
}

// SD is the population standard deviation of a sample, NaN for an empty one.
func SD(a []float64) float64 {
	mean, square := 0.0, 0.0
	for _, v := range a {
		mean += v / float64(len(a))
	}
	for _, v := range a {
		square += (v - mean) * (v - mean) / float64(len(a))
	}
	if len(a) == 0 {
		return math.NaN()
	}
	return math.Sqrt(square)
}

// Deciles are the nine inner deciles of a sample, interpolated linearly between
// order statistics (Hyndman and Fan's type 7). Nil for an empty sample.
func Deciles(a []float64) []float64 {
	if len(a) == 0 {
		return nil
	}
	a = ascending(a)
	out := make([]float64, 9)
	for k := range out {
		place := float64(k+1) / 10 * float64(len(a)-1)
		low := min(int(place), len(a)-1)
		high := min(low+1, len(a)-1)
		out[k] = a[low] + (place-float64(low))*(a[high]-a[low])
	}
	return out
}

// Bin counts a sample in len(edges)+1 bins: a value's bin is the number of
// edges at or below it. edges ascend.
func Bin(a, edges []float64) []float64 {
	out := make([]float64, len(edges)+1)
	for _, v := range a {
		at, found := slices.BinarySearch(edges, v)
		for found && at < len(edges) && edges[at] == v {
			at++
		}
		out[at]++
	}
	return out
}
