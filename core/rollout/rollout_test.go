package rollout

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/events"
)

func approved(version, against string) Approved {
	return Approved{Version: events.Version{Model: "m", Version: version, URI: "models/m/" + version}, Cycle: "m-" + version, Champion: against,
		Verdict: events.Verdict{Approved: true, Metrics: map[string]float64{"auc": 0.64}}}
}

func back(to string) RollbackAsked { return RollbackAsked{Model: "m", To: to} }

func brief(d Decision) string {
	switch {
	case d.Ready != nil:
		return fmt.Sprintf("%s %s instead of %q", d.Ready.Reason, d.Ready.Version.Version, d.Ready.Previous)
	case d.RolledBack != nil:
		return "void: " + d.Refused
	}
	return d.Refused
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	type step struct {
		in   Input
		want string
	}
	for name, steps := range map[string][]step{
		"promotions stack and rollbacks unwind": {
			{approved("1", ""), `promoted 1 instead of ""`},
			{approved("2", "1"), `promoted 2 instead of "1"`},
			{approved("3", "2"), `promoted 3 instead of "2"`},
			{back(""), `rolledBack 2 instead of "3"`},
			{back(""), `rolledBack 1 instead of "2"`},
			{back(""), "there is no champion before version 1 to go back to"},
		},
		"what replaced a rolled-back version goes back to what it replaced": {
			{approved("1", ""), `promoted 1 instead of ""`},
			{approved("2", "1"), `promoted 2 instead of "1"`},
			{back(""), `rolledBack 1 instead of "2"`},
			{approved("3", "1"), `promoted 3 instead of "1"`},
			{back(""), `rolledBack 1 instead of "3"`},
		},
		"forward again to a version that was taken back": {
			{approved("1", ""), `promoted 1 instead of ""`},
			{approved("2", "1"), `promoted 2 instead of "1"`},
			{back("1"), `rolledBack 1 instead of "2"`},
			{back("2"), `rolledBack 2 instead of "1"`},
			{back(""), `rolledBack 1 instead of "2"`},
		},
		"a version is promoted once": {
			{approved("1", ""), `promoted 1 instead of ""`},
			{approved("1", ""), "version 1 is champion already"},
			{approved("2", "1"), `promoted 2 instead of "1"`},
			{approved("1", ""), "version 1 was champion before; put it back with: tidemill rollback m --to 1"},
			{back(""), `rolledBack 1 instead of "2"`},
			{approved("2", "1"), "version 2 was champion before; put it back with: tidemill rollback m --to 2"},
		},
		"a verdict against another champion is void": {
			{approved("1", ""), `promoted 1 instead of ""`},
			{approved("2", "1"), `promoted 2 instead of "1"`},
			{back(""), `rolledBack 1 instead of "2"`},
			{approved("3", "2"), "void: version 3 was judged against version 2, but version 1 is champion now"},
		},
		"refusals say what is wrong": {
			{back(""), "model m has no champion that could be rolled back"},
			{approved("1", ""), `promoted 1 instead of ""`},
			{back("1"), "version 1 is champion already"},
			{back("7"), "version 7 is not one of the last 20 champions of m (1)"},
			{Deleted{}, ""},
			{back("1"), "model m has no champion that could be rolled back"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := New("m")
			for i, st := range steps {
				var d Decision
				s, d = Decide(s, st.in)
				require.Equal(t, st.want, brief(d), "step %d", i)
			}
		})
	}
}

func TestPayloads(t *testing.T) {
	t.Parallel()
	s, _ := Decide(New("m"), approved("1", ""))
	s, d := Decide(s, approved("2", "1"))
	two := approved("2", "1").Version
	auc := map[string]float64{"auc": 0.64}
	require.Equal(t, Decision{
		Started: &events.RolloutStarted{Version: two, Cycle: "m-2", Previous: "1", Strategy: StrategyDirect},
		Ready:   &events.ModelReady{Version: two, Previous: "1", Reason: events.ReadyPromoted, Cycle: "m-2", Metrics: auc},
	}, d)
	_, d = Decide(s, RollbackAsked{Model: "m", Reason: "it lies"})
	require.Equal(t, Decision{
		RolledBack: &events.RolloutRolledBack{Model: "m", From: "2", To: "1", Reason: "it lies"},
		Ready:      &events.ModelReady{Version: approved("1", "").Version, Previous: "2", Reason: events.ReadyRolledBack, Metrics: auc},
	}, d)
}

// TestLaws: the champion changes exactly when ready is said, to a known version; a version is promoted once; the state is
// bounded, survives JSON and isn't changed by deciding.
func TestLaws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, promoted := New("m"), map[string]bool{}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			v := rapid.IntRange(1, 60).Draw(t, "version")
			in := rapid.SampledFrom([]Input{approved(fmt.Sprint(v), s.Champion), approved(fmt.Sprint(v+200), s.Champion), back(""), back(fmt.Sprint(v))}).Draw(t, "input")
			before, err := json.Marshal(s)
			require.NoError(t, err)
			next, d := Decide(s, in)
			after, err := json.Marshal(s)
			require.NoError(t, err)
			require.Equal(t, string(before), string(after))

			require.Equal(t, d.Ready != nil, next.Champion != s.Champion)
			require.Equal(t, d.Ready == nil, d.Refused != "")
			if d.Ready != nil {
				require.Equal(t, next.Champion, d.Ready.Version.Version)
				require.Equal(t, s.Champion, d.Ready.Previous)
			}
			if d.Started != nil && len(promoted) < maxKnown {
				require.False(t, promoted[d.Started.Version.Version])
				promoted[d.Started.Version.Version] = true
			}
			if next.Champion != "" {
				_, ok := next.Find(next.Champion)
				require.True(t, ok)
			}
			for _, p := range next.Previous {
				_, ok := next.Find(p)
				require.True(t, ok)
			}
			require.LessOrEqual(t, len(next.Known), maxKnown)
			require.LessOrEqual(t, len(next.Previous), maxKnown)
			b, err := json.Marshal(next)
			require.NoError(t, err)
			s = State{}
			require.NoError(t, json.Unmarshal(b, &s))
		}
	})
}
