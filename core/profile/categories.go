package profile

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/axiomhq/hyperloglog"
)

// maxKey is the longest category kept as it is, in bytes; a longer one is cut
// and told apart by a hash.
const maxKey = 256

// distinctPrecision gives a HyperLogLog of 4,096 registers: a standard error of
// 1.6 % of the distinct count, in 4 KiB.
const distinctPrecision = 12

// Categories counts the distinct values of a column.
type Categories struct {
	// Counts of the values: all of them when Exact, else the heavy hitters, at
	// most [CategoryCap], each at most Undercount too low.
	Counts     map[string]int64 `json:"counts"`
	Exact      bool             `json:"exact"`
	Undercount int64            `json:"undercount,omitempty"`
	// Registers is an encoded HyperLogLog of the values, when not Exact.
	Registers []byte `json:"registers,omitempty"`
	// Hashed counts all the values, by hash, in [HashBuckets] buckets, when not
	// Exact. Unlike heavy hitters these are exact and merge exactly, so two
	// columns of any cardinality can be compared by them.
	Hashed []int64 `json:"hashed,omitempty"`
}

// HashBuckets is the number of buckets of hashed counts.
const HashBuckets = 256

// HashCounts counts the values by hash in [HashBuckets] buckets: exact for any
// number of distinct values. The result is the caller's.
func (c *Categories) HashCounts() []int64 {
	if !c.Exact {
		return slices.Clone(c.Hashed)
	}
	out := make([]int64, HashBuckets)
	for k, n := range c.Counts {
		out[bucketOf(k)] += n
	}
	return out
}

// bucketOf folds a 64-bit FNV-1a hash: its low byte alone is weakly mixed.
func bucketOf(category string) int {
	hash := fnv.New64a()
	hash.Write([]byte(category))
	h := hash.Sum64()
	h ^= h >> 32
	h ^= h >> 16
	return int((h ^ h>>8) % HashBuckets)
}

// Sum is the number of values that Counts accounts for.
func (c *Categories) Sum() int64 {
	total := int64(0)
	for _, n := range c.Counts {
		total += n
	}
	return total
}

// Distinct is the number of distinct values: exact up to [CategoryCap],
// otherwise an estimate with a standard error of 1.6 %.
func (c *Categories) Distinct() int64 {
	if c.Exact {
		return int64(len(c.Counts))
	}
	sketch := new(hyperloglog.Sketch)
	if err := sketch.UnmarshalBinary(c.Registers); err != nil {
		return int64(len(c.Counts)) // Decode has checked the registers; this bound holds anyhow
	}
	return max(int64(sketch.Estimate()), int64(len(c.Counts)))
}

// Top is the n most frequent values, the most frequent first, equal ones by name.
func (c *Categories) Top(n int) []string {
	names := slices.SortedFunc(maps.Keys(c.Counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.Counts[b], c.Counts[a]), cmp.Compare(a, b))
	})
	return names[:min(n, len(names))]
}

func (c Categories) merge(o Categories) (Categories, error) {
	sum := make(map[string]int64, len(c.Counts)+len(o.Counts))
	maps.Copy(sum, c.Counts)
	for k, n := range o.Counts {
		sum[k] += n
	}
	out := Categories{Counts: sum, Exact: c.Exact && o.Exact && len(sum) <= CategoryCap, Undercount: c.Undercount + o.Undercount}
	if out.Exact {
		return out, nil
	}
	sketch, err := c.distinct()
	if err != nil {
		return Categories{}, err
	}
	other, err := o.distinct()
	if err != nil {
		return Categories{}, err
	}
	if err := sketch.Merge(other); err != nil {
		return Categories{}, fmt.Errorf("merge distinct counts: %w", err)
	}
	if out.Registers, err = sketch.MarshalBinary(); err != nil {
		return Categories{}, fmt.Errorf("encode distinct counts: %w", err)
	}
	out.Hashed = c.HashCounts()
	for i, n := range o.HashCounts() {
		out.Hashed[i] += n
	}
	out.Undercount += compress(out.Counts)
	return out, nil
}

// distinct is the HyperLogLog of the values, made from the counts when they are
// exact: registers hold a maximum, so it is the same as one kept all along.
func (c Categories) distinct() (*hyperloglog.Sketch, error) {
	if !c.Exact {
		sketch := new(hyperloglog.Sketch)
		if err := sketch.UnmarshalBinary(c.Registers); err != nil {
			return nil, fmt.Errorf("decode distinct counts: %w", err)
		}
		return sketch, nil
	}
	sketch := newDistinct()
	for k := range c.Counts {
		sketch.Insert([]byte(k))
	}
	return sketch, nil
}

// newDistinct is dense from the start, since only the dense encoding is canonical.
func newDistinct() *hyperloglog.Sketch {
	sketch, err := hyperloglog.NewSketch(distinctPrecision, false)
	if err != nil {
		panic(err) // only for a precision outside [4, 18], and ours is a constant
	}
	return sketch
}

// compress cuts counts back to the cap the way Misra and Gries do: the largest
// count beyond the cap is taken off every counter. It gives that amount.
func compress(counts map[string]int64) int64 {
	if len(counts) <= CategoryCap {
		return 0
	}
	all := slices.SortedFunc(maps.Values(counts), func(a, b int64) int { return cmp.Compare(b, a) })
	off := all[CategoryCap]
	for k, n := range counts {
		if n <= off {
			delete(counts, k)
		} else {
			counts[k] = n - off
		}
	}
	return off
}

// categoryBuilder counts strings. Values are looked up once each; only new ones
// cost more.
type categoryBuilder struct {
	place      map[string]int
	names      []string
	counts     []int64
	hashedAt   []int64             // how much of counts is in hashed already
	hashed     []int64             // what shrinking would lose
	overflow   *hyperloglog.Sketch // nil while exact
	undercount int64
}

func newCategoryBuilder() *categoryBuilder { return &categoryBuilder{place: map[string]int{}} }

func (b *categoryBuilder) add(values []string, valid []bool) (nulls int64) {
	for i, v := range values {
		if valid != nil && !valid[i] {
			nulls++
			continue
		}
		b.count(v, 1)
	}
	return nulls
}

func (b *categoryBuilder) count(v string, n int64) {
	if at, ok := b.place[v]; ok {
		b.counts[at] += n
		return
	}
	v = key(v)
	if at, ok := b.place[v]; ok {
		b.counts[at] += n
		return
	}
	v = strings.Clone(v) // the caller's may be a slice of a whole batch
	if b.overflow == nil && len(b.names) == CategoryCap {
		b.overflow = newDistinct()
		for _, name := range b.names {
			b.overflow.Insert([]byte(name))
		}
	}
	if b.overflow != nil {
		b.overflow.Insert([]byte(v))
	}
	b.place[v] = len(b.names)
	b.names, b.counts, b.hashedAt = append(b.names, v), append(b.counts, n), append(b.hashedAt, 0)
	if len(b.names) > 16*CategoryCap {
		b.shrink()
	}
}

// shrink bounds the memory: sixteen times the cap, compressed rarely enough
// that its sorting is spread over many values.
func (b *categoryBuilder) shrink() {
	b.hashed = b.hashCounts()
	counts := b.asMap()
	b.undercount += compress(counts)
	b.place = make(map[string]int, len(counts))
	b.names, b.counts, b.hashedAt = b.names[:0], b.counts[:0], b.hashedAt[:0]
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		b.place[name] = len(b.names)
		b.names, b.counts, b.hashedAt = append(b.names, name), append(b.counts, counts[name]), append(b.hashedAt, counts[name])
	}
}

// hashCounts is the values so far by hash: those hashed before, and the rest.
func (b *categoryBuilder) hashCounts() []int64 {
	out := make([]int64, HashBuckets)
	copy(out, b.hashed)
	for i, name := range b.names {
		out[bucketOf(name)] += b.counts[i] - b.hashedAt[i]
	}
	return out
}

func (b *categoryBuilder) asMap() map[string]int64 {
	counts := make(map[string]int64, len(b.names))
	for i, name := range b.names {
		counts[name] = b.counts[i]
	}
	return counts
}

func (b *categoryBuilder) build() (Categories, error) {
	c := Categories{Counts: b.asMap(), Exact: b.overflow == nil, Undercount: b.undercount}
	if c.Exact {
		return c, nil
	}
	c.Hashed = b.hashCounts()
	c.Undercount += compress(c.Counts)
	var err error
	if c.Registers, err = b.overflow.MarshalBinary(); err != nil {
		return Categories{}, fmt.Errorf("encode distinct counts: %w", err)
	}
	return c, nil
}

// key makes a value a category: valid UTF-8, since JSON would make one value of
// two, and short.
func key(v string) string {
	whole := v
	if len(v) > maxKey {
		v = v[:maxKey-32]
	}
	if !utf8.ValidString(v) || len(v) < len(whole) {
		hash := fnv.New64a()
		hash.Write([]byte(whole))
		v = fmt.Sprintf("%s…#%016x", strings.ToValidUTF8(v, "�"), hash.Sum64())
	}
	return v
}
