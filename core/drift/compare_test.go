package drift

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/profile"
)

// airports is a Zipf distribution over 229 names, like the origins of flights.
type airports struct{ cumulative [229]float64 }

func newAirports() *airports {
	a := &airports{}
	total := 0.0
	for i := range a.cumulative {
		total += 1 / math.Pow(float64(i+3), 1.1)
		a.cumulative[i] = total
	}
	for i := range a.cumulative {
		a.cumulative[i] /= total
	}
	return a
}

func (a *airports) draw(source *rand.Rand) string {
	return fmt.Sprintf("A%03d", min(sort.SearchFloat64s(a.cumulative[:], source.Float64()), 228))
}

// rowsOf draws n rows: a normal, a log-normal, two Zipf columns, a rare boolean
// and a near-unique key.
func rowsOf(t testing.TB, n int, seed uint64, change func(*rand.Rand, *row)) *profile.Profile {
	source, a := rand.New(rand.NewPCG(seed, 99)), newAirports()
	var normal, price []float64
	var origin, destination, key []string
	var late []bool
	for range n {
		r := row{source.NormFloat64(), math.Exp(5 + source.NormFloat64()), a.draw(source), a.draw(source), source.Float64() < .05}
		if change != nil {
			change(source, &r)
		}
		normal, price = append(normal, r.normal), append(price, r.price)
		origin, destination, late = append(origin, r.origin), append(destination, r.destination), append(late, r.late)
		key = append(key, fmt.Sprint(source.Uint64()))
	}
	b := profile.NewBuilder()
	b.Rows(n)
	b.Numeric("normal", normal, nil)
	b.Numeric("price", price, nil)
	b.String("origin", origin, nil)
	b.String("destination", destination, nil)
	b.String("key", key, nil)
	b.Boolean("late", late, nil)
	p, err := b.Build()
	require.NoError(t, err)
	return p
}

type row struct {
	normal, price       float64
	origin, destination string
	late                bool
}

// The control: rows of one distribution, at many sizes, must raise nothing, and
// the p-values must be about as small as p-values are by chance.
func TestNothingDriftsByChance(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{500, 500}, {1600, 1600}, {46_000, 1600}, {46_000, 11_500}, {11_500, 11_500}, {900, 20_000}} {
		trials := 12
		if size[0] > 20_000 {
			trials = 5 // big ones cost time and vary less
		}
		low, all := 0, 0
		for trial := range trials {
			seed := uint64(trial*1000 + size[0] + size[1])
			reference, current := rowsOf(t, size[0], seed, nil), rowsOf(t, size[1], seed+500, nil)
			report := Compare(reference, current, Options{})
			require.False(t, report.Drifted, "%v: %v", size, report.DriftedColumns())
			for _, c := range report.Columns {
				require.NotEmpty(t, c.Statistic, c.Reason)
				all++
				if c.P <= .05 {
					low++
				}
			}
		}
		// Twice the nominal rate plus three standard errors.
		require.Less(t, float64(low)/float64(all), .05+3*math.Sqrt(.05*.95/float64(all))+.02, "%v: %d of %d", size, low, all)
	}
}

func TestShiftsAreFound(t *testing.T) {
	t.Parallel()
	reference := rowsOf(t, 46_000, 1, nil)
	for column, change := range map[string]func(*rand.Rand, *row){
		"normal":      func(_ *rand.Rand, r *row) { r.normal += .3 },
		"price":       func(_ *rand.Rand, r *row) { r.price *= 1.5 },
		"origin":      func(s *rand.Rand, r *row) { r.origin = swap(s, r.origin, .15, "A007") },
		"destination": func(s *rand.Rand, r *row) { r.destination = swap(s, r.destination, .15, "new") },
		"late":        func(s *rand.Rand, r *row) { r.late = r.late || s.Float64() < .25 },
	} {
		for _, n := range []int{1600, 11_500} {
			report := Compare(reference, rowsOf(t, n, 2, change), Options{})
			require.Equal(t, []string{column}, report.DriftedColumns(), "n=%d", n)
			for _, c := range report.Columns {
				if c.Name != column {
					continue
				}
				require.Contains(t, c.Reason, column+" has drifted")
				require.Contains(t, c.Reason, "went from")
				require.LessOrEqual(t, c.AdjustedP, DefaultAlpha)
				require.Greater(t, c.Value, c.Threshold)
				require.Greater(t, c.PSI, c.PSIFloor)
			}
		}
	}
}

func swap(s *rand.Rand, from string, rate float64, to string) string {
	if s.Float64() < rate {
		return to
	}
	return from
}

// With many rows a trifle is significant; it must not fire, and the reason must
// say that it is known.
func TestSignificantTriflesStaySilent(t *testing.T) {
	t.Parallel()
	report := Compare(rowsOf(t, 46_000, 1, nil), rowsOf(t, 46_000, 2, func(s *rand.Rand, r *row) {
		r.normal += .05
		r.origin = swap(s, r.origin, .02, "late-comer")
	}), Options{Columns: []string{"normal", "origin"}})
	require.False(t, report.Drifted)
	for _, c := range report.Columns {
		require.Less(t, c.AdjustedP, 1e-6, c.Name)
		require.Contains(t, c.Reason, "more than chance")
	}
}

// A column of keys overflows the exact counts: it is judged by hash, silent
// when the keys are merely new, and found when they pile up.
func TestHighCardinality(t *testing.T) {
	t.Parallel()
	keys := func(n int, seed uint64, piled float64) *profile.Profile {
		s := rand.New(rand.NewPCG(seed, 5))
		var column []string
		for range n {
			column = append(column, swap(s, fmt.Sprint(s.Uint64()), piled, "anonymous"))
		}
		b := profile.NewBuilder()
		b.String("key", column, nil)
		p, err := b.Build()
		require.NoError(t, err)
		return p
	}
	reference := keys(20_000, 1, 0)
	for _, n := range []int{600, 5000} { // exact on one side, on neither
		require.False(t, Compare(reference, keys(n, 2, 0), Options{}).Drifted, n)
		report := Compare(reference, keys(n, 3, .3), Options{})
		require.True(t, report.Drifted, n)
		require.Contains(t, report.Columns[0].Reason, "too many values")
	}
	// Exact on both sides, no key in common: by chance alone just as far apart.
	require.False(t, Compare(keys(800, 1, 0), keys(700, 2, 0), Options{}).Drifted)
}

// The analytic nulls must be what permuting the rows shows.
func TestNullsAgreeWithPermutation(t *testing.T) {
	t.Parallel()
	source, a := rand.New(rand.NewPCG(3, 3)), newAirports()
	for _, size := range [][2]int{{11_500, 1600}, {1600, 1600}} {
		n, m := size[0], size[1]
		words, numbers := make([]string, n+m), make([]float64, n+m)
		for i := range words {
			words[i], numbers[i] = a.draw(source), math.Exp(5+source.NormFloat64())
		}
		split := func() (x, y *profile.Profile) {
			source.Shuffle(n+m, func(i, j int) {
				words[i], words[j] = words[j], words[i]
				numbers[i], numbers[j] = numbers[j], numbers[i]
			})
			side := func(from, to int) *profile.Profile {
				b := profile.NewBuilder()
				b.String("word", words[from:to], nil)
				b.Numeric("number", numbers[from:to], nil)
				p, err := b.Build()
				require.NoError(t, err)
				return p
			}
			return side(0, n), side(n, n+m)
		}
		var js, wasserstein []float64
		var forWords, forNumbers null
		for range 200 {
			x, y := split()
			p, q, _ := categoryCounts(x.Column("word").Categories, y.Column("word").Categories)
			distance := JensenShannon(p, q, math.E)
			js, forWords = append(js, distance*distance), divergenceNull(p, q)
			dx, dy := x.Column("number").Numbers.Distribution(), y.Column("number").Numbers.Distribution()
			wasserstein = append(wasserstein, massWasserstein(dx, dy))
			forNumbers = wassersteinNull(pool(dx, dy), float64(n), float64(m))
		}
		for name, c := range map[string]struct {
			seen     []float64
			expected null
		}{"js": {js, forWords}, "wasserstein": {wasserstein, forNumbers}} {
			mean := sum(c.seen) / 200
			require.InEpsilon(t, c.expected.mean, mean, .08, "%s %v", name, size)
			require.InEpsilon(t, math.Sqrt(c.expected.variance), SD(c.seen), .25, "%s %v", name, size)
			above := 0
			for _, v := range c.seen {
				if v > c.expected.quantile(.95) {
					above++
				}
			}
			require.InDelta(t, 10, above, 11, "%s %v: 5 %% of 200", name, size)
		}
	}
}

// The stated error of the sketch's distance against the samples' own.
func TestSketchWassersteinIsWithinItsError(t *testing.T) {
	t.Parallel()
	source := rand.New(rand.NewPCG(8, 8))
	for _, shift := range []float64{0, .01, .3, 4} {
		var a, b []float64
		for range 5000 {
			a, b = append(a, source.NormFloat64()), append(b, source.NormFloat64()*1.1+shift)
		}
		side := func(v []float64) *profile.Numbers {
			build := profile.NewBuilder()
			build.Numeric("x", v, nil)
			p, err := build.Build()
			require.NoError(t, err)
			return p.Column("x").Numbers
		}
		size := 0.0
		for i := range a {
			size += (math.Abs(a[i]) + math.Abs(b[i])) / 5000
		}
		got := massWasserstein(side(a).Distribution(), side(b).Distribution())
		require.InDelta(t, Wasserstein(a, b), got, profile.Accuracy*size)
		require.Zero(t, massWasserstein(side(a).Distribution(), side(a).Distribution()))
	}
}

func TestWhatCannotBeJudgedSaysSo(t *testing.T) {
	t.Parallel()
	build := func(fill func(*profile.Builder)) *profile.Profile {
		b := profile.NewBuilder()
		fill(b)
		p, err := b.Build()
		require.NoError(t, err)
		return p
	}
	constant := func(v float64, n int) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = v
		}
		return out
	}
	reference := build(func(b *profile.Builder) {
		b.Numeric("few", constant(1, 499), nil)
		b.Numeric("same", constant(5, 1000), nil)
		b.Numeric("moved", constant(5, 1000), nil)
		b.Numeric("huge", append(constant(math.MaxFloat64, 1000), constant(-math.MaxFloat64, 1000)...), nil)
		b.Numeric("kind", constant(5, 1000), nil)
		b.Timestamp("when", make([]int64, 1000), nil)
		b.Numeric("gone", constant(5, 1000), nil)
	})
	current := build(func(b *profile.Builder) {
		b.Numeric("few", constant(9, 5000), nil)
		b.Numeric("same", constant(5, 1000), nil)
		b.Numeric("moved", constant(7, 1000), nil)
		b.Numeric("huge", constant(-math.MaxFloat64, 1000), nil)
		b.String("kind", make([]string, 1000), nil)
		b.Timestamp("when", make([]int64, 1000), nil)
		b.Numeric("new", constant(5, 1000), nil)
	})
	report := Compare(reference, current, Options{Columns: []string{"few", "same", "moved", "huge", "kind", "when", "gone", "new", "none"}})
	require.Equal(t, []string{"moved"}, report.DriftedColumns())
	for i, want := range []string{
		"each side needs 500", "chance alone", "mean went from 5 to 7", "too large", "was numeric and is now string",
		"timestamp", "missing", "is new", "in neither",
	} {
		require.Contains(t, report.Columns[i].Reason, want)
	}
	_, err := json.Marshal(report)
	require.NoError(t, err)
	require.Len(t, Compare(reference, current, Options{}).Columns, 5) // shared, without the timestamp
}

func BenchmarkCompare(b *testing.B) {
	x, y := rowsOf(b, 46_000, 1, nil), rowsOf(b, 11_500, 2, nil)
	for b.Loop() {
		Compare(x, y, Options{})
	}
}
