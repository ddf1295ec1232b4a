package cli_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/services/api"
)

func split(lines string) (out [][]string) {
	for l := range strings.Lines(lines) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, strings.Fields(l))
		}
	}
	return out
}

func TestReadingCommands(t *testing.T) {
	t.Parallel()
	golden(t, "read.txt", session(t, airline(t), split(`
		get datasets
		get dataset flights
		get segments
		get segment flights@1149
		get segment 1150 --dataset flights
		get segment flights@7
		get batch b1 --dataset flights
		get models
		get model flight-delay
		get policies
		get policy flight-delay
		get policy flight-delay --declared
		get cycles
		get cycles --limit 1
		get cycle flight-delay-2
		get trials flight-delay-3
		get trials --cycle flight-delay-2
		get versions
		get version flight-delay@v2
		get version flight-delay@9
		get alerts
		get alerts --model flight-delay
		get alert a2
		get workers
		get worker mill-1-4711
		get worker mill-3
		get status
		why flight-delay
		why-not flight-delay
		quarantine list flights
		quarantine show flights 1005
		dead list
		dead show 1007
	`)...))
}

func TestDecidingCommands(t *testing.T) {
	t.Parallel()
	golden(t, "decide.txt", session(t, airline(t), split(`
		quarantine release flights 1005
		quarantine drop flights 1005
		pause flight-delay
		resume flight-delay
		dead replay 1007
		link
	`)...))
}

func TestMachinesReadTheAPI(t *testing.T) {
	t.Parallel()
	f := airline(t)
	golden(t, "formats.txt", session(t, f, split(`
		get datasets -o json
		get trials flight-delay-3 -o yaml
		quarantine list flights -o yaml
		why-not flight-delay -o json
	`)...))
	for _, kind := range []string{"datasets", "models", "policies", "cycles", "versions", "segments", "alerts"} {
		r := run(t, f, "get", kind, "-o", "json")
		require.Zero(t, r.code, r.err)
		var list api.List[json.RawMessage]
		require.NoError(t, json.Unmarshal([]byte(r.out), &list), kind)
		require.NotEmpty(t, list.Items, kind)
	}
	f.say("GET /api/v1/dead", struct{}{})
	require.Equal(t, "{\n  \"items\": []\n}\n", run(t, f, "dead", "list", "-o", "json").out, "an empty list is no null")
	require.Equal(t, "none\n", run(t, f, "dead", "list").out)
}

func TestWrongUse(t *testing.T) {
	t.Parallel()
	golden(t, "wrong.txt", session(t, airline(t), split(`
		pubish flights x.csv
		xyzzy
		publish flights
		publish flights a.csv b.csv
		publish flights a.csv --wiat
		publish flights a.csv --format docx
		get
		get modles
		get models -o xml
		get cycles --limit 0
		get cycle flight-delay
		get trials
		get batch
		get batch b1
		get version 2
		get datasets --declared
		delete cycle flight-delay-2
		quarantine
		quarantine lst flights
		quarantine release flights first
		retrain flight-delay --window tumbling
		subscribe
		subscribe model.reddy
		subscribe policy.evaluated
		subscribe model.ready --durable My_Hook
		apply
		init rows.csv
		up --target ingest
		up --target nothing-like-it
		up --once
		up --demo --once --data-dir here
		up --log-level loud
		worker
		worker --nats-url nats://nats:4222
		worker --slots 0 --nats-url nats://nats:4222 --blob-url file:///b
	`)...))
	for line := range strings.Lines(session(t, airline(t), []string{"get", "batch", "b1"})) {
		require.NotContains(t, line, "goroutine")
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	f := airline(t)
	f.refuse("GET /api/v1/models/flight-dela", api.Problem{Status: 404, Detail: `there is no model "flight-dela"`, Hint: `did you mean "flight-delay"?`})
	f.on("GET /api/v1/status", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad gateway", http.StatusBadGateway) })
	golden(t, "fail.txt", session(t, f, split(`
		get model flight-dela
		get status
		publish flights no-such-file.csv
		publish flights testdata
		publish flights cli.go
		predict flight-delay no-such-file.csv
		apply -f no-such-file.yaml
		apply -f render
		init no-such-file.csv --label x
	`)...))
	x := newTerminal(false)
	require.Equal(t, 1, x.run(t.Context(), nil, "--url", f.url, "--token", "wrong", "get", "models"))
	require.Equal(t, "error: the token is wrong\n  give the token with --token or TIDEMILL_TOKEN\n", x.err.String())
	x = newTerminal(false)
	require.Equal(t, 1, x.run(t.Context(), nil, "--url", "http://127.0.0.1:1", "--token", "x", "get", "models"))
	require.Contains(t, x.err.String(), "nothing answers at http://127.0.0.1:1")
}

// TestHelp holds the help of every command to its text, and every command to having help with an example.
func TestHelp(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	var look func(path ...string)
	look = func(path ...string) {
		r := run(t, nil, append(path, "--help")...)
		require.Zero(t, r.code)
		fmt.Fprintf(&b, "$ tidemill %s--help\n%s\n", strings.Join(append(path, ""), " "), r.out)
		if len(path) > 0 {
			require.Contains(t, r.out, "Examples:", path)
		}
		if len(path) == 2 {
			return
		}
		for line := range strings.Lines(run(t, nil, append(append([]string{"__complete"}, path...), "")...).out) {
			name, what, ok := strings.Cut(strings.TrimSpace(line), "\t")
			if ok && what != "" && name != "help" && name != "completion" {
				look(append(path, name)...)
			}
		}
	}
	look()
	golden(t, "help.txt", b.String())
	require.Equal(t, "tidemill 1.2.3\n", run(t, nil, "--version").out)
	require.True(t, strings.HasPrefix(run(t, nil, "version").out, "tidemill 1.2.3 ("))
	for line := range strings.Lines(b.String()) {
		require.LessOrEqual(t, len([]rune(line)), 160, line)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	f := airline(t)
	for line, want := range map[string][]string{
		"get mo":                        {"models"},
		"get model ":                    {"flight-delay", "train-delay"},
		"get cycle ":                    {"flight-delay-3", "flight-delay-2"},
		"get dataset fl":                {"flights"},
		"get policy ":                   {"flight-delay"},
		"get cycles --model t":          {"train-delay"},
		"delete policy ":                {"flight-delay"},
		"publish t":                     {"trains"},
		"why f":                         {"flight-delay"},
		"rollback flight-delay --to ":   {"2", "1"},
		"quarantine list ":              {"flights", "trains"},
		"quarantine re":                 {"release\tLet refused rows back in, without the checks of their values"},
		"get models -o ":                {"table", "json", "yaml"},
		"up --target ":                  {"all", "gateway", "ingestion", "worker"},
		"retrain flight-delay another ": nil,
	} {
		words := strings.Split(line, " ")
		r := run(t, f, append([]string{"__complete"}, words...)...)
		require.Zero(t, r.code, line)
		var got []string
		for l := range strings.Lines(r.out) {
			if l = strings.TrimSuffix(l, "\n"); !strings.HasPrefix(l, ":") {
				got = append(got, l)
			}
		}
		require.Equal(t, want, got, line)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		require.Contains(t, run(t, nil, "completion", shell).out, "tidemill")
	}
}
