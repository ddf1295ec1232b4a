package evaluation

import (
	"errors"
	"fmt"
	"math"
	"sort"
)

// Test is a statistic and its two-sided p-value.
type Test struct {
	Statistic float64
	P         float64
}

// DeLong tests whether two binary models have the same AUC on the same rows
// (DeLong, DeLong and Clarke-Pearson 1988, by the midranks of Sun and Xu 2014).
// The statistic is z, positive when b is better. Weights are not used. It is an
// error when the rows differ or hold one class only.
func DeLong(a, b *Scored) (Test, error) {
	if a.Task != Binary || b.Task != Binary {
		return Test{}, errors.New("delong: needs two binary models")
	}
	if err := errors.Join(a.Check(), b.Check(), sameRows(a, b)); err != nil {
		return Test{}, fmt.Errorf("delong: %w", err)
	}
	da, db := placements(a), placements(b)
	m, n := len(da.positive), len(da.negative)
	if m < 2 || n < 2 {
		return Test{}, fmt.Errorf("delong: needs at least 2 rows of each class, got %d positive and %d negative", m, n)
	}
	variance := varianceOfDifference(da.positive, db.positive)/float64(m) +
		varianceOfDifference(da.negative, db.negative)/float64(n)
	difference := db.auc - da.auc
	if variance <= 0 {
		// Equal placements everywhere: no evidence of a difference.
		if difference == 0 {
			return Test{Statistic: 0, P: 1}, nil
		}
		return Test{Statistic: math.Inf(int(math.Copysign(1, difference))), P: 0}, nil
	}
	z := difference / math.Sqrt(variance)
	return Test{Statistic: z, P: math.Erfc(math.Abs(z) / math.Sqrt2)}, nil
}

// placed holds, for each positive row, the share of negatives below it, and for
// each negative row, the share of positives above it.
type placed struct {
	positive, negative []float64
	auc                float64
}

func placements(s *Scored) placed {
	var pos, neg []float64
	for i, y := range s.Label {
		if y == 1 {
			pos = append(pos, s.Scores[i])
		} else {
			neg = append(neg, s.Scores[i])
		}
	}
	sortedPos, sortedNeg := sorted(pos), sorted(neg)
	var p placed
	for _, v := range pos {
		p.positive = append(p.positive, below(sortedNeg, v)/float64(len(neg)))
	}
	for _, v := range neg {
		p.negative = append(p.negative, 1-below(sortedPos, v)/float64(len(pos)))
	}
	p.auc = sum(p.positive) / float64(len(pos))
	return p
}

func sorted(v []float64) []float64 {
	out := append([]float64(nil), v...)
	sort.Float64s(out)
	return out
}

// below counts the values below v, an equal one as half.
func below(sorted []float64, v float64) float64 {
	low := sort.SearchFloat64s(sorted, v)
	high := low + sort.Search(len(sorted)-low, func(i int) bool { return sorted[low+i] > v })
	return float64(low+high) / 2
}

// varianceOfDifference is the sample variance of b - a.
func varianceOfDifference(a, b []float64) float64 {
	mean := (sum(b) - sum(a)) / float64(len(a))
	total := 0.0
	for i := range a {
		d := b[i] - a[i] - mean
		total += d * d
	}
	return total / float64(len(a)-1)
}

// McNemarResult compares two classifiers' right and wrong answers.
type McNemarResult struct {
	OnlyA int     // rows that only a gets right
	OnlyB int     // rows that only b gets right
	P     float64 // exact two-sided binomial
}

// McNemar tests whether two binary models are equally often right at a
// threshold, on the rows where exactly one of them is (McNemar 1947, exact).
func McNemar(a, b *Scored, threshold float64) (McNemarResult, error) {
	if a.Task != Binary || b.Task != Binary {
		return McNemarResult{}, errors.New("mcnemar: needs two binary models")
	}
	if err := errors.Join(a.Check(), b.Check(), sameRows(a, b)); err != nil {
		return McNemarResult{}, fmt.Errorf("mcnemar: %w", err)
	}
	var r McNemarResult
	for i, y := range a.Label {
		rightA := (a.Scores[i] >= threshold) == (y == 1)
		rightB := (b.Scores[i] >= threshold) == (y == 1)
		switch {
		case rightA && !rightB:
			r.OnlyA++
		case rightB && !rightA:
			r.OnlyB++
		}
	}
	r.P = signTest(min(r.OnlyA, r.OnlyB), r.OnlyA+r.OnlyB)
	return r, nil
}

// signTest is the exact two-sided p of k or fewer heads in n fair tosses.
func signTest(k, n int) float64 {
	logAll, _ := math.Lgamma(float64(n + 1))
	tail := 0.0
	for i := 0; i <= k; i++ {
		a, _ := math.Lgamma(float64(i + 1))
		b, _ := math.Lgamma(float64(n - i + 1))
		tail += math.Exp(logAll - a - b - float64(n)*math.Ln2)
	}
	return min(1, 2*tail)
}
