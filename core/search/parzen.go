package search

import (
	"math"
	"slices"
	"sort"
)

// parzen is an even mixture of normal distributions on the unit interval, truncated to it: one around each value, and a wide
// one over all of it so that nothing is ever ruled out.
type parzen struct {
	axis
	kernels []kernel
}

type kernel struct {
	mean, sigma float64
	below, mass float64 // of the whole normal distribution: left of the interval, and within it
}

func newKernel(mean, sigma float64) kernel {
	k := kernel{mean: mean, sigma: sigma}
	k.below = phi((0 - mean) / sigma)
	k.mass = phi((1-mean)/sigma) - k.below
	return k
}

// newParzen makes each kernel as wide as the larger gap to its neighbours (Bergstra et al., section 4.1), within reason: no
// narrower than the number of values can tell apart.
func newParzen(a axis, values []any) *parzen {
	p := &parzen{axis: a}
	var means []float64
	for _, v := range values {
		low, high, _ := a.cell(v)
		means = append(means, (low+high)/2)
	}
	slices.Sort(means)
	narrow := 1 / min(100, float64(len(means)+2))
	for i, m := range means {
		left, right := m, 1-m
		if i > 0 {
			left = m - means[i-1]
		}
		if i < len(means)-1 {
			right = means[i+1] - m
		}
		p.kernels = append(p.kernels, newKernel(m, min(max(left, right, narrow), 1)))
	}
	p.kernels = append(p.kernels, newKernel(0.5, 1))
	return p
}

func (p *parzen) draw(s stream) any {
	k := p.kernels[s.below(int64(len(p.kernels)))]
	u := min(k.below+s.unit()*k.mass, 1)
	return p.value(k.mean + k.sigma*math.Sqrt2*math.Erfinv(2*u-1))
}

func (p *parzen) at(v any) float64 {
	low, high, _ := p.cell(v)
	sum := 0.0
	for _, k := range p.kernels {
		if low == high {
			z := (low - k.mean) / k.sigma
			sum += math.Exp(-z*z/2) / (k.sigma * math.Sqrt(2*math.Pi) * k.mass)
		} else {
			sum += (phi((high-k.mean)/k.sigma) - phi((low-k.mean)/k.sigma)) / k.mass
		}
	}
	return sum / float64(len(p.kernels))
}

// phi is the distribution function of the standard normal distribution.
func phi(z float64) float64 { return math.Erfc(-z/math.Sqrt2) / 2 }

// counts is a distribution over choices: how often each was seen, and once more.
type counts struct {
	axis
	upTo []float64 // the probability of the choices up to and with this one
}

func newCounts(a axis, values []any) *counts {
	k := len(a.Choice)
	seen := make([]float64, k)
	for _, v := range values {
		if i := a.which(v); i >= 0 {
			seen[i]++
		}
	}
	c := &counts{axis: a, upTo: make([]float64, k)}
	sum := 0.0
	for i, n := range seen {
		sum += (n + 1) / float64(len(values)+k)
		c.upTo[i] = sum
	}
	return c
}

func (c *counts) draw(s stream) any {
	u := s.unit() * c.upTo[len(c.upTo)-1]
	return c.Choice[min(sort.SearchFloat64s(c.upTo, u), len(c.Choice)-1)]
}

func (c *counts) at(v any) float64 {
	i := c.which(v)
	if i <= 0 {
		return c.upTo[0]
	}
	return c.upTo[i] - c.upTo[i-1]
}
