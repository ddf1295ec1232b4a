package events

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that people write with days and weeks too: "90s", "2s", "24h", "7d", "4w", "1d12h".
type Duration time.Duration

// ParseDuration reads a Duration; only whole or decimal numbers with the units ns us ms s m h d w are allowed.
func ParseDuration(s string) (Duration, error) {
	bad := fmt.Errorf("%q is not a duration; write a number and a unit (s, m, h, d, w), for example 90s, 24h or 7d", s)
	rest, total := s, time.Duration(0)
	if s == "0" {
		return 0, nil
	}
	if s == "" {
		return 0, bad
	}
	for rest != "" {
		i := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i <= 0 {
			return 0, bad
		}
		j := strings.IndexFunc(rest[i:], func(r rune) bool { return r >= '0' && r <= '9' })
		if j < 0 {
			j = len(rest) - i
		}
		n, err := strconv.ParseFloat(rest[:i], 64)
		unit, ok := units[rest[i:i+j]]
		if err != nil || !ok {
			return 0, bad
		}
		if n*float64(unit) > math.MaxInt64/2-float64(total) {
			return 0, fmt.Errorf("%q is longer than 146 years", s)
		}
		total += time.Duration(n * float64(unit))
		rest = rest[i+j:]
	}
	return Duration(total), nil
}

var units = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute,
	"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// Std is the duration as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes whole days as days: "7d", "36h0m0s", "2s".
func (d Duration) String() string {
	if day := 24 * time.Hour; d != 0 && d.Std()%day == 0 {
		return fmt.Sprintf("%dd", d.Std()/day)
	}
	return d.Std().String()
}

// MarshalText writes String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads ParseDuration's form.
func (d *Duration) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDuration(string(b))
	return err
}

// How a sample is drawn.
const (
	SampleReservoir = "reservoir" // each row as likely as any other
	SampleBalanced  = "balanced"  // as many rows of each class, as far as there are
)

// Window selects which rows before the hold-out a model trains on. At most one of Duration, Rows, Segments and Sample is
// set: the first three for a sliding window, Sample for that many rows drawn from all; none is set for an expanding one
// (all rows).
type Window struct {
	Duration Duration `json:"duration,omitempty" yaml:"duration,omitempty"`
	Rows     int64    `json:"rows,omitempty" yaml:"rows,omitempty"`
	Segments int64    `json:"segments,omitempty" yaml:"segments,omitempty"`
	Sample   int64    `json:"sample,omitempty" yaml:"sample,omitempty"` // rows
	Method   string   `json:"method,omitempty" yaml:"method,omitempty"` // of the sample: reservoir or balanced
}

// Expanding reports whether the window takes every row.
func (w Window) Expanding() bool { return w == Window{} }

// ParseWindow reads what people type: "expanding", "sliding 7d", "sliding 50000rows", "sliding 12segments", "sample 50000rows" or
// "sample 50000rows balanced".
func ParseWindow(s string) (Window, error) {
	bad := fmt.Errorf("%q is not a window; write 'expanding', 'sliding 7d', 'sliding 50000rows', 'sliding 12segments' or 'sample 50000rows [balanced]'", s)
	f := strings.Fields(s)
	switch {
	case len(f) == 1 && f[0] == "expanding":
		return Window{}, nil
	case len(f) > 1 && f[0] == "sample":
		w, ok := parseSample(f[1:])
		if !ok {
			return Window{}, bad
		}
		return w, nil
	case len(f) != 2 || f[0] != "sliding":
		return Window{}, bad
	}
	for unit, set := range map[string]func(n int64) Window{
		"rows":     func(n int64) Window { return Window{Rows: n} },
		"segments": func(n int64) Window { return Window{Segments: n} },
	} {
		if text, ok := strings.CutSuffix(f[1], unit); ok {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n <= 0 {
				return Window{}, bad
			}
			return set(n), nil
		}
	}
	d, err := ParseDuration(f[1])
	if err != nil || d <= 0 {
		return Window{}, bad
	}
	return Window{Duration: d}, nil
}

func parseSample(f []string) (Window, bool) {
	text, ok := strings.CutSuffix(f[0], "rows")
	n, err := strconv.ParseInt(text, 10, 64)
	w := Window{Sample: n, Method: SampleReservoir}
	if len(f) == 2 {
		w.Method = f[1]
	}
	return w, ok && err == nil && n > 0 && len(f) <= 2 && (w.Method == SampleReservoir || w.Method == SampleBalanced)
}

// String is ParseWindow's form.
func (w Window) String() string {
	switch {
	case w.Sample > 0 && w.Method == SampleBalanced:
		return fmt.Sprintf("sample %drows balanced", w.Sample)
	case w.Sample > 0:
		return fmt.Sprintf("sample %drows", w.Sample)
	case w.Duration > 0:
		return "sliding " + w.Duration.String()
	case w.Rows > 0:
		return fmt.Sprintf("sliding %drows", w.Rows)
	case w.Segments > 0:
		return fmt.Sprintf("sliding %dsegments", w.Segments)
	}
	return "expanding"
}

// windowWire is the form of YAML: {expanding: {}}, {sliding: {duration: 7d}} or {sample: {rows: 50000, method: balanced}}.
type windowWire struct {
	Expanding *struct{} `json:"expanding,omitempty"`
	Sliding   *struct {
		Duration Duration `json:"duration,omitempty"`
		Rows     int64    `json:"rows,omitempty"`
		Segments int64    `json:"segments,omitempty"`
	} `json:"sliding,omitempty"`
	Sample *struct {
		Rows   int64  `json:"rows"`
		Method string `json:"method"`
	} `json:"sample,omitempty"`
}

// MarshalJSON writes {"expanding":{}}, {"sliding":{…}} or {"sample":{…}}.
func (w Window) MarshalJSON() ([]byte, error) {
	switch {
	case w.Expanding():
		return []byte(`{"expanding":{}}`), nil
	case w.Sample > 0:
		return json.Marshal(map[string]any{"sample": map[string]any{"rows": w.Sample, "method": w.Method}})
	case w.Duration > 0:
		return json.Marshal(map[string]any{"sliding": map[string]any{"duration": w.Duration}})
	case w.Rows > 0:
		return json.Marshal(map[string]any{"sliding": map[string]any{"rows": w.Rows}})
	}
	return json.Marshal(map[string]any{"sliding": map[string]any{"segments": w.Segments}})
}

// UnmarshalJSON reads MarshalJSON's form.
func (w *Window) UnmarshalJSON(b []byte) error {
	var x windowWire
	if err := json.Unmarshal(b, &x); err != nil {
		return fmt.Errorf("window: %w", err)
	}
	*w = Window{}
	if x.Sample != nil {
		*w = Window{Sample: x.Sample.Rows, Method: x.Sample.Method}
		if w.Method == "" {
			w.Method = SampleReservoir
		}
		if w.Sample <= 0 || (w.Method != SampleReservoir && w.Method != SampleBalanced) {
			return fmt.Errorf("window: a sample needs rows above 0 and the method %s or %s", SampleReservoir, SampleBalanced)
		}
		return nil
	}
	if x.Sliding == nil {
		return nil
	}
	*w = Window{Duration: x.Sliding.Duration, Rows: x.Sliding.Rows, Segments: x.Sliding.Segments}
	if w.Expanding() {
		return fmt.Errorf("window: sliding needs one of duration, rows or segments")
	}
	return nil
}
