package render

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Count groups digits: 300,000.
func Count[T ~int | ~int64 | ~uint64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// ID is a number that names something, as people copy it: no groups, and "" for 0.
func ID[T ~int | ~int64 | ~uint64](n T) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// Time is short and in UTC; "" for the zero time.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// Span is a duration as people say it: 340ms, 12.3s, 4m10s, 3h05m.
func Span(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}

// Bytes is a size: 512 B, 13.5 MB.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"kB", "MB", "GB", "TB"} {
		if f /= 1000; f < 999.95 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// Figure is a metric's value: four significant digits, and every digit before the point.
func Figure(f float64) string {
	if math.Abs(f) >= 1000 && math.Abs(f) < 1e15 {
		return Count(int64(math.Round(f)))
	}
	return strconv.FormatFloat(f, 'g', 4, 64)
}

// Brief is Figures of the few metrics that tell most.
func Brief(metrics map[string]float64) string {
	var out []string
	for _, name := range []string{"auc", "logloss", "accuracy", "rmse", "mae", "r2"} {
		if f, ok := metrics[name]; ok && len(out) < 3 {
			out = append(out, name+" "+Figure(f))
		}
	}
	if len(out) == 0 {
		return Figures(metrics, "")
	}
	return strings.Join(out, ", ")
}

// Figures are metrics, first before the others in order of name: "logloss 0.4853, auc 0.641".
func Figures(metrics map[string]float64, first string) string {
	names := slices.SortedFunc(maps.Keys(metrics), func(a, b string) int {
		return cmp.Or(before(b == first, a == first), strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = name + " " + Figure(metrics[name])
	}
	return strings.Join(names, ", ")
}

func before(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Reasons are refusals with their counts, the most frequent first: "belowMin 100, future 29".
func Reasons(counts map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = name + " " + Count(counts[name])
	}
	return strings.Join(names, ", ")
}

// Value is any JSON value on one line; texts without their quotes where nothing is lost.
func Value(v any) string {
	if s, ok := v.(string); ok && s != "" && !strings.ContainsAny(s, "\n\"") && strings.TrimSpace(s) == s {
		return s
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Cut shortens a line to width columns.
func Cut(s string, width int) string {
	r := []rune(s)
	if width <= 0 || len(r) <= width {
		return s
	}
	return string(r[:width-1]) + "…"
}

// Bar is a progress bar of width columns; fraction is 0 to 1.
func Bar(fraction float64, width int) string {
	full := int(min(max(fraction, 0), 1)*float64(width) + 0.5)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}
