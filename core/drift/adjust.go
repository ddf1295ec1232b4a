package drift

import (
	"cmp"
	"slices"
)

// BenjaminiHochberg adjusts p-values for the false discovery rate (Benjamini
// and Hochberg 1995): calling those at or below alpha keeps the expected share
// of false calls at or below alpha. The result is in the order given.
func BenjaminiHochberg(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	out := make([]float64, len(p))
	lowest := 1.0
	for rank := len(order); rank >= 1; rank-- {
		at := order[rank-1]
		lowest = min(lowest, p[at]*float64(len(p))/float64(rank))
		out[at] = lowest
	}
	return out
}
