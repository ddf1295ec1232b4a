package resource

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

func (c *checker) policy(s *PolicySpec) {
	c.trigger(path("spec", "when"), s.When)
}

func (c *checker) trigger(p pointer, t Trigger) {
	for i, child := range t.Any {
		c.trigger(p.with("any").with(strconv.Itoa(i)), child)
	}
	for i, child := range t.All {
		c.trigger(p.with("all").with(strconv.Itoa(i)), child)
	}
	if t.Schedule != nil {
		c.schedule(p.with("schedule"), t.Schedule)
	}
	if t.Performance != nil {
		q := p.with("performance")
		c.metric(q.with("metric"), t.Performance.Metric, "")
		if _, _, err := ParseWorseBy(t.Performance.WorseBy); err != nil {
			c.fail(q.with("worseBy"), "for example 3% (of the figure at promotion), or 0.02 (in the metric's own units)", "%s: %v", q.with("worseBy"), err)
		}
	}
	if t.Drift != nil {
		q := p.with("drift")
		seen := map[string]int{}
		for i, name := range t.Drift.Columns {
			c.unique(q.with("columns").with(strconv.Itoa(i)), "column", seen, name, name, i)
		}
	}
}

func (c *checker) schedule(p pointer, s *Schedule) {
	if strings.Contains(s.Cron, "TZ=") {
		c.fail(p.with("cron"), "use the field timezone", "%s: a time zone is not part of the expression", p.with("cron"))
	} else if _, err := ParseCron(s.Cron); err != nil {
		c.fail(p.with("cron"), "minute, hour, day, month, weekday: '0 4 * * 1' is Mondays at 4:00; or @daily, @every 6h", "%s: %v", p.with("cron"), err)
	}
	if _, err := time.LoadLocation(s.Timezone); err != nil {
		c.fail(p.with("timezone"), "an IANA name such as Europe/Berlin; UTC when it is left out", "%s: %q is not a time zone", p.with("timezone"), s.Timezone)
	}
}

// ParseCron reads a schedule's expression: five fields, or @daily and the like.
func ParseCron(expression string) (s cron.Schedule, err error) {
	// The library panics on a few broken expressions.
	defer func() {
		if recover() != nil {
			s, err = nil, fmt.Errorf("%q is not a cron expression", expression)
		}
	}()
	s, err = cron.ParseStandard(expression)
	if err != nil {
		return nil, fmt.Errorf("%q is not a cron expression: %w", expression, err)
	}
	return s, nil
}

// ParseWorseBy reads how much worse a metric may get: "3%" gives (0.03, true), a fraction of the reference; "0.02" gives
// (0.02, false), in the metric's own units.
func ParseWorseBy(s string) (by float64, relative bool, err error) {
	number, relative := strings.CutSuffix(strings.TrimSpace(s), "%")
	by, err = strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || math.IsNaN(by) || math.IsInf(by, 0) || by <= 0 {
		return 0, false, fmt.Errorf("%q is neither a percentage nor a number above 0", s)
	}
	if relative {
		by /= 100
	}
	return by, relative, nil
}
