package profile

import (
	"cmp"
	"math"
	"slices"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

// Bucket is a DDSketch bucket: values v with base^(Index) <= |v| < base^(Index+1).
type Bucket struct {
	Index int   `json:"i"`
	Count int64 `json:"n"`
}

// Numbers summarises finite numbers: exact count, extremes and moments, and the
// buckets of a DDSketch.
type Numbers struct {
	Count    int64    `json:"count"`
	Min      float64  `json:"min"` // 0 when Count is 0
	Max      float64  `json:"max"`
	Mean     float64  `json:"mean"`
	M2       float64  `json:"m2"` // sum of squared distances from the mean
	Zero     int64    `json:"zero,omitempty"`
	Positive []Bucket `json:"positive,omitempty"` // ascending by index
	Negative []Bucket `json:"negative,omitempty"` // of -v, ascending by index
}

// SD is the population standard deviation.
func (n *Numbers) SD() float64 {
	if n.Count == 0 {
		return 0
	}
	return math.Sqrt(n.M2 / float64(n.Count))
}

// Sum is the sum of the values.
func (n *Numbers) Sum() float64 { return n.Mean * float64(n.Count) }

// Mass is a number of values at one representative value.
type Mass struct {
	Value float64
	Count int64
}

// Distribution lists the buckets as masses at their representatives, ascending.
// A representative is within [Accuracy] of each value it stands for. Two
// profiles give equal representatives for equal buckets.
func (n *Numbers) Distribution() []Mass {
	m := newMapping()
	out := make([]Mass, 0, len(n.Negative)+1+len(n.Positive))
	for _, b := range slices.Backward(n.Negative) {
		out = append(out, Mass{-m.Value(b.Index), b.Count})
	}
	if n.Zero > 0 {
		out = append(out, Mass{0, n.Zero})
	}
	for _, b := range n.Positive {
		out = append(out, Mass{m.Value(b.Index), b.Count})
	}
	return out
}

// Quantile is the value below which a share q of the values lies, within
// [Accuracy], and never outside the exact extremes. NaN when there are none.
func (n *Numbers) Quantile(q float64) float64 {
	if n.Count == 0 || !(q >= 0 && q <= 1) {
		return math.NaN()
	}
	rank, seen := q*float64(n.Count-1), int64(0)
	for _, m := range n.Distribution() {
		if seen += m.Count; float64(seen) > rank {
			return min(max(m.Value, n.Min), n.Max)
		}
	}
	return n.Max
}

func newMapping() *mapping.LogarithmicMapping {
	m, err := mapping.NewLogarithmicMapping(Accuracy)
	if err != nil {
		panic(err) // only for an accuracy outside (0, 1), and ours is a constant
	}
	return m
}

// moments are count, extremes, mean and M2 of a set of numbers.
func (n *Numbers) moments(o Numbers) {
	switch {
	case o.Count == 0:
		return
	case n.Count == 0:
		n.Count, n.Min, n.Max, n.Mean, n.M2 = o.Count, o.Min, o.Max, o.Mean, o.M2
		return
	}
	// Chan, Golub and LeVeque 1979.
	a, b := float64(n.Count), float64(o.Count)
	delta := o.Mean - n.Mean
	n.Mean = saturate(n.Mean + delta*(b/(a+b)))
	n.M2 = saturate(n.M2 + o.M2 + delta*delta*(a*(b/(a+b))))
	n.Count += o.Count
	n.Min, n.Max = min(n.Min, o.Min), max(n.Max, o.Max)
}

// saturate keeps moments of values near the end of the range representable:
// JSON has no infinity.
func saturate(v float64) float64 {
	if math.IsNaN(v) {
		return math.MaxFloat64
	}
	return min(max(v, -math.MaxFloat64), math.MaxFloat64)
}

func (n Numbers) merge(o Numbers) Numbers {
	n.moments(o)
	n.Zero += o.Zero
	n.Positive = mergeBuckets(n.Positive, o.Positive)
	n.Negative = mergeBuckets(n.Negative, o.Negative)
	return n
}

func mergeBuckets(a, b []Bucket) []Bucket {
	if len(a) == 0 || len(b) == 0 {
		return slices.Concat(a, b)
	}
	out := make([]Bucket, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Index < b[0].Index:
			out, a = append(out, a[0]), a[1:]
		case a[0].Index > b[0].Index:
			out, b = append(out, b[0]), b[1:]
		default:
			out = append(out, Bucket{a[0].Index, a[0].Count + b[0].Count})
			a, b = a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// numberBuilder gathers numbers in a live sketch.
type numberBuilder struct {
	sketch  *ddsketch.DDSketch
	limit   float64
	numbers Numbers
}

func newNumberBuilder() *numberBuilder {
	m := newMapping()
	return &numberBuilder{
		sketch: ddsketch.NewDDSketchFromStoreProvider(m, store.BufferedPaginatedStoreConstructor),
		limit:  m.MaxIndexableValue(),
	}
}

// add takes a batch, and gives how many values were null and not finite.
func (b *numberBuilder) add(values []float64, valid []bool) (nulls, nonFinite int64) {
	batch := Numbers{Min: math.Inf(1), Max: math.Inf(-1)}
	total := 0.0
	for i, v := range values {
		switch {
		case valid != nil && !valid[i]:
			nulls++
			continue
		case v-v != 0: // NaN or infinite
			nonFinite++
			continue
		}
		batch.Count++
		total += v
		batch.Min, batch.Max = min(batch.Min, v), max(batch.Max, v)
		// The ends of the float range lie beyond the sketch's last bucket: they
		// count in it. The error cannot happen for a finite value within it.
		_ = b.sketch.Add(min(max(v, -b.limit), b.limit))
	}
	if batch.Count == 0 {
		return nulls, nonFinite
	}
	// A second pass: distances from a known mean lose no digits.
	batch.Mean = saturate(total / float64(batch.Count))
	for i, v := range values {
		if (valid == nil || valid[i]) && v-v == 0 {
			d := v - batch.Mean
			batch.M2 += d * d
		}
	}
	batch.M2 = saturate(batch.M2)
	b.numbers.moments(batch)
	return nulls, nonFinite
}

func (b *numberBuilder) build() Numbers {
	n := b.numbers
	n.Zero = int64(b.sketch.GetZeroCount())
	n.Positive = buckets(b.sketch.GetPositiveValueStore())
	n.Negative = buckets(b.sketch.GetNegativeValueStore())
	return n
}

func buckets(s store.Store) []Bucket {
	var out []Bucket
	s.ForEach(func(index int, count float64) bool {
		out = append(out, Bucket{index, int64(math.Round(count))})
		return false
	})
	slices.SortFunc(out, func(a, b Bucket) int { return cmp.Compare(a.Index, b.Index) })
	return out
}
