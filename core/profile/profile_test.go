package profile

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// table is rows of every kind, with holes.
type table struct {
	numbers []float64
	words   []string
	truths  []bool
	times   []int64
	valid   []bool
}

func (t table) slice(from, to int) table {
	return table{t.numbers[from:to], t.words[from:to], t.truths[from:to], t.times[from:to], t.valid[from:to]}
}

func (t table) profile(tb require.TestingT, cuts ...int) *Profile {
	b := NewBuilder()
	from := 0
	for _, to := range append(slices.Clone(cuts), len(t.numbers)) {
		s := t.slice(from, to)
		b.Rows(len(s.numbers))
		b.EventTimes(s.times)
		b.Numeric("number", s.numbers, s.valid)
		b.String("word", s.words, s.valid)
		b.Boolean("truth", s.truths, s.valid)
		b.Timestamp("time", s.times, s.valid)
		from = to
	}
	p, err := b.Build()
	require.NoError(tb, err)
	return p
}

func drawTable(t *rapid.T, distinct int) table {
	n := rapid.IntRange(0, 300).Draw(t, "rows")
	number := rapid.OneOf(
		rapid.Float64Range(-1e6, 1e6), rapid.Float64Range(-1, 1), rapid.Just(0.0), rapid.Just(math.NaN()), rapid.Just(math.Inf(1)),
		rapid.Just(5e-324),
	)
	return table{
		numbers: rapid.SliceOfN(number, n, n).Draw(t, "numbers"),
		words: rapid.SliceOfN(rapid.Map(rapid.IntRange(0, distinct), func(i int) string { return fmt.Sprint("w", i) }), n, n).
			Draw(t, "words"),
		truths: rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "truths"),
		times:  rapid.SliceOfN(rapid.Int64Range(-1e15, 1e15), n, n).Draw(t, "times"),
		valid:  rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "valid"),
	}
}

// sameProfile compares all but rounding of the moments.
func sameProfile(t require.TestingT, want, got *Profile) {
	w, g := strip(want), strip(got)
	require.Equal(t, w, g)
	for i, c := range want.Columns {
		if c.Numbers == nil {
			continue
		}
		o := got.Columns[i].Numbers
		size := max(math.Abs(c.Numbers.Min), math.Abs(c.Numbers.Max), 1e-300)
		require.InDelta(t, c.Numbers.Mean/size, o.Mean/size, 1e-9)
		require.InDelta(t, c.Numbers.SD()/size, o.SD()/size, 1e-9)
	}
}

func strip(p *Profile) Profile {
	out := *p
	out.Columns = slices.Clone(p.Columns)
	for i, c := range out.Columns {
		if c.Numbers != nil {
			n := *c.Numbers
			n.Mean, n.M2 = 0, 0
			if len(n.Positive) == 0 {
				n.Positive = nil
			}
			if len(n.Negative) == 0 {
				n.Negative = nil
			}
			out.Columns[i].Numbers = &n
		}
	}
	return out
}

func TestMergeEqualsUnion(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := drawTable(t, 50)
		whole := rows.profile(t)
		n := len(rows.numbers)
		a, b := rapid.IntRange(0, n).Draw(t, "cut"), rapid.IntRange(0, n).Draw(t, "cut")
		a, b = min(a, b), max(a, b)
		x, y, z := rows.slice(0, a).profile(t), rows.slice(a, b).profile(t), rows.slice(b, n).profile(t)

		xy, err := Merge(x, y)
		require.NoError(t, err)
		left, err := Merge(xy, z)
		require.NoError(t, err)
		yz, err := Merge(y, z)
		require.NoError(t, err)
		right, err := Merge(x, yz)
		require.NoError(t, err)
		turned, err := Merge(yz, x)
		require.NoError(t, err)

		sameProfile(t, whole, left)
		sameProfile(t, whole, right)
		sameProfile(t, whole, turned)
		sameProfile(t, whole, rows.profile(t, a, b)) // batches of one builder
	})
}

func TestMergeLeavesItsInputs(t *testing.T) {
	t.Parallel()
	a, b := zipfProfile(t, 4000, 1500, 1), zipfProfile(t, 4000, 1500, 2)
	before, err := a.Encode()
	require.NoError(t, err)
	_, err = Merge(a, b)
	require.NoError(t, err)
	after, err := a.Encode()
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func zipfProfile(t testing.TB, n, distinct int, seed uint64) *Profile {
	b := NewBuilder()
	b.String("word", zipf(n, distinct, seed), nil)
	p, err := b.Build()
	require.NoError(t, err)
	return p
}

func zipf(n, distinct int, seed uint64) []string {
	z := rand.NewZipf(rand.New(rand.NewPCG(seed, 0)), 1.2, 1, uint64(distinct-1))
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint("w", z.Uint64())
	}
	return out
}

func TestBeyondTheCapTheErrorIsStated(t *testing.T) {
	t.Parallel()
	words := zipf(200_000, 50_000, 3)
	truth := map[string]int64{}
	for _, w := range words {
		truth[w]++
	}
	require.Greater(t, len(truth), 16*CategoryCap/2)
	parts := make([]*Profile, 0, 4)
	for part := range slices.Chunk(words, 50_000) {
		b := NewBuilder()
		b.String("word", part, nil)
		p, err := b.Build()
		require.NoError(t, err)
		parts = append(parts, p)
	}
	merged, err := MergeAll(parts...)
	require.NoError(t, err)
	whole := NewBuilder()
	whole.String("word", words, nil)
	direct, err := whole.Build()
	require.NoError(t, err)

	for name, p := range map[string]*Profile{"merged": merged, "direct": direct} {
		c := p.Column("word").Categories
		require.False(t, c.Exact)
		require.LessOrEqual(t, len(c.Counts), CategoryCap)
		require.LessOrEqual(t, c.Undercount, int64(len(words)/CategoryCap), name)
		for w, n := range truth {
			require.LessOrEqual(t, c.Counts[w], n, w)
			require.GreaterOrEqual(t, c.Counts[w]+c.Undercount, n, w)
		}
		require.InEpsilon(t, len(truth), c.Distinct(), .06)
		require.Equal(t, []string{"w0", "w1", "w2"}, c.Top(3))
		require.Less(t, c.Sum(), p.Column("word").Count)
	}
	// Distinct counts are a maximum over registers: the same however merged.
	require.Equal(t, direct.Column("word").Categories.Registers, merged.Column("word").Categories.Registers)
	// Hashed counts are sums of every value: the same too, and the same as
	// counting the truth.
	exact := Categories{Counts: truth, Exact: true}
	require.Equal(t, exact.HashCounts(), direct.Column("word").Categories.Hashed)
	require.Equal(t, exact.HashCounts(), merged.Column("word").Categories.Hashed)
}

func TestCrossingTheCapInAMerge(t *testing.T) {
	t.Parallel()
	half := func(from, to int) *Profile {
		b := NewBuilder()
		for i := from; i < to; i++ {
			b.String("word", []string{fmt.Sprint(i)}, nil)
		}
		p, err := b.Build()
		require.NoError(t, err)
		return p
	}
	exact, err := Merge(half(0, 600), half(400, 1000))
	require.NoError(t, err)
	require.True(t, exact.Column("word").Categories.Exact)
	require.EqualValues(t, 1000, exact.Column("word").Categories.Distinct())
	over, err := Merge(half(0, 600), half(401, 1001))
	require.NoError(t, err)
	require.False(t, over.Column("word").Categories.Exact)
	require.Equal(t, half(0, 1001).Column("word").Categories.Registers, over.Column("word").Categories.Registers)
}

func TestQuantilesAreWithinTheAccuracy(t *testing.T) {
	t.Parallel()
	source := rand.New(rand.NewPCG(1, 2))
	values := make([]float64, 20_001)
	for i := range values {
		values[i] = 500 * source.NormFloat64()
	}
	b := NewBuilder()
	b.Numeric("x", values, nil)
	p, err := b.Build()
	require.NoError(t, err)
	slices.Sort(values)
	n := p.Column("x").Numbers
	for _, q := range []float64{0, .01, .1, .25, .5, .9, .99, 1} {
		want := values[int(math.Round(q*20_000))]
		require.InDelta(t, want, n.Quantile(q), Accuracy*math.Abs(want)+1e-9, "q=%v", q)
	}
	require.Equal(t, values[0], n.Min)
	require.Equal(t, values[20_000], n.Max)
	require.True(t, math.IsNaN((&Numbers{}).Quantile(.5)))
}

func TestTheEndsOfTheFloatRange(t *testing.T) {
	t.Parallel()
	b := NewBuilder()
	b.Numeric("x", []float64{math.MaxFloat64, math.MaxFloat64, -math.MaxFloat64, 5e-324, 0}, nil)
	p, err := b.Build()
	require.NoError(t, err)
	both, err := Merge(p, p)
	require.NoError(t, err)
	data, err := both.Encode()
	require.NoError(t, err)
	back, err := Decode(data)
	require.NoError(t, err)
	require.EqualValues(t, 10, back.Column("x").Numbers.Count)
}

func TestEncodingIsDeterministicAndLossless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := drawTable(t, 50)
		a, err := rows.profile(t).Encode()
		require.NoError(t, err)
		b, err := rows.profile(t).Encode()
		require.NoError(t, err)
		require.Equal(t, a, b)
		back, err := Decode(a)
		require.NoError(t, err)
		again, err := back.Encode()
		require.NoError(t, err)
		require.Equal(t, string(a), string(again))
	})
	p := zipfProfile(t, 4000, 3000, 1)
	a, err := p.Encode()
	require.NoError(t, err)
	back, err := Decode(a)
	require.NoError(t, err)
	require.Equal(t, p, back)
}

func TestOddStringsStayApart(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 300)
	b := NewBuilder()
	b.String("s", []string{"\xff", "\xfe", "\xff", long + "a", long + "b", ""}, nil)
	p, err := b.Build()
	require.NoError(t, err)
	require.Len(t, p.Column("s").Categories.Counts, 5)
	data, err := p.Encode()
	require.NoError(t, err)
	back, err := Decode(data)
	require.NoError(t, err)
	require.Equal(t, p, back)
}

func TestMistakesAreTold(t *testing.T) {
	t.Parallel()
	b := NewBuilder()
	b.Numeric("x", []float64{1}, nil)
	b.String("x", []string{"a"}, nil)
	_, err := b.Build()
	require.ErrorContains(t, err, "column x was numeric and is now string")

	b = NewBuilder()
	b.Numeric("x", []float64{1}, []bool{true, false})
	_, err = b.Build()
	require.ErrorContains(t, err, "1 values and 2 validity marks")

	x, y := NewBuilder(), NewBuilder()
	x.Numeric("x", nil, nil)
	y.Boolean("x", nil, nil)
	px, err := x.Build()
	require.NoError(t, err)
	py, err := y.Build()
	require.NoError(t, err)
	_, err = Merge(px, py)
	require.ErrorContains(t, err, "numeric in one profile and boolean in the other")
}

func TestSpanAndShares(t *testing.T) {
	t.Parallel()
	b := NewBuilder()
	b.Rows(3)
	b.EventTimes([]int64{3e6, 1e6, 2e6})
	b.Numeric("x", []float64{1, math.NaN(), 3}, []bool{true, true, false})
	p, err := b.Build()
	require.NoError(t, err)
	require.Equal(t, time.Unix(1, 0).UTC(), p.MinTime)
	require.Equal(t, time.Unix(3, 0).UTC(), p.MaxTime)
	require.EqualValues(t, 1, p.Column("x").Count)
	require.InDelta(t, 2./3, p.Column("x").NullShare(), 1e-12)
	require.Nil(t, p.Column("y"))
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for data, message := range map[string]string{
		`{"version":2}`:           "version 2, this program reads version 1",
		`{"version":1,"more":1}`:  "unknown field",
		`{"version":1,"rows":-1}`: "negative",
		`{"version":1,"columns":[{"name":"b","kind":"timestamp","times":{}},{"name":"a","kind":"timestamp","times":{}}]}`:        "order",
		`{"version":1,"columns":[{"name":"a","kind":"numeric"}]}`:                                                                "numbers",
		`{"version":1,"columns":[{"name":"a","kind":"numeric","count":2,"numbers":{"count":2,"positive":[{"i":1,"n":1}]}}]}`:     "in buckets",
		`{"version":1,"columns":[{"name":"a","kind":"string","count":1,"categories":{"counts":{"x":2},"exact":true}}]}`:          "count 2",
		`{"version":1,"columns":[{"name":"a","kind":"string","count":1,"categories":{"counts":{},"exact":false,"hashed":[1]}}]}`: "hash buckets",
		`{"version":1,"columns":[{"name":"a","kind":"vector"}]}`:                                                                 "unknown kind",
		`{"version":1} {}`: "decode",
		`[`:                "decode",
	} {
		_, err := Decode([]byte(data))
		require.ErrorContains(t, err, message, data)
	}
}

func FuzzDecode(f *testing.F) {
	rows := table{numbers: []float64{1, -2, 0}, words: []string{"a", "b", "a"}, truths: []bool{true, false, true}, times: []int64{1, 2, 3}, valid: []bool{true, true, true}}
	seed, err := rows.profile(f).Encode()
	require.NoError(f, err)
	f.Add(seed)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(data)
		if err != nil {
			return
		}
		both, err := Merge(p, p) // what was let in must be usable
		require.NoError(t, err)
		encoded, err := p.Encode()
		require.NoError(t, err)
		back, err := Decode(encoded)
		require.NoError(t, err)
		again, err := back.Encode()
		require.NoError(t, err)
		require.True(t, bytes.Equal(encoded, again))
		for _, c := range both.Columns {
			if c.Numbers != nil {
				c.Numbers.Quantile(.5)
			}
			if c.Categories != nil {
				c.Categories.Distinct()
			}
		}
	})
}
