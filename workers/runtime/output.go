package runtime

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tidemill/tidemill/core/resource"
)

const (
	tailLines = 50       // of the log that a result keeps
	maxLine   = 16 << 10 // bytes of a line; the rest of it is a line of its own
)

// output takes what a trainer prints, line by line: it keeps a log and the last lines, and reads metrics. It is safe for
// concurrent use.
type output struct {
	mu       sync.Mutex
	log      io.Writer
	tail     []string
	metrics  map[string]float64
	patterns []pattern
	onLine   func(line string, metrics map[string]float64)
}

type pattern struct {
	name  string
	regex *regexp.Regexp
}

// newOutput compiles the candidate's expressions. onLine is called for each line with the metrics that it reported.
func newOutput(log io.Writer, declared []resource.MetricRegex, onLine func(string, map[string]float64)) (*output, error) {
	o := &output{log: log, metrics: map[string]float64{}, onLine: onLine}
	for _, m := range declared {
		r, err := regexp.Compile(m.Regex)
		if err != nil {
			return nil, failed("the expression of metric %s is wrong: %v", m.Name, err)
		}
		if r.NumSubexp() < 1 {
			return nil, failed("the expression of metric %s needs a group around the number: %s", m.Name, m.Regex)
		}
		o.patterns = append(o.patterns, pattern{m.Name, r})
	}
	return o, nil
}

// line takes one line, without its end.
func (o *output) line(s string) {
	s = strings.ToValidUTF8(s, "\uFFFD")
	found := o.read(s)
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintln(o.log, s)
	o.tail = append(o.tail, s)
	if len(o.tail) > tailLines {
		o.tail = slices.Delete(o.tail, 0, len(o.tail)-tailLines)
	}
	for name, v := range found {
		if name != metricProgress {
			o.metrics[name] = v
		}
	}
	if o.onLine != nil {
		o.onLine(s, found)
	}
}

// metricProgress is the number by which a trainer says how far it is, from 0 to 1.
const metricProgress = "progress"

// read finds the metrics of a line: the finite numbers of a JSON object, or what declared expressions match.
func (o *output) read(s string) map[string]float64 {
	found := map[string]float64{}
	if text := strings.TrimSpace(s); strings.HasPrefix(text, "{") {
		var object map[string]any
		if json.Unmarshal([]byte(text), &object) == nil {
			for name, v := range object {
				if n, ok := v.(float64); ok {
					found[name] = n
				}
			}
		}
	}
	for _, p := range o.patterns {
		if m := p.regex.FindStringSubmatch(s); m != nil {
			if v, err := strconv.ParseFloat(m[1], 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
				found[p.name] = v
			}
		}
	}
	return found
}

func (o *output) last() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.tail)
}

func (o *output) reported() map[string]float64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make(map[string]float64, len(o.metrics))
	for k, v := range o.metrics {
		out[k] = v
	}
	return out
}

// lines cuts a stream into lines. A carriage return ends a line too: progress bars end theirs so.
type lines struct {
	to      func(string)
	pending []byte
}

// Write takes the next bytes of the stream.
func (l *lines) Write(b []byte) (int, error) {
	for _, c := range b {
		if c == '\n' || c == '\r' {
			l.flush()
			continue
		}
		if l.pending = append(l.pending, c); len(l.pending) >= maxLine {
			l.flush()
		}
	}
	return len(b), nil
}

// flush hands over the pending line; empty lines are left out.
func (l *lines) flush() {
	if len(l.pending) > 0 {
		l.to(string(l.pending))
		l.pending = l.pending[:0]
	}
}
