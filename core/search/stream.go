package search

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// Seed is the seed of one candidate's search in one cycle: a function of its arguments that no two candidates share.
func Seed(seed int64, cycle, candidate string) int64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %q %q", seed, cycle, candidate))
	return int64(binary.LittleEndian.Uint64(sum[:8]))
}

// stream is an endless row of random numbers. It uses the generator's bits alone, whose row is fixed for ever; how
// rand.Rand turns them into numbers may change with a version of Go.
type stream struct{ *rand.PCG }

// newStream is the row of one hyperparameter of one trial: it does not change when the space gets another one.
func newStream(seed int64, number int, name string) stream {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s", seed, number, name))
	return stream{rand.NewPCG(binary.LittleEndian.Uint64(sum[:8]), binary.LittleEndian.Uint64(sum[8:16]))}
}

// unit is uniform in [0, 1).
func (s stream) unit() float64 { return float64(s.Uint64()>>11) / (1 << 53) }

// below is uniform among 0 to n-1.
func (s stream) below(n int64) int64 { return min(int64(s.unit()*float64(n)), n-1) }
