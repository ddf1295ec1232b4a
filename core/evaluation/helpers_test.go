package evaluation

import (
	"encoding/csv"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	golden = 0.6180339887498949
	root2  = 0.4142135623730951
)

func fraction(x float64) float64 { return x - math.Floor(x) }

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func ptr(v float64) *float64 { return &v }

// breastCancer is scikit-learn's 569 rows scored by two hand-made models.
func breastCancer(t testing.TB) (a, b *Scored) {
	t.Helper()
	f, err := os.Open("testdata/breast_cancer.csv")
	require.NoError(t, err)
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	a, b = &Scored{Task: Binary}, &Scored{Task: Binary}
	for _, record := range records[1:] {
		var v [3]float64
		for i, field := range record {
			v[i], err = strconv.ParseFloat(field, 64)
			require.NoError(t, err)
		}
		a.Label, b.Label = append(a.Label, v[0]), append(b.Label, v[0])
		a.Scores = append(a.Scores, sigmoid(15-v[1]))
		b.Scores = append(b.Scores, sigmoid(15-v[1]-.25*(v[2]-20)))
	}
	return a, b
}

// weightedRows is 300 rows of a quasi-random sequence, with weights; the same
// numbers went through scikit-learn for the expected values.
func weightedRows(task Task) *Scored {
	s := &Scored{Task: task}
	for i := 1; i <= 300; i++ {
		x := float64(i)
		u, v := fraction(x*golden), fraction(x*root2)
		s.Weight = append(s.Weight, .5+fraction(x*root2*2))
		switch task {
		case Binary:
			s.Label = append(s.Label, indicator(u < .4))
			p := min(max(.75-.5*u+.5*(v-.5), .01), .99)
			s.Scores = append(s.Scores, math.RoundToEven(p*10)/10) // many ties
		case Multiclass:
			s.Classes = 3
			class := int(3 * u)
			s.Label = append(s.Label, float64(class))
			z := [3]float64{v, fraction(x * 2 * root2), fraction(x * 3 * root2)}
			z[class] += [3]float64{.4, .3, .2}[class]
			total := z[0] + z[1] + z[2]
			s.Scores = append(s.Scores, z[0]/total, z[1]/total, z[2]/total)
		default:
			y := 10*u + 1
			s.Label = append(s.Label, y)
			s.Scores = append(s.Scores, y+2*(v-.5)+.1)
		}
	}
	return s
}

// synthetic is n rows of a calibrated binary model, its scores moved by noise
// on the logit: noise 0 is the best model there is.
func synthetic(n int, seed uint64, noise float64) *Scored {
	truth := rand.New(rand.NewPCG(seed, 1))
	extra := rand.New(rand.NewPCG(seed, 2+math.Float64bits(noise)))
	s := &Scored{Task: Binary}
	for range n {
		logit := -1.4 + truth.NormFloat64()
		s.Label = append(s.Label, indicator(truth.Float64() < sigmoid(logit)))
		s.Scores = append(s.Scores, sigmoid(logit+noise*extra.NormFloat64()))
		s.Time = append(s.Time, int64(len(s.Time))*1e6)
	}
	return s
}
