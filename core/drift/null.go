package drift

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/tidemill/tidemill/core/profile"
)

// null is the distribution of a statistic when nothing has drifted, known by
// its mean and variance and taken as a gamma: exact for a scaled chi-square,
// and for the others never lighter in the tail.
type null struct{ mean, variance float64 }

// quantile is the value that chance exceeds with probability 1-p.
func (n null) quantile(p float64) float64 {
	if n.certain() {
		return max(n.mean, 0)
	}
	return n.gamma().Quantile(p)
}

// tail is the probability that chance gives at least v.
func (n null) tail(v float64) float64 {
	if n.certain() {
		if v > n.mean*(1+1e-6) {
			return 0
		}
		return 1
	}
	return n.gamma().Survival(v)
}

// certain tells that chance leaves no room but rounding: the statistic of two
// sets of keys that all differ, say.
func (n null) certain() bool { return !(n.mean > 0) || n.variance <= 1e-12*n.mean*n.mean }

func (n null) gamma() distuv.Gamma {
	return distuv.Gamma{Alpha: n.mean * n.mean / n.variance, Beta: n.mean / n.variance}
}

// many is how many rows a category must have on the smaller side for its part
// of the divergence to be taken as a chi-square.
const many = 100

// divergenceNull is the Jensen-Shannon divergence, in nats, of two random
// halves, sized as a and b, of all rows together: what permuting the rows would
// show. A category with t rows in all gives a hypergeometric number of them to
// side a; frequent ones add (1/n+1/m)/8 times a chi-square of one degree of
// freedom, and rare ones, where that is far off, are summed over their outcomes.
// Parts are taken as independent but for their given total, whose share of the
// variance goes (Holst 1981).
func divergenceNull(a, b []float64) null {
	n, m := sum(a), sum(b)
	share, unit := n/(n+m), (1/n+1/m)/8
	var out null
	var withRows, rows float64 // covariance with the number of rows on side a, and its variance
	categories := 0
	for i := range a {
		t := a[i] + b[i]
		if t == 0 {
			continue
		}
		categories++
		rows += t * share * (1 - share)
		if t*min(share, 1-share) > many {
			given := 1 - t/(n+m)
			out.mean += unit * given
			out.variance += 2 * unit * unit * given
			continue
		}
		p := rareNull(int(math.Round(t)), n, m)
		out.mean += p.mean
		out.variance += p.variance
		withRows += p.withRows
	}
	if categories < 2 {
		return null{}
	}
	out.variance = max(out.variance-withRows*withRows/rows, 0)
	return out
}

// part is one category's divergence by chance.
type part struct{ mean, variance, withRows float64 }

// rareNull sums one category's divergence over the ways that its t rows can fall.
func rareNull(t int, n, m float64) part {
	share := n / (n + m)
	reach := 8*math.Sqrt(float64(t)*share*(1-share)) + 8
	expected := float64(t) * share
	low, high := max(0, int(expected-reach)), min(t, int(expected+reach))
	all := choose(int(n+m), int(n))
	var mean, square, product, rows float64
	for x := low; x <= high; x++ {
		if float64(x) > n || float64(t-x) > m {
			continue
		}
		p := math.Exp(choose(t, x) + choose(int(n+m)-t, int(n)-x) - all)
		d := divergence(float64(x)/n, float64(t-x)/m)
		mean += p * d
		square += p * d * d
		product += p * d * float64(x)
		rows += p * float64(x)
	}
	return part{mean, max(square-mean*mean, 0), product - mean*rows}
}

// psiNull is what chance gives as PSI between sets of n and m rows in the given
// number of categories: (1/n+1/m) times a chi-square.
func psiNull(n, m float64, categories int) null {
	df := float64(max(categories-1, 0))
	unit := 1/n + 1/m
	return null{unit * df, 2 * unit * unit * df}
}

// step is a stretch between neighbouring values: how wide it is, and the share
// of rows below it.
type step struct{ width, below float64 }

// maxSteps bounds the quadratic work of the null of the Wasserstein distance.
const maxSteps = 200

// wassersteinNull is the Wasserstein-1 distance between random halves of the
// pooled rows. Their distribution functions differ by sqrt(1/n+1/m) times a
// Brownian bridge, so the distance is the integral of a folded normal process,
// whose mean and variance follow from its covariances (del Barrio, Giné and
// Matrán 1999).
func wassersteinNull(pooled []profile.Mass, n, m float64) null {
	steps := stepsOf(pooled)
	var out null
	for i, s := range steps {
		si := math.Sqrt(s.below * (1 - s.below))
		out.mean += s.width * si * math.Sqrt(2/math.Pi)
		for j := 0; j <= i; j++ {
			o := steps[j]
			so := math.Sqrt(o.below * (1 - o.below))
			twice := 2.0
			if i == j {
				twice = 1
			}
			correlation := min(o.below*(1-s.below)/(si*so), 1)
			out.variance += twice * s.width * o.width * si * so * foldedCovariance(correlation)
		}
	}
	unit := 1/n + 1/m
	return null{math.Sqrt(unit) * out.mean, unit * max(out.variance, 0)}
}

// foldedCovariance is the covariance of |X| and |Y| for standard normals of the
// given correlation.
func foldedCovariance(r float64) float64 {
	return 2 / math.Pi * (math.Sqrt(1-r*r) + r*math.Asin(r) - 1)
}

// stepsOf lists the stretches between the masses' values, neighbours joined
// until few enough are left.
func stepsOf(pooled []profile.Mass) []step {
	total := 0.0
	for _, m := range pooled {
		total += float64(m.Count)
	}
	joined := (len(pooled) + maxSteps - 1) / maxSteps
	var out []step
	below, width, area := 0.0, 0.0, 0.0
	for i := 0; i+1 < len(pooled); i++ {
		below += float64(pooled[i].Count) / total
		w := pooled[i+1].Value - pooled[i].Value
		width, area = width+w, area+w*below
		if (i+1)%joined == 0 || i+2 == len(pooled) {
			if share := area / width; width > 0 && share > 0 && share < 1 {
				out = append(out, step{width, share})
			}
			width, area = 0, 0
		}
	}
	return out
}
