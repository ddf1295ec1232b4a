package drift

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Counts are numbers of rows per category, in the same order on both sides.

func sum(a []float64) float64 {
	total := 0.0
	for _, v := range a {
		total += v
	}
	return total
}

// Smoothing says how [PSI] treats empty categories.
type Smoothing int

// The smoothings.
const (
	// Floor replaces a share below 1e-4 by 1e-4.
	Floor Smoothing = iota
	// HalfCount adds half a row to each of the B categories: (n+½)/(N+B/2).
	HalfCount
)

const psiFloor = 1e-4

// PSI is the population stability index Σ(q-p)·ln(q/p) of two sets of counts,
// NaN if one is empty. It is 0 for equal shares and has no upper bound.
func PSI(a, b []float64, smoothing Smoothing) float64 {
	na, nb, total := sum(a), sum(b), 0.0
	if na == 0 || nb == 0 {
		return math.NaN()
	}
	for i := range a {
		p, q := max(a[i]/na, psiFloor), max(b[i]/nb, psiFloor)
		if smoothing == HalfCount {
			half := float64(len(a)) / 2
			p, q = (a[i]+.5)/(na+half), (b[i]+.5)/(nb+half)
		}
		total += (q - p) * math.Log(q/p)
	}
	return total
}

// ChiSquareResult is Pearson's test of homogeneity.
type ChiSquareResult struct {
	Statistic float64
	DF        int // categories that occur, less one
	P         float64
}

// ChiSquare tests whether two sets of counts have the same shares. Categories
// that occur on neither side are left out; with fewer than two left p is 1.
func ChiSquare(a, b []float64) ChiSquareResult {
	na, nb := sum(a), sum(b)
	r := ChiSquareResult{DF: -1, P: 1}
	for i := range a {
		both := a[i] + b[i]
		if both == 0 {
			continue
		}
		r.DF++
		for _, side := range [2][2]float64{{a[i], na}, {b[i], nb}} {
			expected := both * side[1] / (na + nb)
			if expected > 0 {
				r.Statistic += (side[0] - expected) * (side[0] - expected) / expected
			}
		}
	}
	r.DF = max(r.DF, 0)
	if r.DF > 0 && na > 0 && nb > 0 {
		r.P = distuv.ChiSquared{K: float64(r.DF)}.Survival(r.Statistic)
	}
	return r
}

// JensenShannon is the Jensen-Shannon distance, the square root of the
// divergence, in the logarithm's base: between 0 and sqrt(log(2)). NaN if one
// side is empty.
func JensenShannon(a, b []float64, base float64) float64 {
	na, nb, total := sum(a), sum(b), 0.0
	if na == 0 || nb == 0 {
		return math.NaN()
	}
	for i := range a {
		total += divergence(a[i]/na, b[i]/nb)
	}
	return math.Sqrt(max(total, 0) / math.Log(base))
}

// divergence is one category's part of the Jensen-Shannon divergence, in nats.
// It is never negative.
func divergence(p, q float64) float64 {
	total := 0.0
	if p > 0 {
		total += p * math.Log(2*p/(p+q))
	}
	if q > 0 {
		total += q * math.Log(2*q/(p+q))
	}
	return max(total/2, 0)
}

// LInfinity is the largest difference of two shares, NaN if one side is empty.
func LInfinity(a, b []float64) float64 {
	na, nb, far := sum(a), sum(b), 0.0
	if na == 0 || nb == 0 {
		return math.NaN()
	}
	for i := range a {
		far = max(far, math.Abs(a[i]/na-b[i]/nb))
	}
	return far
}

// Hellinger is the Hellinger distance, between 0 and 1; NaN if one side is empty.
func Hellinger(a, b []float64) float64 {
	na, nb, total := sum(a), sum(b), 0.0
	if na == 0 || nb == 0 {
		return math.NaN()
	}
	for i := range a {
		d := math.Sqrt(a[i]/na) - math.Sqrt(b[i]/nb)
		total += d * d
	}
	return math.Sqrt(total / 2)
}

// TwoProportions is the pooled z-test of x1 of n1 against x2 of n2, with its
// two-sided p. z is negative when the first share is smaller; z is 0 and p 1 when
// there is nothing to compare.
func TwoProportions(x1, n1, x2, n2 int) (z, p float64) {
	if n1 == 0 || n2 == 0 {
		return 0, 1
	}
	a, b := float64(x1)/float64(n1), float64(x2)/float64(n2)
	pooled := float64(x1+x2) / float64(n1+n2)
	se := math.Sqrt(pooled * (1 - pooled) * (1/float64(n1) + 1/float64(n2)))
	if se == 0 {
		return 0, 1
	}
	z = (a - b) / se
	return z, math.Erfc(math.Abs(z) / math.Sqrt2)
}

// Fisher is the exact two-sided p of x1 of n1 against x2 of n2: the probability,
// both totals given, of all tables no more likely than this one.
func Fisher(x1, n1, x2, n2 int) (float64, error) {
	if x1 < 0 || x2 < 0 || x1 > n1 || x2 > n2 {
		return math.NaN(), fmt.Errorf("fisher: %d of %d against %d of %d is no table of counts", x1, n1, x2, n2)
	}
	hits := x1 + x2
	log := func(k int) float64 { return choose(n1, k) + choose(n2, hits-k) - choose(n1+n2, hits) }
	seen, total := log(x1), 0.0
	for k := max(0, hits-n2); k <= min(hits, n1); k++ {
		if l := log(k); l <= seen+1e-7 { // equal tables differ by rounding
			total += math.Exp(l)
		}
	}
	return min(total, 1), nil
}

// choose is the logarithm of a binomial coefficient.
func choose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
