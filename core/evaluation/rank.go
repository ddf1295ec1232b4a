package evaluation

import (
	"math"
	"slices"
)

// ranking is rows sorted by score, for the measures that depend on order alone.
type ranking struct {
	order    []int32   // row numbers, ascending by score
	positive []float64 // 1 where the row in this place is positive
	last     []bool    // last place of a group of equal scores
}

func newRanking(score []float64, positive func(row int) bool) *ranking {
	n := len(score)
	r := &ranking{order: make([]int32, n), positive: make([]float64, n), last: make([]bool, n)}
	for i := range r.order {
		r.order[i] = int32(i)
	}
	slices.SortFunc(r.order, func(a, b int32) int {
		switch {
		case score[a] < score[b]:
			return -1
		case score[a] > score[b]:
			return 1
		default:
			return int(a - b)
		}
	})
	for k, row := range r.order {
		if positive(int(row)) {
			r.positive[k] = 1
		}
		r.last[k] = k == n-1 || score[row] != score[r.order[k+1]]
	}
	return r
}

// auc is the weighted Mann-Whitney probability that a positive row scores
// higher than a negative one, ties counting one half.
func (r *ranking) auc(w []float64) float64 {
	var area, below, pos, groupPos, groupNeg float64
	for k, row := range r.order {
		wp := w[row] * r.positive[k]
		groupPos += wp
		groupNeg += w[row] - wp
		if r.last[k] {
			area += groupPos * (below + groupNeg/2)
			below += groupNeg
			pos += groupPos
			groupPos, groupNeg = 0, 0
		}
	}
	if pos <= 0 || below <= 0 {
		return math.NaN()
	}
	return area / (pos * below)
}

// averagePrecision is the sum over thresholds, from the highest score down, of
// precision times the gain in recall, as scikit-learn defines it.
func (r *ranking) averagePrecision(w []float64) float64 {
	var area, pos, all, groupPos float64
	for k := len(r.order) - 1; k >= 0; k-- {
		row := r.order[k]
		groupPos += w[row] * r.positive[k]
		all += w[row]
		// The next place down belongs to another group when it is that group's last.
		if k == 0 || r.last[k-1] {
			if groupPos > 0 {
				pos += groupPos
				area += groupPos * pos / all
			}
			groupPos = 0
		}
	}
	if pos <= 0 {
		return math.NaN()
	}
	return area / pos
}
