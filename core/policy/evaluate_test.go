package policy

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// step is one observation, the wall time since the start at which it comes, and what must follow.
type step struct {
	at   time.Duration
	see  Observation
	want string
	says string // a part of the explanation
}

type scenario struct {
	name  string
	steps []step
}

// first brings a model and policy to version 1, promoted with the data of day 28 (42,000 rows).
func first(p PolicyApplied) []step {
	return []step{
		{0, flights(1), "quiet", "no policy is applied"},
		{0, p, "quiet", ""},
		{0, seen(26, ""), "quiet", "39,000 of 40,000 rows for the first model"},
		{0, seen(28, ""), "request m-1 initial", "42,000 of 40,000 rows for the first model"},
		{0, promoted("m-1", 1, 28), "end m-1 promoted", "version 1 was trained on just these rows"},
	}
}

func steps(head []step, tail ...step) []step { return append(head, tail...) }

func run(t *testing.T, list []step) State {
	t.Helper()
	s := New("m")
	for i, st := range list {
		before, err := json.Marshal(s)
		require.NoError(t, err)
		next, d := Evaluate(s, st.see, wall0.Add(st.at))
		after, err := json.Marshal(s)
		require.NoError(t, err)
		require.Equal(t, string(before), string(after), "step %d: Evaluate changed its input", i)
		tree := sentences(d.Reasons, "")
		require.Equal(t, st.want, brief(d), "step %d %T\n%s", i, st.see, tree)
		require.Contains(t, tree, st.says, "step %d %T", i, st.see)
		s = next
	}
	return s
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	for _, list := range [][]scenario{triggerScenarios(), guardrailScenarios(), manualScenarios(), cycleScenarios()} {
		for _, sc := range list {
			t.Run(sc.name, func(t *testing.T) { t.Parallel(); run(t, sc.steps) })
		}
	}
}
