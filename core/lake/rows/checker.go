package rows

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/core/resource"
)

// MaxText is the longest text value a row may hold, in bytes.
const MaxText = 32 << 10

// Reason is why a row is refused.
type Reason string

// Reasons of refusal.
const (
	Malformed     Reason = "malformed"     // not one JSON object, not a CSV record of the header's columns
	UnknownColumn Reason = "unknownColumn" // a column that the dataset does not have
	WrongType     Reason = "wrongType"
	Missing       Reason = "missing" // null or absent, though required
	BelowMin      Reason = "belowMin"
	AboveMax      Reason = "aboveMax"
	NotInDomain   Reason = "notInDomain" // not one of the column's values
	Future        Reason = "future"      // event time beyond now + maxFuture
	TooLong       Reason = "tooLong"     // text over MaxText bytes
)

// Refusal says why a row is not accepted.
type Refusal struct {
	Reason Reason
	Column string // "" when the row as a whole is meant
	Detail string // one sentence for a person
}

// Error makes a refusal printable; it is a finding about a row, not a failure of the platform.
func (r *Refusal) Error() string {
	if r.Column == "" {
		return string(r.Reason) + ": " + r.Detail
	}
	return string(r.Reason) + " in " + r.Column + ": " + r.Detail
}

// Value is one typed value: I holds int64, boolean (0, 1) and timestamp (µs since 1970, UTC), F float64, S string.
type Value struct {
	Null bool
	I    int64
	F    float64
	S    string
}

// Row is a reusable decoded row. It belongs to one goroutine.
type Row struct {
	Values   []Value   // in the order of Checker.Columns
	Time     int64     // event time, µs since 1970, UTC
	Warnings []Refusal // value violations that were let pass (Checker.Lenient)

	seen  []bool
	texts map[string]string // interned: streams repeat their categories
}

// Any is the value of column i as nil, float64, int64, bool, string or time.Time.
func (r *Row) Any(c *Checker, i int) any { return r.Values[i].Any(c.columns[i].Type) }

// Any is the value of a column type as nil, float64, int64, bool, string or time.Time.
func (v Value) Any(columnType string) any {
	if v.Null {
		return nil
	}
	switch columnType {
	case resource.TypeFloat64:
		return v.F
	case resource.TypeInt64:
		return v.I
	case resource.TypeBoolean:
		return v.I != 0
	case resource.TypeTimestamp:
		return time.UnixMicro(v.I).UTC()
	}
	return v.S
}

type column struct {
	resource.Column
	domain map[string]struct{}
}

// Checker is the compiled row contract of a dataset. It is immutable and safe for concurrent use.
type Checker struct {
	columns   []column
	index     map[string]int
	eventTime int
	maxFuture time.Duration
	lenient   bool // value violations warn
	unruled   bool // only types count
}

// Compile makes the checker of a dataset; the spec has its defaults filled in.
func Compile(spec *resource.DatasetSpec) (*Checker, error) {
	c := &Checker{index: map[string]int{}, eventTime: -1, maxFuture: spec.Clock.MaxFuture.Std(),
		lenient: spec.OnViolation == "warn"}
	folded := map[string]string{}
	for i, col := range spec.Columns {
		if other, ok := folded[strings.ToLower(col.Name)]; ok {
			return nil, fmt.Errorf("columns %s and %s differ by case at most; SQL does not tell them apart, rename one", other, col.Name)
		}
		folded[strings.ToLower(col.Name)] = col.Name
		x := column{Column: col}
		switch col.Type {
		case resource.TypeString, resource.TypeFloat64, resource.TypeInt64, resource.TypeBoolean, resource.TypeTimestamp:
		default:
			return nil, fmt.Errorf("column %s has type %q; use string, float64, int64, boolean or timestamp", col.Name, col.Type)
		}
		if len(col.Values) > 0 {
			x.domain = make(map[string]struct{}, len(col.Values))
			for _, v := range col.Values {
				x.domain[v] = struct{}{}
			}
		}
		if col.EventTime {
			if c.eventTime >= 0 || col.Type != resource.TypeTimestamp {
				return nil, fmt.Errorf("column %s: exactly one column of type timestamp is the event time", col.Name)
			}
			c.eventTime, x.Required = i, true
		}
		c.columns = append(c.columns, x)
		c.index[col.Name] = i
	}
	if c.eventTime < 0 {
		return nil, fmt.Errorf("no column has eventTime: true; mark the timestamp column that says when a row happened")
	}
	return c, nil
}

// Columns are the dataset's columns in order.
func (c *Checker) Columns() []resource.Column {
	out := make([]resource.Column, len(c.columns))
	for i := range c.columns {
		out[i] = c.columns[i].Column
	}
	return out
}

// Index finds a column by name.
func (c *Checker) Index(name string) (int, bool) { i, ok := c.index[name]; return i, ok }

// EventTime is the index of the event-time column.
func (c *Checker) EventTime() int { return c.eventTime }

// Lenient is the same contract with value violations (belowMin, aboveMax, notInDomain) let pass as Row.Warnings: how
// onViolation: warn works, and how rows come back that a person released from quarantine.
func (c *Checker) Lenient() *Checker {
	x := *c
	x.lenient = true
	return &x
}

// Unruled is the columns and types alone: no column is required, every value of its type is welcome. That is what rows to predict
// are held to, which have no label yet.
func (c *Checker) Unruled() *Checker {
	x := *c
	x.unruled = true
	x.columns = slices.Clone(c.columns)
	for i := range x.columns {
		col := &x.columns[i]
		col.Column = resource.Column{Name: col.Name, Type: col.Type}
		col.domain = nil
	}
	return &x
}

// NewRow makes a row to decode into.
func (c *Checker) NewRow() *Row {
	return &Row{Values: make([]Value, len(c.columns)), seen: make([]bool, len(c.columns)), texts: map[string]string{}}
}

func (c *Checker) reset(r *Row) {
	r.Time = 0
	r.Warnings = r.Warnings[:0]
	for i := range r.Values {
		r.Values[i] = Value{Null: true}
		r.seen[i] = false
	}
}

// finish checks what needs the whole row, in the order of the columns.
func (c *Checker) finish(r *Row, now time.Time) *Refusal {
	if c.unruled {
		r.Time = r.Values[c.eventTime].I
		return nil
	}
	for i := range c.columns {
		col, v := &c.columns[i], &r.Values[i]
		if v.Null {
			if col.Required {
				return &Refusal{Missing, col.Name, "the column is required, but it is null or absent"}
			}
			continue
		}
		if bad := col.violation(v); bad != nil {
			if !c.lenient {
				return bad
			}
			r.Warnings = append(r.Warnings, *bad)
		}
	}
	r.Time = r.Values[c.eventTime].I
	if limit := now.Add(c.maxFuture); r.Time > limit.UnixMicro() {
		return &Refusal{Future, c.columns[c.eventTime].Name, fmt.Sprintf("%s is later than the wall clock plus %s (maxFuture)",
			time.UnixMicro(r.Time).UTC().Format(time.RFC3339), c.maxFuture)}
	}
	return nil
}

// violation checks a non-null value against the column's range and domain.
func (col *column) violation(v *Value) *Refusal {
	if col.domain != nil && col.Type == resource.TypeString {
		if _, ok := col.domain[v.S]; !ok {
			return &Refusal{NotInDomain, col.Name, fmt.Sprintf("%q is not one of its values%s", short(v.S), hint(v.S, slices.Values(col.Values)))}
		}
	}
	if col.Min == nil && col.Max == nil {
		return nil
	}
	x := v.F
	switch col.Type {
	case resource.TypeInt64:
		x = float64(v.I)
	case resource.TypeFloat64:
	default:
		return nil
	}
	if col.Min != nil && x < *col.Min {
		return &Refusal{BelowMin, col.Name, fmt.Sprintf("%v is below the minimum %v", number(x), number(*col.Min))}
	}
	if col.Max != nil && x > *col.Max {
		return &Refusal{AboveMax, col.Name, fmt.Sprintf("%v is above the maximum %v", number(x), number(*col.Max))}
	}
	return nil
}

// number prints whole numbers without an exponent.
type number float64

func (n number) String() string {
	if f := float64(n); f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprint(float64(n))
}

// short keeps details readable.
func short(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Find is the index of a column by name, or the refusal of the name with a hint.
func (c *Checker) Find(name string) (int, *Refusal) {
	if i, ok := c.index[name]; ok {
		return i, nil
	}
	return -1, c.unknown(name)
}
