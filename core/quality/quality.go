// Package quality holds a segment as a whole against the rules that its dataset declares. It decides: values in, violations
// with sentences out.
package quality

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemill/tidemill/core/profile"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// Names of the rules in violations.
const (
	Volume     = "volume"
	Refused    = "refused"
	Nulls      = "nulls"
	Range      = "range"
	Domain     = "domain"
	Uniqueness = "uniqueness"
	Freshness  = "freshness"
)

// Segment is what rules look at.
type Segment struct {
	Profile  *profile.Profile // of the accepted rows
	Rows     int64            // accepted
	Refused  int64            // refused one by one by the row contract
	MaxTime  time.Time        // highest event time
	Distinct map[string]int64 // exact numbers of distinct values of the columns in DistinctColumns
}

// Check lists the rules that the segment breaks, in the order of their declaration: violations speak against accepting it, warnings
// (rules with warn: true) don't. now is the time against which freshness is measured. A rule about a column without a value
// holds, except nulls: an absent value is neither out of range nor repeated.
func Check(rules []resource.Rule, s Segment, now time.Time) (violations, warnings []events.Violation) {
	for _, r := range rules {
		v, broken := check(r, s, now)
		switch {
		case !broken:
		case r.Warn:
			warnings = append(warnings, v)
		default:
			violations = append(violations, v)
		}
	}
	return violations, warnings
}

// DistinctColumns are the columns whose distinct values the rules count.
func DistinctColumns(rules []resource.Rule) []string {
	var out []string
	for _, r := range rules {
		if (r.MinDistinct != nil || r.MaxDistinct != nil) && !slices.Contains(out, r.Column) {
			out = append(out, r.Column)
		}
	}
	return out
}

// Empty is the violation of a segment without an accepted row. reasons counts the refused rows by reason.
func Empty(refused int64, reasons map[string]int64) events.Violation {
	v := events.Violation{Rule: Volume, Value: 0, Limit: 1, Message: "it has no rows"}
	if refused == 0 {
		return v
	}
	names := slices.Collect(maps.Keys(reasons))
	slices.SortFunc(names, func(a, b string) int {
		if reasons[a] != reasons[b] {
			return int(reasons[b] - reasons[a])
		}
		return strings.Compare(a, b)
	})
	for i, n := range names {
		names[i] = fmt.Sprintf("%d %s", reasons[n], n)
	}
	v.Message = fmt.Sprintf("no row was accepted; %s refused (%s)", were(refused), strings.Join(names, ", "))
	return v
}

func were(n int64) string {
	if n == 1 {
		return "1 row was"
	}
	return strconv.FormatInt(n, 10) + " rows were"
}

// check measures one rule.
func check(r resource.Rule, s Segment, now time.Time) (events.Violation, bool) {
	switch {
	case r.MinRows != nil:
		return below(Volume, "", float64(s.Rows), float64(*r.MinRows), "%[1]s rows are fewer than the %[2]s it must have")
	case r.MaxRows != nil:
		return above(Volume, "", float64(s.Rows), float64(*r.MaxRows), "%[1]s rows are more than the %[2]s it may have")
	case r.MaxRefused != nil:
		all := s.Rows + s.Refused
		if all == 0 {
			return events.Violation{}, false
		}
		return above(Refused, "", float64(s.Refused)/float64(all), *r.MaxRefused, "the row contract refused a share of %[1]s; at most %[2]s may be")
	case r.MaxDelay != nil:
		return fresh(s, now, r.MaxDelay.Std())
	}
	var c *profile.Column
	if s.Profile != nil {
		c = s.Profile.Column(r.Column)
	}
	if c == nil {
		return events.Violation{}, false
	}
	if r.MaxNulls != nil {
		return above(Nulls, r.Column, c.NullShare(), *r.MaxNulls, "a share of %[1]s of %[3]s is null; at most %[2]s may be")
	}
	if c.Count == 0 {
		return events.Violation{}, false
	}
	return checkValues(r, c, s.Distinct)
}

// checkValues measures a rule about the values of a column that has some.
func checkValues(r resource.Rule, c *profile.Column, distinct map[string]int64) (events.Violation, bool) {
	switch n, counted := distinct[r.Column]; {
	case r.MinMean != nil && c.Numbers != nil:
		return below(Range, r.Column, c.Numbers.Mean, *r.MinMean, "the mean of %[3]s is %[1]s, below the least allowed, %[2]s")
	case r.MaxMean != nil && c.Numbers != nil:
		return above(Range, r.Column, c.Numbers.Mean, *r.MaxMean, "the mean of %[3]s is %[1]s, above the most allowed, %[2]s")
	case r.MinDistinct != nil && counted:
		return below(Uniqueness, r.Column, float64(n)/float64(c.Count), *r.MinDistinct,
			"a share of %[1]s of the values of %[3]s is distinct; at least %[2]s must be")
	case r.MaxDistinct != nil && counted:
		return above(Domain, r.Column, float64(n), float64(*r.MaxDistinct), "%[3]s has %[1]s distinct values; at most %[2]s are allowed")
	}
	return events.Violation{}, false
}

// fresh measures the wall time since the segment's newest row, in seconds.
func fresh(s Segment, now time.Time, limit time.Duration) (events.Violation, bool) {
	delay := now.Sub(s.MaxTime)
	if delay <= limit {
		return events.Violation{}, false
	}
	return events.Violation{Rule: Freshness, Value: delay.Seconds(), Limit: limit.Seconds(),
		Message: fmt.Sprintf("its newest row, of %s, is %s old; at most %s is allowed", s.MaxTime.UTC().Format(time.RFC3339),
			events.Duration(delay.Round(time.Second)), events.Duration(limit))}, true
}

func below(rule, column string, value, limit float64, sentence string) (events.Violation, bool) {
	return violation(rule, column, value, limit, sentence), value < limit
}

func above(rule, column string, value, limit float64, sentence string) (events.Violation, bool) {
	return violation(rule, column, value, limit, sentence), value > limit
}

// violation makes the sentence of value [1], limit [2] and column [3].
func violation(rule, column string, value, limit float64, sentence string) events.Violation {
	return events.Violation{Rule: rule, Column: column, Value: value, Limit: limit,
		Message: fmt.Sprintf(sentence, number(value), number(limit), column)}
}

// number prints at most six significant digits, whole numbers in full.
func number(x float64) string {
	if x == float64(int64(x)) {
		return strconv.FormatInt(int64(x), 10)
	}
	return strconv.FormatFloat(x, 'g', 6, 64)
}
