package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// event is one line of `go test -json` (see `go doc test2json`), build output included.
type event struct {
	Action      string
	Package     string
	ImportPath  string // build-output, build-fail
	Test        string
	Output      string
	Elapsed     float64 // seconds
	FailedBuild string  // fail of a package: the import path that did not build
}

type counts struct{ passed, failed, skipped int }

func (c counts) String() string {
	s := fmt.Sprintf("%d passed, %d failed", c.passed, c.failed)
	if c.skipped > 0 {
		s += fmt.Sprintf(", %d skipped", c.skipped)
	}
	return s
}

// summary folds events into counts. Subtests count like tests, as in other runners.
type summary struct {
	out    io.Writer
	counts counts
	// output holds what a package or test that still runs has printed, keyed by package and test.
	output   map[[2]string]*strings.Builder
	builds   map[string]*strings.Builder
	failures []string
	skips    []string
	// blamed has the packages with a failed test: their own fail event adds nothing.
	blamed map[string]bool
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, output: map[[2]string]*strings.Builder{}, builds: map[string]*strings.Builder{}, blamed: map[string]bool{}}
}

// read takes events until r ends. A line that is no event is passed on as it is: the go command mixes such lines in.
func (s *summary) read(r io.Reader) error {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) == nil && e.Action != "" {
				s.add(e)
			} else {
				fmt.Fprint(s.out, line)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) add(e event) {
	key := [2]string{e.Package, e.Test}
	switch e.Action {
	case "output":
		write(s.output, key, e.Output)
	case "build-output":
		write(s.builds, e.ImportPath, e.Output)
	case "pass", "skip":
		s.finished(e)
		delete(s.output, key)
	case "fail":
		s.fail(e)
		delete(s.output, key)
	}
}

func (s *summary) finished(e event) {
	switch {
	case e.Test == "":
		if e.Action == "pass" {
			s.ended("ok", e.Package, e.Elapsed)
		}
	case e.Action == "pass":
		s.counts.passed++
	default:
		s.counts.skipped++
		s.skips = append(s.skips, name(e))
	}
}

func (s *summary) fail(e event) {
	said := textOf(s.output, [2]string{e.Package, e.Test})
	if e.Test != "" {
		s.blamed[e.Package] = true
		s.failed(name(e), said)
		return
	}
	s.ended("FAIL", e.Package, e.Elapsed)
	if e.FailedBuild != "" {
		s.failed(e.Package+" (build)", textOf(s.builds, e.FailedBuild))
		return
	}
	// A panic, a time-out or a TestMain's exit ends a package without a word from its tests.
	if !s.blamed[e.Package] {
		s.failed(e.Package, said)
	}
}

func (s *summary) ended(how, what string, seconds float64) {
	fmt.Fprintf(s.out, "%-5s %s  %.1fs\n", how, what, seconds)
}

// failed counts one failure and prints what it said.
func (s *summary) failed(what, text string) {
	s.counts.failed++
	s.failures = append(s.failures, what)
	fmt.Fprintf(s.out, "--- FAIL: %s\n%s", what, text)
}

func (s *summary) ok() bool { return s.counts.failed == 0 && s.counts.passed > 0 }

func (s *summary) print(took time.Duration) {
	fmt.Fprintf(s.out, "\ntests took %s\n", took.Round(time.Second))
	for _, skip := range s.skips {
		fmt.Fprintf(s.out, "skipped: %s\n", skip)
	}
	for _, failure := range s.failures {
		fmt.Fprintf(s.out, "failed: %s\n", failure)
	}
	if s.counts.passed+s.counts.failed == 0 {
		fmt.Fprintln(s.out, "no test ran: that counts as a failure")
	}
	fmt.Fprintln(s.out, s.counts)
}

func name(e event) string { return e.Package + " " + e.Test }

func write[K comparable](m map[K]*strings.Builder, key K, text string) {
	b := m[key]
	if b == nil {
		b = &strings.Builder{}
		m[key] = b
	}
	b.WriteString(text)
}

func textOf[K comparable](m map[K]*strings.Builder, key K) string {
	if b := m[key]; b != nil {
		return b.String()
	}
	return ""
}
