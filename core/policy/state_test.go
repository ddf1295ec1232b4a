package policy

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

func TestTimers(t *testing.T) {
	t.Parallel()
	deadline := func(c string, at time.Duration) Timer { return Timer{TimerDeadline, c, wall0.Add(at)} }
	p := policyOf(anyOf(newRows(1500), weekly(), maxAge(10*day)), onWall, cooldown(3*time.Hour, 6*time.Hour), budget(1, 24*time.Hour))
	monday := Timer{TimerSchedule, "when.any[1]", wall0.Add(6*day + 12*time.Hour)}

	s := run(t, []step{{0, flights(1), "quiet", ""}, {0, p, "quiet", ""}})
	require.Equal(t, []Timer{monday}, Timers(s, wall0))

	s = run(t, []step{{0, flights(1), "quiet", ""}, {0, p, "quiet", ""}, {0, seen(28, ""), "request m-1 initial", ""}})
	require.Equal(t, []Timer{deadline("m-1", 2*time.Hour), monday}, Timers(s, wall0)[:2])
	require.Equal(t, deadline("m-1", 2*time.Hour), Timers(s, wall0.Add(50*time.Hour))[0], "an overdue timer is still to be said")

	s = run(t, steps(first(p), step{time.Minute, seen(40, "1"), "held by cooldown.requested, cooldown.promoted, budget", ""}))
	require.Equal(t, []Timer{{TimerCooldown, "requested", wall0.Add(3 * time.Hour)}, {TimerCooldown, "promoted", wall0.Add(6 * time.Hour)},
		{TimerBudget, "", wall0.Add(24 * time.Hour)}, monday, {TimerMaxAge, "when.any[2]", wall0.Add(10 * day)}}, Timers(s, wall0))

	onEvents := policyOf(newRows(1500), cooldown(30*day, 0))
	s = run(t, steps(first(onEvents), step{0, seen(40, "1"), "held by cooldown.requested", ""}))
	require.Empty(t, Timers(s, wall0), "event time has no alarm clock")
}

func TestExplainIsWhatEvaluateSays(t *testing.T) {
	t.Parallel()
	s := run(t, steps(first(policyOf(newRows(1500), cooldown(20*day, 0))), step{0, seen(40, "1"), "held by cooldown.requested", ""}))
	before, err := json.Marshal(s)
	require.NoError(t, err)
	_, d := Evaluate(s, Resumed{}, wall0.Add(time.Hour))
	require.Equal(t, d.Reasons, Explain(s, wall0.Add(time.Hour)))
	after, err := json.Marshal(s)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
}

func TestRequestCarriesTheSnapshot(t *testing.T) {
	t.Parallel()
	week := events.Window{Duration: dur(7 * day)}
	p := policyOf(newRows(1500), func(p *resource.PolicySpec) { p.Window = week; p.Guardrails.Deadline = dur(time.Hour) })
	s := run(t, []step{{0, flights(7), "quiet", ""}, {0, p, "quiet", ""}})
	s, d := Evaluate(s, seen(28, ""), wall0)
	end := event0.Add(28 * day)
	require.Equal(t, &events.CycleRequested{Cycle: "m-1", Number: 1, Model: "m", ModelRevision: 7, Policy: "p", Deadline: wall0.Add(time.Hour),
		Causes: []events.Cause{{Trigger: "initial", Text: "42,000 of 40,000 rows for the first model"}},
		Snapshot: events.Snapshot{ID: events.SnapshotID("chain-28", week), Dataset: "flights", Through: 28, Chain: "chain-28", Rows: 42_000,
			MaxTime: end, Watermark: end, Window: week}}, d.Request)
	e := d.Evaluated(s, "segment.observed", 28)
	require.Equal(t, events.PolicyEvaluated{Model: "m", Policy: "p", Revision: 1, Cause: "segment.observed", Ordinal: 28, Fired: true, Requested: true,
		Cycle: "m-1", Now: end, Reasons: d.Reasons}, e)

	_, d = Evaluate(s, promoted("m-1", 1, 28), wall0.Add(time.Minute))
	require.Equal(t, &events.CycleEnded{Cycle: "m-1", Model: "m", Outcome: events.OutcomePromoted, Reason: "version 1 is champion", Version: "1", Began: wall0}, d.End)
}

// TestStateStaysSmall runs a thousand promoted cycles: what is remembered of them is bounded.
func TestStateStaysSmall(t *testing.T) {
	t.Parallel()
	s := run(t, []step{{0, flights(1), "quiet", ""}, {0, policyOf(newRows(6000)), "quiet", ""}})
	size := 0
	for n := 28; n < 28+4*1000; n += 4 {
		var d Decision
		s, d = Evaluate(s, seen(n, s.Current.Version), wall0)
		require.NotNil(t, d.Request)
		s, _ = Evaluate(s, promoted(d.Request.Cycle, n, n), wall0)
		if n == 28+4*500 {
			b, err := json.Marshal(s)
			require.NoError(t, err)
			size = len(b)
		}
	}
	b, err := json.Marshal(s)
	require.NoError(t, err)
	require.InDelta(t, size, len(b), 100)
	require.Len(t, s.Past, maxPast)

	// A champion that is rolled back to within the memory counts from its own snapshot.
	v := s.Past[3]
	s, _ = Evaluate(s, ModelReady{Version: events.Version{Model: "m", Version: v.Version, Snapshot: v.Snapshot}, Reason: events.ReadyRolledBack}, wall0)
	require.Equal(t, v.Marks, s.Current.Marks)
}

// TestBranchesShareNothing evaluates two observations on one state: neither sees what the other changed.
func TestBranchesShareNothing(t *testing.T) {
	t.Parallel()
	s := run(t, steps(first(policyOf(newRows(1500), budget(9, day))), step{0, seen(40, "1"), "request m-2 newData", ""},
		step{0, promoted("m-2", 2, 40), "end m-2 promoted", ""}))
	s.Budget = append(make([]int64, 0, 8), s.Budget...) // room to grow in place
	s.Past = append(make([]Past, 0, 8), s.Past...)
	a, _ := Evaluate(s, seen(50, "2"), wall0.Add(time.Hour))
	kept, err := json.Marshal(a)
	require.NoError(t, err)
	_, _ = Evaluate(s, seen(60, "2"), wall0.Add(2*time.Hour))
	now, err := json.Marshal(a)
	require.NoError(t, err)
	require.Equal(t, string(kept), string(now))
}

func TestScheduleZonesAndNonsense(t *testing.T) {
	t.Parallel()
	next, err := nextTime("30 3 * * *", "Europe/Berlin", wall0)
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 3, 3, 2, 30, 0, 0, time.UTC), next)
	next, err = nextTime("0 0 30 2 *", "", wall0)
	require.NoError(t, err)
	require.True(t, next.IsZero(), "30 February never comes")
	for _, bad := range [][2]string{{"TZ=UTC", ""}, {"CRON_TZ=UTC 0 0 * * *", ""}, {"", ""}, {"0 0 * *", ""}, {"@daily", "Mars/Base"}, {"@daily", "Local"}} {
		_, err = nextTime(bad[0], bad[1], wall0)
		require.Error(t, err, bad)
	}
}

// FuzzState: any document that decodes as a state encodes to the same state again and can be decided on.
func FuzzState(f *testing.F) {
	s := New("m")
	for i, o := range []Observation{flights(1), policyOf(anyOf(weekly(), newRows(1500), maxAge(day)), budget(3, day), cooldown(day, day)), seen(28, "", entropyAlert()),
		promoted("m-1", 1, 28), seen(40, "1"), asked("sliding 7d"), Paused{By: "ada"}, rejected("m-2", 2), TimerFired{Kind: TimerSchedule, Key: "when.any[0]"}} {
		s, _ = Evaluate(s, o, wall0.Add(time.Duration(i)*time.Hour))
		b, err := json.Marshal(s)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Add([]byte(`{"model":"m","spec":{"dataset":"d"},"data":{"rows":1},"policy":{"spec":{"when":{"schedule":{"cron":"TZ=x"}},"guardrails":{"budget":{"cycles":-1,"per":"-1s"}}}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s State
		if json.Unmarshal(b, &s) != nil {
			return
		}
		once, err := json.Marshal(s)
		if err != nil {
			return // a time beyond year 9999
		}
		var back State
		require.NoError(t, json.Unmarshal(once, &back))
		twice, err := json.Marshal(back)
		require.NoError(t, err)
		require.Equal(t, string(once), string(twice))
		for _, o := range []Observation{seen(50, s.Current.Version), asked(""), promoted("m-2", 2, 40), policyOf(weekly()), ModelDeleted{}} {
			next, _ := Evaluate(s, o, wall0)
			require.False(t, next.assess(wall0).request)
			Timers(next, wall0)
		}
	})
}
