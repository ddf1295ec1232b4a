package drift

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	golden = 0.6180339887498949
	root2  = 0.4142135623730951
)

func fraction(x float64) float64 { return x - math.Floor(x) }

// sequences are two quasi-random samples with known statistics; the expected
// values below come from scipy 1.10.
func sequences() (a, b []float64) {
	for i := 1; i <= 500; i++ {
		a = append(a, fraction(float64(i)*golden))
	}
	for j := 1; j <= 300; j++ {
		b = append(b, .8*fraction(float64(j)*root2)+.15)
	}
	return a, b
}

func TestSampleReferences(t *testing.T) {
	t.Parallel()
	a, b := sequences()
	d := KS(a, b)
	require.InDelta(t, .152, d, 1e-12)
	require.InDelta(t, 3.078265583e-4, KSExactP(d, 500, 300), 5e-14)
	require.InDelta(t, 2.943554445e-4, KSAsymptoticP(d, 500, 300), 5e-14)
	require.InDelta(t, .06246166680500, Wasserstein(a, b), 5e-15)
	require.InDelta(t, .28864075426642, SD(a), 5e-15)

	edges := Deciles(a)
	x, y := Bin(a, edges), Bin(b, edges)
	require.InDelta(t, .7574228608, PSI(x, y, Floor), 5e-11)
	require.InDelta(t, .4694363015, PSI(x, y, HalfCount), 5e-11)
}

func TestCountReferences(t *testing.T) {
	t.Parallel()
	a, b := []float64{120, 90, 40, 10, 0}, []float64{80, 95, 60, 20, 5}
	chi := ChiSquare(a, b)
	require.InDelta(t, 20.4684684685, chi.Statistic, 5e-11)
	require.Equal(t, 4, chi.DF)
	require.InDelta(t, 4.035264626e-4, chi.P, 5e-14)
	require.InDelta(t, .1472370938, JensenShannon(a, b, math.E), 5e-11)
	require.InDelta(t, .1768497728, JensenShannon(a, b, 2), 5e-11)
	require.InDelta(t, .1538461538, LInfinity(a, b), 5e-11)
	require.InDelta(t, .1571656373, Hellinger(a, b), 5e-11)

	z, p := TwoProportions(120, 1000, 150, 1000)
	require.InDelta(t, -1.9630498076, z, 5e-11)
	require.InDelta(t, .0496403869, p, 5e-11)
	p, err := Fisher(120, 1000, 150, 1000)
	require.NoError(t, err)
	require.InDelta(t, .0575958509, p, 5e-11)
	_, err = Fisher(2, 1, 0, 1)
	require.Error(t, err)
}

func TestBenjaminiHochbergReference(t *testing.T) {
	t.Parallel()
	p := []float64{.001, .008, .012, .041, .042, .06, .2, .45, .7, .95}
	want := []float64{.01, .04, .04, .084, .084, .1, .285714, .5625, .777778, .95}
	require.InDeltaSlice(t, want, BenjaminiHochberg(p), 5e-7)
	// The order given is the order returned.
	require.InDeltaSlice(t, []float64{.95, .02}, BenjaminiHochberg([]float64{.95, .01}), 1e-12)
	require.Empty(t, BenjaminiHochberg(nil))
}

func shiftedStream(i int) float64 {
	x := fraction(float64(i+1) * golden)
	if i >= 1000 {
		x += .3
	}
	return x
}

func TestDetectorReferences(t *testing.T) {
	t.Parallel()
	adwin, ph := NewAdwin(), NewPageHinkley()
	var cuts, widths, changes []int
	for i := range 2000 {
		if adwin.Add(shiftedStream(i)) {
			cuts, widths = append(cuts, i), append(widths, adwin.Width())
		}
		if ph.Add(shiftedStream(i)) {
			changes = append(changes, i)
		}
	}
	require.Equal(t, 1151, cuts[0])
	require.Equal(t, 640, widths[0])
	require.Equal(t, 1185, changes[0])
}

func TestAdwinEverySplitIsSooner(t *testing.T) {
	t.Parallel()
	adwin := NewAdwin()
	adwin.EverySplit = true
	for i := range 2000 {
		if adwin.Add(shiftedStream(i)) {
			require.Equal(t, 1055, i)
			return
		}
	}
	t.Fatal("never fired")
}

func TestPageHinkleySeesBothWays(t *testing.T) {
	t.Parallel()
	up, down := NewPageHinkley(), NewPageHinkley()
	fired := 0
	for i := range 2000 {
		x := shiftedStream(i)
		a, b := up.Add(x), down.Add(-x)
		require.Equal(t, a, b, i)
		if a {
			fired++
		}
	}
	require.Positive(t, fired)
}

func TestDetectorsAreQuietOnAStableStream(t *testing.T) {
	t.Parallel()
	adwin, ph := NewAdwin(), NewPageHinkley()
	for i := range 50_000 {
		x := fraction(float64(i) * golden)
		require.False(t, adwin.Add(x), i)
		require.False(t, ph.Add(x), i)
	}
	require.Equal(t, 50_000, adwin.Width())
	require.InDelta(t, .5, adwin.Mean(), .001)
	require.Less(t, len(adwin.rows), 16)
}

// The exact p must be the share of orders, counted one by one.
func TestKSExactCountsOrders(t *testing.T) {
	t.Parallel()
	n, m := 4, 3
	var all []float64
	var walk func(a, b []float64, next float64)
	walk = func(a, b []float64, next float64) {
		if len(a) == n && len(b) == m {
			all = append(all, KS(a, b))
			return
		}
		if len(a) < n {
			walk(append(a[:len(a):len(a)], next), b, next+1)
		}
		if len(b) < m {
			walk(a, append(b[:len(b):len(b)], next), next+1)
		}
	}
	walk(nil, nil, 0)
	require.Len(t, all, 35)
	for _, d := range all {
		atLeast := 0
		for _, o := range all {
			if o >= d-1e-12 {
				atLeast++
			}
		}
		require.InDelta(t, float64(atLeast)/35, KSExactP(d, n, m), 1e-12, d)
	}
}

// Both p-values and both branches of the asymptotic one must meet.
func TestKSAsymptoticApproachesExact(t *testing.T) {
	t.Parallel()
	for d := .02; d < .2; d += .01 {
		require.InDelta(t, KSExactP(d, 1000, 999), KSAsymptoticP(d, 1000, 999), .01, d)
	}
	edge := math.Sqrt(4 / 500.)
	require.InDelta(t, KSAsymptoticP(edge+1e-9, 1000, 1000), KSAsymptoticP(edge-1e-9, 1000, 1000), 1e-5)
}

func TestEmptySamples(t *testing.T) {
	t.Parallel()
	require.True(t, math.IsNaN(KS(nil, []float64{1})))
	require.True(t, math.IsNaN(Wasserstein(nil, []float64{1})))
	require.True(t, math.IsNaN(SD(nil)))
	require.Nil(t, Deciles(nil))
	zero, one := []float64{0, 0}, []float64{1, 0}
	for name, v := range map[string]float64{
		"psi": PSI(zero, one, Floor), "js": JensenShannon(one, zero, 2), "linf": LInfinity(zero, one), "hellinger": Hellinger(one, zero),
	} {
		require.True(t, math.IsNaN(v), name)
	}
	require.Equal(t, 1.0, ChiSquare(one, one).P)
	require.Equal(t, 1.0, ChiSquare(zero, zero).P)
}

func TestDistancesAreDistances(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "n")
		value := rapid.Float64Range(-100, 100)
		a := rapid.SliceOfN(value, n, n).Draw(t, "a")
		b := rapid.SliceOfN(value, 1, 30).Draw(t, "b")
		shift := rapid.Float64Range(-50, 50).Draw(t, "shift")
		moved := make([]float64, n)
		for i, v := range a {
			moved[i] = v + shift
		}
		require.InDelta(t, math.Abs(shift), Wasserstein(a, moved), 1e-9)
		require.InDelta(t, Wasserstein(a, b), Wasserstein(b, a), 1e-9)
		require.InDelta(t, KS(a, b), KS(b, a), 1e-12)
		require.Zero(t, Wasserstein(a, a))

		counts := rapid.SliceOfN(rapid.Float64Range(0, 1000), 4, 4)
		p, q := counts.Draw(t, "p"), counts.Draw(t, "q")
		p[0], q[3] = p[0]+1, q[3]+1
		require.InDelta(t, JensenShannon(p, q, 2), JensenShannon(q, p, 2), 1e-9)
		require.LessOrEqual(t, JensenShannon(p, q, 2), 1+1e-9)
		require.LessOrEqual(t, Hellinger(p, q), 1+1e-9)
		require.GreaterOrEqual(t, PSI(p, q, HalfCount), 0.0)
	})
}
