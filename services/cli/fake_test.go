package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/cli"
)

var update = flag.Bool("update", false, "write the golden files anew: go test ./services/cli -update")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// fake is a Tidemill that knows what it was told.
type fake struct {
	t        *testing.T
	url      string
	mu       sync.Mutex
	answers  map[string]http.HandlerFunc // by "METHOD /path"
	prefixes map[string]http.HandlerFunc
	asked    []request
}

// request is what somebody asked.
type request struct{ line, query, contentType, accept, body string }

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, answers: map[string]http.HandlerFunc{}, prefixes: map[string]http.HandlerFunc{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	line := r.Method + " " + r.URL.Path
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	f.asked = append(f.asked, request{line, r.URL.RawQuery, r.Header.Get("Content-Type"), r.Header.Get("Accept"), string(body)})
	answer := f.answers[line]
	for prefix, any := range f.prefixes {
		if answer == nil && strings.HasPrefix(line, prefix) {
			answer = any
		}
	}
	f.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "Bearer secret":
		problem(w, api.Problem{Status: http.StatusUnauthorized, Detail: "the token is wrong"})
	case answer == nil:
		problem(w, api.Problem{Status: http.StatusNotFound, Detail: "there is no " + line, Hint: "nobody told the fake"})
	default:
		answer(w, r)
	}
}

func problem(w http.ResponseWriter, p api.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// on answers a request by a function.
func (f *fake) on(line string, answer http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[line] = answer
}

// onAny answers all requests that begin so.
func (f *fake) onAny(prefix string, answer http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prefixes[prefix] = answer
}

// say answers a request always the same.
func (f *fake) say(line string, v any) {
	f.on(line, func(w http.ResponseWriter, _ *http.Request) { reply(w, v) })
}

// refuse answers a request with a problem.
func (f *fake) refuse(line string, p api.Problem) {
	f.on(line, func(w http.ResponseWriter, _ *http.Request) { problem(w, p) })
}

// asks are the requests to one place.
func (f *fake) asks(line string) (out []request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.asked {
		if r.line == line {
			out = append(out, r)
		}
	}
	return out
}

// buffer can be written and read at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// terminal is one command line that runs.
type terminal struct {
	config   cli.Config
	out, err *buffer
	env      map[string]string
}

func newTerminal(isTerminal bool) *terminal {
	x := &terminal{out: &buffer{}, err: &buffer{}, env: map[string]string{}}
	x.config = cli.Config{Version: "1.2.3", Targets: []string{"gateway", "ingestion", "worker"}, In: strings.NewReader(""), Out: x.out, Err: x.err,
		IsTerminal: func(any) bool { return isTerminal }, Getenv: func(name string) string { return x.env[name] },
		Width: func() int { return 80 }}
	return x
}

func (x *terminal) run(ctx context.Context, f *fake, args ...string) int {
	if f != nil {
		args = append([]string{"--url", f.url, "--token", "secret"}, args...)
	}
	return cli.New(x.config).Run(ctx, args)
}

type result struct {
	code     int
	out, err string
}

// run runs a command where no person looks.
func run(t *testing.T, f *fake, args ...string) result {
	t.Helper()
	return runWith(t, f, "", args...)
}

func runWith(t *testing.T, f *fake, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	x := newTerminal(false)
	x.config.In = strings.NewReader(stdin)
	code := x.run(ctx, f, args...)
	return result{code, x.out.String(), x.err.String()}
}

// session runs commands and writes down what a person would see.
func session(t *testing.T, f *fake, commands ...[]string) string {
	t.Helper()
	var b strings.Builder
	for _, args := range commands {
		r := run(t, f, args...)
		fmt.Fprintf(&b, "$ tidemill %s\n%s%s", strings.Join(args, " "), r.out, r.err)
		if r.code != 0 {
			fmt.Fprintf(&b, "[exit %d]\n", r.code)
		}
		b.WriteString("\n")
	}
	text := b.String()
	if f != nil {
		text = strings.ReplaceAll(text, f.url, "http://tidemill")
	}
	return text
}

// golden compares with a file, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "write it with: go test ./services/cli -update")
	require.Equal(t, string(want), got, "when this is as it should be: go test ./services/cli -update")
}

// eventually polls until check holds.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !check(); {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
