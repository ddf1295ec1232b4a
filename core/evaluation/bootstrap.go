package evaluation

import (
	"math"
	"math/rand/v2"
	"slices"
)

// side says whose scores a bootstrap series belongs to.
type side int

const (
	candidateSide side = iota
	championSide
)

// seriesKey names one bootstrap series: a metric of one side.
type seriesKey struct {
	metric string
	side   side
}

// bootstrap draws the rows with replacement and measures both sides on the same
// draws, so that a difference of two series is a paired one (Efron and
// Tibshirani 1993). Gates on the same metric share their series.
type bootstrap struct {
	weight   []float64 // nil: every row counts 1
	rows     int
	measures map[seriesKey]measure
	order    []seriesKey // for determinism
}

func newBootstrap(s *Scored) *bootstrap {
	return &bootstrap{weight: s.Weight, rows: s.Len(), measures: map[seriesKey]measure{}}
}

func (b *bootstrap) add(key seriesKey, m measure) {
	if _, ok := b.measures[key]; !ok {
		b.measures[key] = m
		b.order = append(b.order, key)
	}
}

// run gives each series, one value per resample; NaN where a metric was
// undefined on the rows drawn. The same seed gives the same series.
func (b *bootstrap) run(seed uint64, resamples int) map[seriesKey][]float64 {
	out := make(map[seriesKey][]float64, len(b.order))
	for _, key := range b.order {
		out[key] = make([]float64, resamples)
	}
	source := rand.NewPCG(seed, 0x7469_6465_6d69_6c6c)
	w := make([]float64, b.rows)
	for r := range resamples {
		b.draw(source, w)
		for _, key := range b.order {
			out[key][r] = b.measures[key](w)
		}
	}
	return out
}

// draw fills w with the weights of one resample: how often each row was drawn,
// times its own weight.
func (b *bootstrap) draw(source *rand.PCG, w []float64) {
	clear(w)
	n := uint64(len(w))
	// Two 32-bit indices from each 64-bit word, by multiplication. The bias, n
	// in 2^32, is far below what a thousand resamples can see.
	for k := 0; k < len(w); k += 2 {
		word := source.Uint64()
		w[(word>>32)*n>>32]++
		if k+1 < len(w) {
			w[(word&math.MaxUint32)*n>>32]++
		}
	}
	for i, own := range b.weight {
		w[i] *= own
	}
}

// undefinedShare is how many resamples may leave a metric undefined before its
// interval means nothing.
const undefinedShare = 0.05

// interval is the two-sided percentile interval of a series. ok is false when
// too many resamples were undefined.
func interval(series []float64, confidence float64) (lower, upper float64, ok bool) {
	values := make([]float64, 0, len(series))
	for _, v := range series {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			values = append(values, v)
		}
	}
	if len(values) == 0 || float64(len(values)) < (1-undefinedShare)*float64(len(series)) {
		return 0, 0, false
	}
	slices.Sort(values)
	tail := (1 - confidence) / 2
	return quantile(values, tail), quantile(values, 1-tail), true
}

// quantile interpolates linearly between the values around place q*(n-1).
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}
