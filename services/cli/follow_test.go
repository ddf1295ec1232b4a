package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

const factsPath = "GET /api/v1/facts"

func fact(t *testing.T, seq uint64, ty events.Type, subject, text string, payload any) api.FactEvent {
	t.Helper()
	f, err := events.NewFact(fmt.Sprintf("id-%d", seq), ty, "test", subject, at(9, 0), payload)
	require.NoError(t, err)
	f.Seq = seq
	return api.FactEvent{Fact: f, Text: text}
}

func ready(t *testing.T, seq uint64, version, reason string) api.FactEvent {
	t.Helper()
	return fact(t, seq, events.ModelReadyType, "flight-delay", "Version "+version+" is champion.",
		events.ModelReady{Version: events.Version{Model: "flight-delay", Version: version}, Reason: reason})
}

// send writes server-sent events.
func send(w http.ResponseWriter, list ...any) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, x := range list {
		b, _ := json.Marshal(x)
		switch x := x.(type) {
		case api.FactEvent:
			fmt.Fprintf(w, "id: %d\nevent: fact\ndata: %s\n\n", x.Seq, b)
		case events.TrialProgressed:
			fmt.Fprintf(w, "event: progress\ndata: %s\n\n", b)
		case api.Rates:
			fmt.Fprintf(w, "event: rates\ndata: %s\n\n", b)
		}
	}
	w.(http.Flusher).Flush()
}

// until runs a command without an end until check holds, and interrupts it.
func until(t *testing.T, x *terminal, f *fake, check func() bool, args ...string) int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan int, 1)
	go func() { ended <- x.run(ctx, f, args...) }()
	eventually(t, strings.Join(args, " ")+"\n"+x.out.String()+x.err.String(), func() bool {
		select {
		case code := <-ended:
			t.Fatalf("%v ended by itself with %d:\n%s%s", args, code, x.out, x.err)
		default:
		}
		return check()
	})
	cancel()
	select {
	case code := <-ended:
		return code
	case <-time.After(20 * time.Second):
		t.Fatalf("%v did not end when it was interrupted", args)
		return -1
	}
}

func TestSubscribeGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var calls atomic.Int64
	f.on(factsPath, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			send(w, ready(t, 7, "1", "promoted"), api.Rates{}) // and the connection is lost
			return
		}
		send(w, ready(t, 9, "2", "promoted"))
		<-r.Context().Done()
	})
	x := newTerminal(false)
	code := until(t, x, f, func() bool { return strings.Count(x.out.String(), "\n") == 2 }, "subscribe", "model.ready", "cycle.ended", "--model", "flight-delay", "--since", "-3")
	require.Zero(t, code, "who has seen enough did not fail")
	for i, line := range strings.Split(strings.TrimSpace(x.out.String()), "\n") {
		var got api.FactEvent
		require.NoError(t, json.Unmarshal([]byte(line), &got))
		require.EqualValues(t, 7+2*i, got.Seq)
		require.Contains(t, line, `"text":"Version`)
	}
	require.Equal(t, 1, strings.Count(x.err.String(), "connection is lost"))
	asks := f.asks(factsPath)
	require.Equal(t, "follow=true&model=flight-delay&since=-3&types=model.ready%2Ccycle.ended", asks[0].query)
	require.Contains(t, asks[1].query, "since=8")
}

func TestSubscribeFailsWhenItIsRefused(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.refuse(factsPath, api.Problem{Status: 404, Detail: `there is no model "x"`})
	require.Equal(t, result{1, "", "error: there is no model \"x\"\n"}, run(t, f, "subscribe", "model.ready", "--model", "x"))
	f.refuse("GET /api/v1/subscriptions/hook/next", api.Problem{Status: 404, Detail: `there is no model "x"`})
	require.Equal(t, result{1, "", "error: there is no model \"x\"\n"}, run(t, f, "subscribe", "model.ready", "--model", "x", "--durable", "hook"))
}

// TestDurableSubscription runs a command that fails at first, and a gateway that is away for a while: every fact is done once,
// and acknowledged after it was done.
func TestDurableSubscription(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	dir := t.TempDir()
	var nexts, acks atomic.Int64
	f.on("GET /api/v1/subscriptions/hook/next", func(w http.ResponseWriter, r *http.Request) {
		switch nexts.Add(1) {
		case 1:
			w.WriteHeader(http.StatusNoContent)
		case 2:
			reply(w, ready(t, 7, "3", "promoted"))
		case 3:
			reply(w, ready(t, 9, "4", "promoted"))
		default:
			<-r.Context().Done()
		}
	})
	f.on("POST /api/v1/subscriptions/hook/ack", func(w http.ResponseWriter, _ *http.Request) {
		if acks.Add(1) == 1 {
			problem(w, api.Problem{Status: 503, Detail: "away"})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	hook := write(t, dir, "hook.sh", `cd `+dir+`
		if [ ! -e tried ]; then touch tried; exit 3; fi
		read -r line
		case "$line" in *'"sequence":"'*) ;; *) exit 4;; esac
		echo "$TIDEMILL_FACT_TYPE $TIDEMILL_MODEL $TIDEMILL_VERSION" >>done`)
	x := newTerminal(false)
	code := until(t, x, f, func() bool { return acks.Load() == 3 && nexts.Load() == 4 }, "subscribe", "model.ready", "--durable", "hook", "--since", "1", "--exec", "sh "+hook)
	require.Zero(t, code)
	b, err := os.ReadFile(filepath.Join(dir, "done"))
	require.NoError(t, err)
	require.Equal(t, "model.ready flight-delay 3\nmodel.ready flight-delay 4\n", string(b))
	require.Contains(t, x.err.String(), "exit status 3; trying again")
	asks := f.asks("POST /api/v1/subscriptions/hook/ack")
	require.Equal(t, []string{`{"seq":7}`, `{"seq":7}`, `{"seq":9}`}, []string{asks[0].body, asks[1].body, asks[2].body})
	require.Equal(t, "since=1&types=model.ready&wait=30s", f.asks("GET /api/v1/subscriptions/hook/next")[0].query)
}

// TestInterruptedCommandComesAgain leaves a fact unacknowledged whose command was stopped in the middle.
func TestInterruptedCommandComesAgain(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	dir := t.TempDir()
	f.say("GET /api/v1/subscriptions/hook/next", ready(t, 7, "3", "promoted"))
	began := filepath.Join(dir, "began")
	x := newTerminal(false)
	code := until(t, x, f, func() bool { _, err := os.Stat(began); return err == nil }, "subscribe", "model.ready", "--durable", "hook", "--exec", "touch "+began+"; exec sleep 600")
	require.Zero(t, code)
	require.Empty(t, f.asks("POST /api/v1/subscriptions/hook/ack"))
}

func progress(fraction float64, phase string) events.TrialProgressed {
	return events.TrialProgressed{Trial: "flight-delay-3-logistic-1", Cycle: "flight-delay-3", Model: "flight-delay", Attempt: 2, Phase: phase, Fraction: fraction, Message: "iteration 31"}
}

// liveCycle is a fake in which a cycle goes on.
func liveCycle(t *testing.T) *fake {
	f := airline(t)
	f.on(factsPath, func(w http.ResponseWriter, r *http.Request) {
		send(w, api.Rates{Datasets: map[string]api.Rate{"flights": {Accepted: 2000}}}, progress(0.5, "training"), progress(0.6, "training"), progress(0.9, "scoring"),
			fact(t, 400, events.CycleRequestedType, "flight-delay", "told already", events.CycleRequested{}),
			fact(t, 401, events.SegmentWrittenType, "flights", "a segment is no news", events.SegmentWritten{}),
			fact(t, 402, events.CycleEndedType, "train-delay", "another model's", events.CycleEnded{Cycle: "train-delay-1", Outcome: "failed", Reason: "another model's"}),
			fact(t, 403, events.CycleEndedType, "flight-delay", "", events.CycleEnded{Cycle: "flight-delay-3", Outcome: "rejected", Reason: "worse than the champion"}),
			ready(t, 404, "3", "promoted"))
		<-r.Context().Done()
	})
	return f
}

func TestWatchInLines(t *testing.T) {
	t.Parallel()
	x := newTerminal(false)
	code := until(t, x, liveCycle(t), func() bool { return strings.Contains(x.out.String(), "Version 3") }, "watch", "flight-delay")
	require.Zero(t, code)
	now := strings.Split(x.out.String(), "\n")
	for i, l := range now { // progress has no time of its own
		if strings.Contains(l, " is training") || strings.Contains(l, " is scoring") {
			now[i] = "NOW        " + l[len("15:04:05Z  "):]
		}
	}
	golden(t, "watch.txt", strings.Join(now, "\n"))
}

func TestWatchOnATerminal(t *testing.T) {
	t.Parallel()
	x := newTerminal(true)
	x.env["NO_COLOR"] = "1"
	code := until(t, x, liveCycle(t), func() bool { return strings.Contains(x.out.String(), "Version 3") }, "watch", "flight-delay")
	require.Zero(t, code)
	out := x.out.String()
	require.Contains(t, out, "\x1b[J", "the lines at the end are redrawn")
	require.Contains(t, out, "flight-delay  champion 2  logloss 0.5457  open alerts 1")
	require.Contains(t, out, "    logistic         ███████████░░░░░░░░░░░░░  45%  training, iteration 30")
	require.Contains(t, out, "flight-delay-3 rejected: worse than the champion")
	for line := range strings.Lines(out) {
		if strings.Contains(line, "░") {
			require.LessOrEqual(t, len([]rune(strings.TrimRight(line, "\r\n"))), 80)
		}
	}
}

func TestWatchAllModels(t *testing.T) {
	t.Parallel()
	x := newTerminal(false)
	code := until(t, x, liveCycle(t), func() bool { return strings.Contains(x.out.String(), "Version 3") }, "watch")
	require.Zero(t, code)
	require.Contains(t, x.out.String(), "train-delay-1 failed: another model's")
	require.NotContains(t, x.out.String(), "no news")
}

const retrainPath = "POST /api/v1/models/flight-delay/retrain"

// wish is a fake in which a wish leads to a cycle that ends so.
func wish(t *testing.T, end string) *fake {
	f := airline(t)
	f.say(retrainPath, api.Asked{ID: "wish", Seq: 399})
	var looks atomic.Int64
	f.on("GET /api/v1/models/flight-delay/cycles", func(w http.ResponseWriter, _ *http.Request) {
		c := runningCycle()
		switch looks.Add(1) {
		case 1:
			reply(w, listOf(endedCycle()))
			return
		case 2:
		default:
			c.State, c.Outcome, c.Reason = "ended", end, "as it must"
			c.Steps = append(c.Steps, api.Step{Seq: 401, Type: "candidate.trained", At: at(9, 31), Text: "A candidate was trained."},
				api.Step{Seq: 402, Type: "cycle.ended", At: at(9, 32), Text: "It ended."})
		}
		reply(w, listOf(c, endedCycle()))
	})
	return f
}

func TestRetrain(t *testing.T) {
	t.Parallel()
	f := wish(t, "promoted")
	r := run(t, f, "retrain", "flight-delay", "--window", "sliding 7d", "--reason", "why not")
	require.Equal(t, result{0, "asked for a cycle of flight-delay; follow it with: tidemill watch flight-delay\n", ""}, r)
	require.JSONEq(t, `{"window":"sliding 7d","reason":"why not"}`, f.asks(retrainPath)[0].body)

	steps := "09:30:00Z  Cycle flight-delay-3 was requested.\n09:31:00Z  A candidate was trained.\n"
	r = run(t, f, "retrain", "flight-delay", "--wait")
	require.Equal(t, result{0, steps + "flight-delay-3 promoted: as it must\n", ""}, r)
	r = run(t, wish(t, "rejected"), "retrain", "flight-delay", "--wait")
	require.Equal(t, result{1, steps + "flight-delay-3 rejected: as it must\n", ""}, r)
}

func TestRetrainThatThePolicyRefuses(t *testing.T) {
	t.Parallel()
	f := airline(t)
	f.say(retrainPath, api.Asked{ID: "another wish", Seq: 399})
	m := flightDelay()
	m.Cycle = nil
	f.on("GET /api/v1/models/flight-delay", func(w http.ResponseWriter, _ *http.Request) {
		if len(f.asks(retrainPath)) > 0 {
			m.Evaluated = 399
			m.Evaluation = &events.PolicyEvaluated{Model: "flight-delay", Cause: "retrain.asked", Reasons: []events.Reason{{Rule: "manual", Text: "there are no rows"}}}
		}
		reply(w, m)
	})
	r := run(t, f, "retrain", "flight-delay", "--wait")
	require.Equal(t, result{1, "✗ manual: there are no rows\n", "error: no cycle of flight-delay was requested\n  see: tidemill why-not flight-delay\n"}, r)
}

// TestAWishThatIsRefusedAgain: the second refusal reads as the first one did, and is heard all the same.
func TestAWishThatIsRefusedAgain(t *testing.T) {
	t.Parallel()
	f := airline(t)
	f.say(retrainPath, api.Asked{ID: "another wish", Seq: 399})
	m := flightDelay()
	m.Cycle, m.Evaluated = nil, 388
	m.Evaluation = &events.PolicyEvaluated{Model: "flight-delay", Cause: "retrain.asked", Reasons: []events.Reason{{Rule: "manual", Text: "there are no rows"}}}
	looks := 0
	f.on("GET /api/v1/models/flight-delay", func(w http.ResponseWriter, _ *http.Request) {
		if looks++; looks > 3 {
			m.Evaluated = 399
		}
		reply(w, m)
	})
	r := run(t, f, "retrain", "flight-delay", "--wait")
	require.Equal(t, 1, r.code, r)
	require.Contains(t, r.err, "no cycle of flight-delay was requested")
	require.Greater(t, looks, 3)
}

func TestRollback(t *testing.T) {
	t.Parallel()
	f := airline(t)
	f.say("POST /api/v1/models/flight-delay/rollback", api.Asked{ID: "x", Seq: 500})
	r := run(t, f, "rollback", "flight-delay", "--to", "v1")
	require.Equal(t, result{0, "asked to roll back flight-delay; see: tidemill why flight-delay\n", ""}, r)
	require.JSONEq(t, `{"to":"1"}`, f.asks("POST /api/v1/models/flight-delay/rollback")[0].body)
	f.on(factsPath, func(w http.ResponseWriter, r *http.Request) {
		send(w, ready(t, 501, "3", "promoted"), ready(t, 502, "1", "rolledBack"))
		<-r.Context().Done()
	})
	r = run(t, f, "rollback", "flight-delay", "--wait")
	require.Equal(t, result{0, "Version 1 is champion.\n", ""}, r)
	require.Contains(t, f.asks(factsPath)[0].query, "since=501")
}

// TestInterruptedWorkFailed tells a script that what it asked for did not happen.
func TestInterruptedWorkFailed(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.say(filesPath, api.Published{Dataset: "flights", Rows: 3, Batch: "b1"})
	f.say(batchPath, api.Batch{Batch: "b1", Rows: 3})
	x := newTerminal(false)
	file := write(t, t.TempDir(), "rows.csv", "a\n1\n")
	code := until(t, x, f, func() bool { return len(f.asks(batchPath)) > 1 }, "publish", "flights", file)
	require.Equal(t, 1, code)
	require.Equal(t, "error: interrupted\n", x.err.String())
}
