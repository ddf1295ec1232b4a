package profile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Builder makes a Profile from batches of columns. It is not safe for
// concurrent use. Mistakes (a column of two kinds, lengths that differ) are
// kept and told by [Builder.Build].
type Builder struct {
	rows     int64
	min, max time.Time
	columns  map[string]*columnBuilder
	err      error
}

type columnBuilder struct {
	kind             Kind
	seen             int64
	nulls, nonFinite int64
	numbers          *numberBuilder
	categories       *categoryBuilder
	truths           [2]int64
	times            Times
}

// NewBuilder starts an empty profile.
func NewBuilder() *Builder { return &Builder{columns: map[string]*columnBuilder{}} }

// Rows says that n more rows were seen. Columns alone cannot tell: a batch may
// lack one.
func (b *Builder) Rows(n int) { b.rows += int64(n) }

// EventTimes widens the profile's span by event times in Unix microseconds.
func (b *Builder) EventTimes(micros []int64) {
	if lo, hi, ok := span(micros, nil); ok {
		b.min, b.max = earlier(b.min, lo), later(b.max, hi)
	}
}

// Numeric adds a batch of numbers. valid marks the values that are not null and
// may be nil when none is. NaN and infinities are counted apart.
func (b *Builder) Numeric(name string, values []float64, valid []bool) {
	if c := b.column(name, KindNumeric, len(values), valid); c != nil {
		nulls, nonFinite := c.numbers.add(values, valid)
		c.nulls, c.nonFinite = c.nulls+nulls, c.nonFinite+nonFinite
	}
}

// String adds a batch of strings.
func (b *Builder) String(name string, values []string, valid []bool) {
	if c := b.column(name, KindString, len(values), valid); c != nil {
		c.nulls += c.categories.add(values, valid)
	}
}

// Boolean adds a batch of booleans.
func (b *Builder) Boolean(name string, values []bool, valid []bool) {
	c := b.column(name, KindBoolean, len(values), valid)
	if c == nil {
		return
	}
	for i, v := range values {
		switch {
		case valid != nil && !valid[i]:
			c.nulls++
		case v:
			c.truths[1]++
		default:
			c.truths[0]++
		}
	}
}

// Timestamp adds a batch of timestamps in Unix microseconds.
func (b *Builder) Timestamp(name string, micros []int64, valid []bool) {
	c := b.column(name, KindTimestamp, len(micros), valid)
	if c == nil {
		return
	}
	for _, ok := range valid {
		if !ok {
			c.nulls++
		}
	}
	if lo, hi, ok := span(micros, valid); ok {
		c.times = c.times.merge(Times{lo, hi})
	}
}

func (b *Builder) column(name string, kind Kind, n int, valid []bool) *columnBuilder {
	if valid != nil && len(valid) != n {
		b.err = errors.Join(b.err, fmt.Errorf("column %s has %d values and %d validity marks", name, n, len(valid)))
		return nil
	}
	c := b.columns[name]
	if c == nil {
		c = &columnBuilder{kind: kind}
		switch kind {
		case KindNumeric:
			c.numbers = newNumberBuilder()
		case KindString:
			c.categories = newCategoryBuilder()
		}
		b.columns[name] = c
	}
	if c.kind != kind {
		b.err = errors.Join(b.err, fmt.Errorf("column %s was %s and is now %s", name, c.kind, kind))
		return nil
	}
	c.seen += int64(n)
	return c
}

func span(micros []int64, valid []bool) (lo, hi time.Time, ok bool) {
	var least, most int64
	for i, t := range micros {
		if valid != nil && !valid[i] {
			continue
		}
		if !ok {
			least, most, ok = t, t, true
		}
		least, most = min(least, t), max(most, t)
	}
	return time.UnixMicro(least).UTC(), time.UnixMicro(most).UTC(), ok
}

// Build gives the profile of everything added so far. The builder may go on.
func (b *Builder) Build() (*Profile, error) {
	if b.err != nil {
		return nil, fmt.Errorf("build profile: %w", b.err)
	}
	p := &Profile{Version: Version, Rows: b.rows, MinTime: b.min, MaxTime: b.max, Columns: []Column{}}
	for _, name := range slices.Sorted(maps.Keys(b.columns)) {
		c, err := b.columns[name].build(name)
		if err != nil {
			return nil, fmt.Errorf("build profile of column %s: %w", name, err)
		}
		p.Columns = append(p.Columns, c)
	}
	return p, nil
}

func (c *columnBuilder) build(name string) (Column, error) {
	out := Column{Name: name, Kind: c.kind, Nulls: c.nulls, NonFinite: c.nonFinite, Count: c.seen - c.nulls - c.nonFinite}
	switch c.kind {
	case KindNumeric:
		numbers := c.numbers.build()
		out.Numbers = &numbers
	case KindString:
		categories, err := c.categories.build()
		if err != nil {
			return Column{}, err
		}
		out.Categories = &categories
	case KindBoolean:
		counts := map[string]int64{}
		for i, word := range [2]string{"false", "true"} {
			if c.truths[i] > 0 {
				counts[word] = c.truths[i]
			}
		}
		out.Categories = &Categories{Counts: counts, Exact: true}
	case KindTimestamp:
		times := c.times
		out.Times = &times
	}
	return out, nil
}
