package narrate

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Count writes a whole number with its thousands apart: 11,400.
func Count(n int64) string {
	digits, sign := strconv.FormatInt(n, 10), ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return sign + b.String()
}

// Rows is a number of rows in words: "1 row", "11,400 rows".
func Rows(n int64) string {
	if n == 1 {
		return "1 row"
	}
	return Count(n) + " rows"
}

// Figure writes a metric with three digits after the point, and more for small amounts.
func Figure(v float64) string {
	switch size := math.Abs(v); {
	case v == 0:
		return "0"
	case size < 0.0095:
		return strconv.FormatFloat(v, 'g', 2, 64)
	case size < 1000:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// Moment writes a time to the minute, in UTC; "never" for the zero time.
func Moment(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// first are the metrics that people look at first, in that order.
var first = []string{"auc", "logloss", "accuracy", "f1", "rmse", "mae", "r2"}

// Figures writes a few metrics: "auc 0.641, logloss 0.489". The primary one comes first when it is given.
func Figures(metrics map[string]float64, primary string) string {
	names := slices.Concat([]string{primary}, first)
	if !slices.ContainsFunc(names, func(n string) bool { _, ok := metrics[n]; return ok }) {
		names = slices.Sorted(maps.Keys(metrics))
	}
	var out []string
	seen := map[string]bool{}
	for _, name := range names {
		if v, ok := metrics[name]; ok && !seen[name] && len(out) < 3 {
			seen[name] = true
			out = append(out, name+" "+Figure(v))
		}
	}
	return strings.Join(out, ", ")
}

// Reasons writes why rows were refused, the most frequent first: "12 belowMin, 3 wrongType".
func Reasons(reasons map[string]int64) string {
	names := slices.Sorted(maps.Keys(reasons))
	slices.SortStableFunc(names, func(a, b string) int { return int(reasons[b] - reasons[a]) })
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = Count(reasons[name]) + " " + name
	}
	return strings.Join(out, ", ")
}

// because adds a reason to a sentence when there is one.
func because(reason string) string {
	if reason = strings.TrimSuffix(strings.TrimSpace(reason), "."); reason == "" {
		return ""
	}
	return ": " + reason
}

// by names a person when one is known.
func by(name string) string {
	if name == "" {
		return ""
	}
	return " by " + name
}

// sentence begins with a capital and ends with one full stop.
func sentence(format string, args ...any) string {
	s := strings.TrimSpace(fmt.Sprintf(format, args...))
	if s == "" {
		return s
	}
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
