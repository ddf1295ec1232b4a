package profile

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkNumeric(b *testing.B) {
	values := make([]float64, 10_000)
	source := rand.New(rand.NewPCG(1, 2))
	for i := range values {
		values[i] = math.Exp(3 + source.NormFloat64())
	}
	builder := NewBuilder()
	for b.Loop() {
		builder.Numeric("x", values, nil)
	}
	b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds()/1e6, "Mvalues/s")
}

func BenchmarkString(b *testing.B) {
	for _, distinct := range []int{229, 100_000} {
		b.Run(fmt.Sprint(distinct), func(b *testing.B) {
			values := zipf(10_000, distinct, 1)
			builder := NewBuilder()
			for b.Loop() {
				builder.String("x", values, nil)
			}
			b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds()/1e6, "Mvalues/s")
		})
	}
}

func BenchmarkMerge(b *testing.B) {
	p, q := zipfProfile(b, 10_000, 229, 1), zipfProfile(b, 10_000, 229, 2)
	for b.Loop() {
		_, err := Merge(p, q)
		require.NoError(b, err)
	}
}
