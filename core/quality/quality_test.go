package quality_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/profile"
	"github.com/tidemill/tidemill/core/quality"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

func ptr[T any](v T) *T { return &v }

var now = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// segment has 4 accepted rows: delay 1, 2, null, 6; city a, a, b, null; spare all null. 1 row was refused.
func segment(t *testing.T) quality.Segment {
	t.Helper()
	b := profile.NewBuilder()
	b.Rows(4)
	b.Numeric("delay", []float64{1, 2, 0, 6}, []bool{true, true, false, true})
	b.String("city", []string{"a", "a", "b", ""}, []bool{true, true, true, false})
	b.Numeric("spare", make([]float64, 4), make([]bool, 4))
	p, err := b.Build()
	require.NoError(t, err)
	return quality.Segment{Profile: p, Rows: 4, Refused: 1, MaxTime: now.Add(-2 * time.Hour), Distinct: map[string]int64{"city": 2, "spare": 0}}
}

func TestRules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rule    resource.Rule
		rule2   string // of the violation; "" when the rule holds
		value   float64
		limit   float64
		message string
	}{
		"enough rows":       {rule: resource.Rule{MinRows: ptr(int64(4))}},
		"too few rows":      {resource.Rule{MinRows: ptr(int64(5))}, "volume", 4, 5, "4 rows are fewer than the 5 it must have"},
		"few enough rows":   {rule: resource.Rule{MaxRows: ptr(int64(4))}},
		"too many rows":     {resource.Rule{MaxRows: ptr(int64(3))}, "volume", 4, 3, "4 rows are more than the 3 it may have"},
		"refused at limit":  {rule: resource.Rule{MaxRefused: ptr(0.2)}},
		"refused too many":  {resource.Rule{MaxRefused: ptr(0.1)}, "refused", 0.2, 0.1, "the row contract refused a share of 0.2; at most 0.1 may be"},
		"nulls at limit":    {rule: resource.Rule{Column: "delay", MaxNulls: ptr(0.25)}},
		"nulls above limit": {resource.Rule{Column: "delay", MaxNulls: ptr(0.2)}, "nulls", 0.25, 0.2, "a share of 0.25 of delay is null; at most 0.2 may be"},
		"all null":          {resource.Rule{Column: "spare", MaxNulls: ptr(0.5)}, "nulls", 1, 0.5, "a share of 1 of spare is null; at most 0.5 may be"},
		"mean in range":     {rule: resource.Rule{Column: "delay", MinMean: ptr(3.0)}},
		"mean too low":      {resource.Rule{Column: "delay", MinMean: ptr(3.5)}, "range", 3, 3.5, "the mean of delay is 3, below the least allowed, 3.5"},
		"mean too high":     {resource.Rule{Column: "delay", MaxMean: ptr(2.5)}, "range", 3, 2.5, "the mean of delay is 3, above the most allowed, 2.5"},
		"mean of nothing":   {rule: resource.Rule{Column: "spare", MinMean: ptr(3.5)}},
		"distinct enough":   {rule: resource.Rule{Column: "city", MinDistinct: ptr(0.6)}},
		"repeated":          {resource.Rule{Column: "city", MinDistinct: ptr(1.0)}, "uniqueness", 2. / 3, 1, "a share of 0.666667 of the values of city is distinct; at least 1 must be"},
		"nothing repeats":   {rule: resource.Rule{Column: "spare", MinDistinct: ptr(1.0)}},
		"small domain":      {rule: resource.Rule{Column: "city", MaxDistinct: ptr(int64(2))}},
		"large domain":      {resource.Rule{Column: "city", MaxDistinct: ptr(int64(1))}, "domain", 2, 1, "city has 2 distinct values; at most 1 are allowed"},
		"fresh":             {rule: resource.Rule{MaxDelay: ptr(events.Duration(2 * time.Hour))}},
		"stale": {resource.Rule{MaxDelay: ptr(events.Duration(time.Hour))}, "freshness", 7200, 3600,
			"its newest row, of 2024-05-01T10:00:00Z, is 2h0m0s old; at most 1h0m0s is allowed"},
		"unknown column": {rule: resource.Rule{Column: "later", MaxNulls: ptr(0.0)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			violations, warnings := quality.Check([]resource.Rule{c.rule}, segment(t), now)
			assert.Empty(t, warnings)
			if c.rule2 == "" {
				assert.Empty(t, violations)
				return
			}
			require.Len(t, violations, 1)
			v := violations[0]
			assert.InDelta(t, c.value, v.Value, 1e-12)
			v.Value = c.value
			assert.Equal(t, events.Violation{Rule: c.rule2, Column: c.rule.Column, Value: c.value, Limit: c.limit, Message: c.message}, v)

			c.rule.Warn = true
			violations, warnings = quality.Check([]resource.Rule{c.rule}, segment(t), now)
			assert.Empty(t, violations)
			assert.Len(t, warnings, 1)
		})
	}
}

func TestEveryBrokenRuleIsListedInOrder(t *testing.T) {
	t.Parallel()
	rules := []resource.Rule{{MinRows: ptr(int64(10))}, {Column: "delay", MaxNulls: ptr(0.0), Warn: true}, {MaxRefused: ptr(0.0)}, {MinRows: ptr(int64(1))}}
	violations, warnings := quality.Check(rules, segment(t), now)
	require.Len(t, violations, 2)
	assert.Equal(t, quality.Volume, violations[0].Rule)
	assert.Equal(t, quality.Refused, violations[1].Rule)
	require.Len(t, warnings, 1)
	assert.Equal(t, quality.Nulls, warnings[0].Rule)
}

func TestDistinctColumns(t *testing.T) {
	t.Parallel()
	rules := []resource.Rule{{Column: "b", MinDistinct: ptr(1.0)}, {MinRows: ptr(int64(1))}, {Column: "a", MaxDistinct: ptr(int64(9))}, {Column: "b", MaxDistinct: ptr(int64(9))}}
	assert.Equal(t, []string{"b", "a"}, quality.DistinctColumns(rules))
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "it has no rows", quality.Empty(0, nil).Message)
	assert.Equal(t, "no row was accepted; 1 row was refused (1 future)", quality.Empty(1, map[string]int64{"future": 1}).Message)
	v := quality.Empty(6, map[string]int64{"future": 1, "wrongType": 4, "belowMin": 1})
	assert.Equal(t, "no row was accepted; 6 rows were refused (4 wrongType, 1 belowMin, 1 future)", v.Message)
	assert.Equal(t, quality.Volume, v.Rule)
}
