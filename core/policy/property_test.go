package policy

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// world draws a plausible stream of facts: segments in order, answers to cycles early, late and twice, timers, people.
type world struct {
	state   State
	wall    time.Time
	day     int
	asked   []*events.CycleRequested
	version int
}

type heard struct {
	see Observation
	at  time.Time
}

func (w *world) next(t *rapid.T) heard {
	w.wall = w.wall.Add(time.Duration(rapid.IntRange(0, 7200).Draw(t, "seconds")) * time.Second)
	return heard{w.draw(t), w.wall}
}

func (w *world) draw(t *rapid.T) Observation {
	switch k := rapid.IntRange(0, 21).Draw(t, "kind"); {
	case k < 8:
		w.day += rapid.IntRange(1, 3).Draw(t, "days")
		var alerts []events.AlertRef
		if rapid.Bool().Draw(t, "alert") {
			alerts = append(alerts, entropyAlert())
		}
		return seen(w.day, w.state.Current.Version, alerts...)
	case k < 13 && len(w.asked) > 0:
		return w.answer(t, rapid.SampledFrom(w.asked).Draw(t, "cycle"))
	case k < 15:
		if timers := Timers(w.state, w.wall); len(timers) > 0 {
			x := timers[0]
			w.wall = later(w.wall, x.Due)
			return TimerFired{Kind: x.Kind, Key: x.Key, Due: x.Due}
		}
		return Resumed{}
	case k == 15:
		return asked(rapid.SampledFrom([]string{"", "sliding 7d"}).Draw(t, "window"))
	case k == 16:
		return Paused{By: "ada"}
	case k == 17:
		return Resumed{}
	case k == 18 && rapid.IntRange(0, 5).Draw(t, "rare") == 0:
		return rapid.SampledFrom([]Observation{ModelDeleted{}, DatasetDeleted{}, PolicyDeleted{Name: "p"}}).Draw(t, "deleted")
	case k == 19:
		return flights(uint64(rapid.IntRange(1, 2).Draw(t, "revision")))
	case k == 20:
		return DatasetApplied{}
	}
	return drawPolicy(t)
}

func (w *world) answer(t *rapid.T, c *events.CycleRequested) Observation {
	switch rapid.IntRange(0, 3).Draw(t, "answer") {
	case 0:
		return CandidateFailed{Cycle: c.Cycle, Reason: "exit code 1"}
	case 1:
		return rejected(c.Cycle, int(c.Number))
	case 2:
		return RolloutRefused{Cycle: c.Cycle, Reason: "another champion"}
	}
	w.version++
	return ModelReady{Version: events.Version{Model: "m", Version: fmt.Sprint(w.version), Snapshot: c.Snapshot.ID,
		TrainedThrough: c.Snapshot.MaxTime.Add(-7 * day)}, Cycle: c.Cycle,
		Reason: rapid.SampledFrom([]string{events.ReadyPromoted, events.ReadyPromoted, events.ReadyRolledBack}).Draw(t, "reason")}
}

func drawPolicy(t *rapid.T) PolicyApplied {
	leaves := []resource.Trigger{newRows(4500), fraction(0.2), weekly(), maxAge(5 * day), entropy()}
	pick := func() []resource.Trigger {
		return rapid.SliceOfN(rapid.SampledFrom(leaves), 1, 3).Draw(t, "leaves")
	}
	when := anyOf(append(pick(), allOf(pick()...))...)
	change := []func(*resource.PolicySpec){budget(3, 24*time.Hour), func(p *resource.PolicySpec) {
		p.Initial = &resource.Initial{Rows: 6000}
	}}
	for _, c := range []func(*resource.PolicySpec){onWall, observe, cooldown(day, 2*day), untilRows(3000)} {
		if rapid.IntRange(0, 3).Draw(t, "change") == 0 {
			change = append(change, c)
		}
	}
	return policyOf(when, change...)
}

// ledger checks every law that holds for a stream of decisions.
type ledger struct {
	running string
	ended   map[string]string
	began   []time.Time
	number  int64
}

func (l *ledger) check(t *rapid.T, before, after State, m heard, d Decision) {
	if d.End != nil {
		require.Equal(t, l.running, d.End.Cycle, "only the running cycle ends")
		require.NotContains(t, l.ended, d.End.Cycle, "and only once")
		l.ended[d.End.Cycle], l.running = d.End.Outcome, ""
	}
	if r := d.Request; r != nil {
		l.number++
		require.Empty(t, l.running, "at most one cycle runs")
		require.Equal(t, l.number, r.Number)
		require.Equal(t, fmt.Sprintf("m-%d", r.Number), r.Cycle)
		require.Equal(t, events.SnapshotID(r.Snapshot.Chain, r.Snapshot.Window), r.Snapshot.ID)
		require.NotEmpty(t, r.Causes)
		require.True(t, d.Fired)
		if !r.Manual {
			require.Nil(t, after.Paused, "a paused model is left alone")
			require.Equal(t, resource.ModeAuto, after.Policy.Spec.Mode)
		}
		l.running, l.began = r.Cycle, append(l.began, m.at)
		if after.Policy != nil {
			n := 0
			for _, b := range l.began {
				if m.at.Sub(b) < 24*time.Hour {
					n++
				}
			}
			require.LessOrEqual(t, n, 3, "the budget holds for everyone")
		}
	}
	if after.Running == nil {
		require.Empty(t, l.running)
	} else {
		require.Equal(t, l.running, after.Running.ID)
	}
	again := after.assess(m.at)
	require.False(t, again.request, "what may begin has begun: no trigger is lost\n%s", sentences(again.reasons, ""))
	if d.Request == nil && before.asked() {
		require.True(t, after.asked() || d.Refused != "" || after.Spec == nil || isDeleted(m.see), "a wish is served, refused or kept")
	}
}

func isDeleted(o Observation) bool { _, ok := o.(ModelDeleted); return ok }

func TestLaws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := world{state: New("m"), wall: wall0}
		l := ledger{ended: map[string]string{}}
		var stream []heard
		var said []Decision
		do := func(m heard) {
			before := w.state
			next, d := Evaluate(before, m.see, m.at)
			l.check(t, before, next, m, d)
			if d.Request != nil {
				w.asked = append(w.asked, d.Request)
			}
			w.state = next
			stream, said = append(stream, m), append(said, d)
		}
		do(heard{flights(1), w.wall})
		do(heard{drawPolicy(t), w.wall})
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			do(w.next(t))
		}
		if w.state.Running != nil { // whatever was silent, the deadline ends it
			c := w.state.Running
			do(heard{TimerFired{Kind: TimerDeadline, Key: c.ID, Due: c.Deadline}, later(w.wall, c.Deadline)})
			require.Contains(t, l.ended, c.ID)
		}
		replayed(t, stream, said)
		size, err := json.Marshal(w.state)
		require.NoError(t, err)
		require.Less(t, len(size), 20_000, "the state stays small")
	})
}

// replayed runs the stream again through JSON after every step, as a service that restarts all the time would.
func replayed(t *rapid.T, stream []heard, said []Decision) {
	s := New("m")
	for i, m := range stream {
		var d Decision
		s, d = Evaluate(s, m.see, m.at)
		want, err := json.Marshal(said[i])
		require.NoError(t, err)
		got, err := json.Marshal(d)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "step %d", i)
		b, err := json.Marshal(s)
		require.NoError(t, err)
		s = State{}
		require.NoError(t, json.Unmarshal(b, &s))
	}
}

// TestNoTriggerIsLost: a trigger that holds all the time behind a cooldown is served by the first segment after it.
func TestNoTriggerIsLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		wait := rapid.IntRange(3, 20).Draw(t, "cooldown in days")
		s := New("m")
		last, served := 0, 0
		for _, o := range []Observation{flights(1), policyOf(newRows(1500), cooldown(time.Duration(wait)*day, 0))} {
			s, _ = Evaluate(s, o, wall0)
		}
		for n := 1; n <= 120; n += rapid.IntRange(1, 4).Draw(t, "days") {
			var d Decision
			s, d = Evaluate(s, seen(n, s.Current.Version), wall0)
			due := n >= 27 && (last == 0 || (n-last >= wait && n-last > 3))
			require.Equal(t, due, d.Request != nil, "day %d, last %d\n%s", n, last, sentences(d.Reasons, ""))
			if d.Request != nil {
				last = n
				served++
				s, _ = Evaluate(s, promoted(d.Request.Cycle, served, n), wall0)
			}
		}
		require.Positive(t, served)
	})
}
