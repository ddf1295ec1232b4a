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
	"unicode"
	"unicode/utf8"

	"github.com/tidemill/tidemill/core/resource"
)

const (
	tailLines  = 50       // of the log that a result keeps
	maxLine    = 16 << 10 // bytes of a line; the rest of it is a line of its own
	maxShown   = 1000     // bytes of a line in facts; the log has all of it
	maxMetrics = 200      // that a trainer may report, by name
	maxName    = 100      // bytes of a metric's name
)

// output takes what a trainer prints, line by line: it keeps a log and the last lines, and reads metrics. Secrets are masked
// before anything else sees a line. It is safe for concurrent use.
type output struct {
	mask masker // set before the first line

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
	s = o.mask.hide(printable(s))
	found := o.read(s)
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintln(o.log, s)
	for name, v := range found {
		if name == metricProgress {
			continue
		}
		if _, known := o.metrics[name]; !known && len(o.metrics) >= maxMetrics {
			delete(found, name)
			continue
		}
		o.metrics[name] = v
	}
	s = shorten(s, maxShown)
	o.tail = append(o.tail, s)
	if len(o.tail) > tailLines {
		o.tail = slices.Delete(o.tail, 0, len(o.tail)-tailLines)
	}
	if o.onLine != nil {
		o.onLine(s, found)
	}
}

// printable replaces what is no text, so that a line is about as long in JSON as it is here. Colours of terminals go.
func printable(s string) string {
	plain := !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) && r != '\t' })
	if plain {
		return s
	}
	s = strings.ToValidUTF8(colours.ReplaceAllString(s, ""), "\uFFFD")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return '\uFFFD'
		}
		return r
	}, s)
}

// colours are the control sequences of terminals (ECMA-48, section 5.4).
var colours = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]")

// shorten cuts a text to about so many bytes.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + " …"
}

// metricProgress is the number by which a trainer says how far it is, from 0 to 1.
const metricProgress = "progress"

// noNumbers are what Python writes for numbers that JSON doesn't have.
var noNumbers = regexp.MustCompile(`([:,\[]\s*)-?(NaN|Infinity)\b`)

// read finds the metrics of a line: the finite numbers of a JSON object, or what declared expressions match.
func (o *output) read(s string) map[string]float64 {
	found := map[string]float64{}
	if text := strings.TrimSpace(s); strings.HasPrefix(text, "{") {
		var object map[string]any
		err := json.Unmarshal([]byte(text), &object)
		if err != nil && noNumbers.MatchString(text) {
			object = nil
			err = json.Unmarshal(noNumbers.ReplaceAll([]byte(text), []byte("${1}null")), &object)
		}
		for name, v := range object {
			if n, ok := v.(float64); ok && err == nil && name != "" && len(name) <= maxName {
				found[name] = n
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
	mask    masker // no secret is cut in two, and so shown
	pending []byte
}

// Write takes the next bytes of the stream.
func (l *lines) Write(b []byte) (int, error) {
	for _, c := range b {
		if c == '\n' || c == '\r' {
			l.flush()
			continue
		}
		if l.pending = append(l.pending, c); len(l.pending) >= maxLine+l.mask.longest {
			l.cut()
		}
	}
	return len(b), nil
}

// flush hands over the pending line; empty lines are left out.
func (l *lines) flush() {
	if len(l.pending) > 0 {
		l.to(l.mask.hide(string(l.pending)))
		l.pending = l.pending[:0]
	}
}

// cut hands over a line that has no end yet, but for what may be the beginning of a secret.
func (l *lines) cut() {
	s := l.mask.hide(string(l.pending))
	keep := min(max(l.mask.longest-1, 0), len(s))
	l.pending = append(l.pending[:0], s[len(s)-keep:]...)
	if s = s[:len(s)-keep]; s != "" {
		l.to(s)
	}
}
