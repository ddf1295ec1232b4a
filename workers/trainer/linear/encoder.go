package linear

import (
	"math"
	"slices"

	"github.com/tidemill/tidemill/core/model"
)

// scale standardises one numeric feature: (x - mean) / deviation. Both are float32 values, since the graph uses them so.
type scale struct {
	column          int // in the batch
	mean, deviation float64
}

// vocabulary gives the categories of one string feature their places.
type vocabulary struct {
	column     int      // in the batch
	categories []string // sorted
	offset     int      // of its first category among the weights of one output
}

// encoder turns features into weights' places. The weights of one output are: the intercept, one per numeric feature, one
// per category.
type encoder struct {
	numeric []scale
	text    []vocabulary
	width   int // weights per output
}

// counts are how much each row counts, shape [N]; nil: each counts 1.
type counts []float64

func (c counts) of(row int) float64 {
	if c == nil {
		return 1
	}
	return c[row]
}

// sum is what n rows count in all.
func (c counts) sum(n int) float64 {
	if c == nil {
		return float64(n)
	}
	sum := 0.0
	for _, v := range c {
		sum += v
	}
	return sum
}

// newEncoder learns means, deviations and categories from the batch. Rows that count 0 teach nothing.
func newEncoder(features []model.Feature, b model.Batch, c counts, minCount int) encoder {
	var e encoder
	for i, f := range features {
		if f.Kind == model.KindNumeric {
			e.numeric = append(e.numeric, newScale(i, b.Columns[i].Numeric, c))
		}
	}
	e.width = 1 + len(e.numeric)
	for i, f := range features {
		if f.Kind != model.KindString {
			continue
		}
		v := vocabulary{column: i, categories: categories(b.Columns[i].Text, c, minCount), offset: e.width}
		e.width += len(v.categories)
		e.text = append(e.text, v)
	}
	return e
}

// newScale takes mean and population deviation of the finite values; a constant or empty column has deviation 1.
func newScale(column int, x []float32, c counts) scale {
	n, sum := 0.0, 0.0
	for i, v := range x {
		if finite(v) {
			n += c.of(i)
			sum += c.of(i) * float64(v)
		}
	}
	s := scale{column: column, deviation: 1}
	if n == 0 {
		return s
	}
	s.mean = float64(float32(sum / n))
	squares := 0.0
	for i, v := range x {
		if finite(v) {
			d := float64(v) - s.mean
			squares += c.of(i) * d * d
		}
	}
	// Below float32's resolution of the values, a deviation is noise.
	if d := float64(float32(math.Sqrt(squares / n))); d > 1e-7*math.Abs(s.mean) && d > 0 {
		s.deviation = d
	}
	return s
}

func finite(v float32) bool { return v-v == 0 }

func categories(text []string, c counts, minCount int) []string {
	seen := map[string]int{}
	for i, s := range text {
		if c.of(i) > 0 {
			seen[s]++
		}
	}
	var out []string
	for s, n := range seen {
		if n >= minCount {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

// rows is an encoded batch: row-major standardised numbers, shape [N, numeric], and places of categories among the weights,
// shape [N, text]; a category without a place has -1. A row's other weights don't touch it: nothing is stored for them.
type rows struct {
	n, m, s int // rows, numeric features, string features
	numeric []float64
	places  []int32
}

// row is one row's numbers and places.
func (r *rows) row(i int) ([]float64, []int32) {
	return r.numeric[i*r.m : (i+1)*r.m], r.places[i*r.s : (i+1)*r.s]
}

func (e *encoder) encode(b model.Batch) rows {
	r := rows{n: b.N, m: len(e.numeric), s: len(e.text)}
	r.numeric, r.places = make([]float64, r.n*r.m), make([]int32, r.n*r.s)
	for j, s := range e.numeric {
		for i, v := range b.Columns[s.column].Numeric {
			if finite(v) { // else the mean, which is 0 when standardised
				r.numeric[i*r.m+j] = (float64(v) - s.mean) / s.deviation
			}
		}
	}
	for j, v := range e.text {
		place := make(map[string]int32, len(v.categories))
		for k, c := range v.categories {
			place[c] = int32(v.offset + k)
		}
		for i, s := range b.Columns[v.column].Text {
			p, ok := place[s]
			if !ok {
				p = -1
			}
			r.places[i*r.s+j] = p
		}
	}
	return r
}
