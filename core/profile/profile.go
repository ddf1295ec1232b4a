package profile

import (
	"slices"
	"time"
)

// Version is the version of the encoding.
const Version = 1

// Accuracy is the relative accuracy of every number sketch: a bucket's
// representative is within 1 % of each value in it.
const Accuracy = 0.01

// CategoryCap is how many distinct values of a column are counted exactly.
const CategoryCap = 1000

// Kind is what a column holds.
type Kind string

// The kinds of column.
const (
	KindNumeric   Kind = "numeric"
	KindString    Kind = "string"
	KindBoolean   Kind = "boolean"
	KindTimestamp Kind = "timestamp"
)

// Profile summarises a set of rows.
type Profile struct {
	Version int       `json:"version"`
	Rows    int64     `json:"rows"`
	MinTime time.Time `json:"minTime,omitzero"` // first event time, zero when none was given
	MaxTime time.Time `json:"maxTime,omitzero"` // last event time, inclusive
	Columns []Column  `json:"columns"`          // sorted by name
}

// Column finds a column by name, nil when the profile has none of that name.
func (p *Profile) Column(name string) *Column {
	i, ok := slices.BinarySearchFunc(p.Columns, name, func(c Column, name string) int {
		switch {
		case c.Name < name:
			return -1
		case c.Name > name:
			return 1
		default:
			return 0
		}
	})
	if !ok {
		return nil
	}
	return &p.Columns[i]
}

// Column summarises one column. Exactly one of Numbers, Categories and Times is
// set: by kind, numbers, strings and booleans ("true", "false"), timestamps.
type Column struct {
	Name       string      `json:"name"`
	Kind       Kind        `json:"kind"`
	Count      int64       `json:"count"` // usable values
	Nulls      int64       `json:"nulls,omitempty"`
	NonFinite  int64       `json:"nonFinite,omitempty"` // NaN and infinite numbers, not in Count
	Numbers    *Numbers    `json:"numbers,omitempty"`
	Categories *Categories `json:"categories,omitempty"`
	Times      *Times      `json:"times,omitempty"`
}

// NullShare is the share of values that are null, NaN or infinite; 0 when there
// are no values at all.
func (c *Column) NullShare() float64 {
	all := c.Count + c.Nulls + c.NonFinite
	if all == 0 {
		return 0
	}
	return float64(c.Nulls+c.NonFinite) / float64(all)
}

// Times is the span of a timestamp column, inclusive on both ends.
type Times struct {
	Min time.Time `json:"min,omitzero"`
	Max time.Time `json:"max,omitzero"`
}

func (t Times) merge(o Times) Times {
	t.Min, t.Max = earlier(t.Min, o.Min), later(t.Max, o.Max)
	return t
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
