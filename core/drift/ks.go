package drift

import "math"

// KS is the two-sample Kolmogorov-Smirnov statistic: the largest distance of
// the samples' distribution functions. NaN for an empty sample.
func KS(a, b []float64) float64 {
	if len(a) == 0 || len(b) == 0 {
		return math.NaN()
	}
	a, b = ascending(a), ascending(b)
	far, i, j := 0.0, 0, 0
	for i < len(a) && j < len(b) {
		at := min(a[i], b[j])
		for i < len(a) && a[i] == at {
			i++
		}
		for j < len(b) && b[j] == at {
			j++
		}
		far = max(far, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	return far
}

// KSExactP is the probability of a statistic of at least d between samples of n
// and m values without ties (Hodges 1958); with ties it is conservative. It
// takes O(n·m) steps: use [KSAsymptoticP] beyond some ten million.
func KSExactP(d float64, n, m int) float64 {
	// In units of 1/lcm the two distribution functions are whole numbers.
	common := n / gcd(n, m) * m
	up, across := common/n, common/m
	limit := int(math.Round(d * float64(common)))
	if limit <= 0 {
		return 1
	}
	// Walk all orders in which the values can come, and gather the probability
	// of those that first reach the limit here: a sum of positive terms, which
	// loses no digits when p is tiny.
	inside := make([]float64, m+1) // by j, for the current i
	reached := 0.0
	for i := 0; i <= n; i++ {
		for j := 0; j <= m; j++ {
			p := 0.0
			if i == 0 && j == 0 {
				p = 1
			}
			left := float64(n + m - i - j + 1) // values not yet drawn one step before
			if i > 0 {
				p += inside[j] * float64(n-i+1) / left
			}
			if j > 0 {
				p += inside[j-1] * float64(m-j+1) / left
			}
			if distance := i*up - j*across; distance >= limit || -distance >= limit {
				reached += p
				p = 0
			}
			inside[j] = p
		}
	}
	return min(reached, 1)
}

// KSAsymptoticP takes the one-sample distribution at the effective size
// n·m/(n+m), rounded to a whole number, as scipy does. Far out it is twice the
// exact one-sided tail (Birnbaum and Tingey 1951), closer in the Kolmogorov
// series with the correction of Vrbik (2018), within 1e-3.
func KSAsymptoticP(d float64, n, m int) float64 {
	size := math.RoundToEven(float64(n) * float64(m) / float64(n+m))
	switch {
	case !(d > 0):
		return 1
	case d >= 1:
		return 0
	case size*d*d >= 4 && size <= 1e6:
		return min(1, 2*oneSidedTail(size, d))
	}
	z := d * math.Sqrt(size)
	z += 1/(6*math.Sqrt(size)) + (z-1)/(4*size)
	return kolmogorovTail(z)
}

// oneSidedTail is the probability that a one-sided statistic of n values is at
// least d.
func oneSidedTail(n, d float64) float64 {
	total := 0.0
	all, _ := math.Lgamma(n + 1)
	for j := 0.0; j <= n*(1-d); j++ {
		a, _ := math.Lgamma(j + 1)
		b, _ := math.Lgamma(n - j + 1)
		below := 1 - d - j/n
		term := all - a - b + (j-1)*math.Log(d+j/n)
		if n-j > 0 {
			if below <= 0 {
				continue
			}
			term += (n - j) * math.Log(below)
		}
		total += math.Exp(term)
	}
	return d * total
}

func kolmogorovTail(z float64) float64 {
	if z < 0.2 {
		return 1
	}
	total, sign := 0.0, 1.0
	for k := 1.0; k < 200; k++ {
		term := math.Exp(-2 * k * k * z * z)
		total += sign * term
		if term < 1e-18 {
			break
		}
		sign = -sign
	}
	return min(max(2*total, 0), 1)
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
