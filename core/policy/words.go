package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// count writes a number with thousands separated: 12,500.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// percent writes a share: 24.5 %.
func percent(share float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(share*100, 'f', 1, 64), ".0") + " %"
}

// span writes a duration by its two largest units: 3d4h, 3h12m, 45s.
func span(d time.Duration) string {
	if d < 0 {
		return "-" + span(-max(d, -1<<62))
	}
	const day = 24 * time.Hour
	pair := func(big, small time.Duration, b, s string) string {
		if rest := d % big / small; rest > 0 {
			return fmt.Sprintf("%d%s%d%s", d/big, b, rest, s)
		}
		return fmt.Sprintf("%d%s", d/big, b)
	}
	switch {
	case d >= day:
		return pair(day, time.Hour, "d", "h")
	case d >= time.Hour:
		return pair(time.Hour, time.Minute, "h", "m")
	case d >= time.Minute:
		return pair(time.Minute, time.Second, "m", "s")
	case d >= time.Second || d == 0:
		return pair(time.Second, time.Second, "s", "")
	}
	return d.String()
}

// moment writes a time to the second, in UTC.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// words joins names, or says what none of them means.
func words(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, ", ")
}

func (s *State) clockName() string {
	if s.Policy != nil && s.Policy.Spec.Clock != "wall" {
		return "event"
	}
	return "wall"
}
