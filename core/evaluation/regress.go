package evaluation

import "math"

func (p *prepared) regression(name string) measure {
	s := p.s
	gap := rows(s, func(i int) float64 { return s.Scores[i] - s.Label[i] })
	absolute := func() []float64 { return rows(s, func(i int) float64 { return math.Abs(gap[i]) }) }
	squared := func() []float64 { return rows(s, func(i int) float64 { return gap[i] * gap[i] }) }
	switch name {
	case "mae":
		return meanOf(absolute())
	case "rmse":
		mean := meanOf(squared())
		return func(w []float64) float64 { return math.Sqrt(mean(w)) }
	case "mape":
		// A label of zero has no percentage: such rows are left out, not
		// divided by a tiny number.
		has := rows(s, func(i int) float64 { return indicator(s.Label[i] != 0) })
		part := rows(s, func(i int) float64 {
			if s.Label[i] == 0 {
				return 0
			}
			return math.Abs(gap[i] / s.Label[i])
		})
		return func(w []float64) float64 { return dot(w, part) / dot(w, has) }
	case "wape":
		size, off := rows(s, func(i int) float64 { return math.Abs(s.Label[i]) }), absolute()
		return func(w []float64) float64 { return dot(w, off) / dot(w, size) }
	case "r2":
		return explained(s, squared())
	}
	return undefined
}

// explained is 1 - residual over total sum of squares, NaN when the label does
// not vary.
func explained(s *Scored, squared []float64) measure {
	// Centred first: the difference of two large sums would lose the digits.
	mean := sum(s.Label) / float64(max(s.Len(), 1))
	y := rows(s, func(i int) float64 { return s.Label[i] - mean })
	yy := rows(s, func(i int) float64 { return y[i] * y[i] })
	noise := 1e-24 * mean * mean * float64(s.Len()) // what rounding leaves of a constant label
	return func(w []float64) float64 {
		off := dot(w, y)
		total := dot(w, yy) - off*off/sum(w)
		if total <= noise {
			return math.NaN()
		}
		return 1 - dot(w, squared)/total
	}
}
