package policy

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// replay runs weeks 4 to 26 of the quickstart, a segment a day, and promotes every candidate at once unless refuse says
// otherwise. unseen is how much of a snapshot's newest time its version was not trained on.
func replay(t *testing.T, p PolicyApplied, unseen time.Duration, refuse func(cycle int) bool) (days []int) {
	t.Helper()
	s := New("m")
	see := func(o Observation, n int) {
		next, d := Evaluate(s, o, wall0.Add(time.Duration(n)*time.Second))
		s = next
		for d.Request != nil {
			days = append(days, n)
			var o Observation = ModelReady{Version: events.Version{Model: "m", Version: fmt.Sprint(len(days)), Snapshot: d.Request.Snapshot.ID,
				TrainedThrough: d.Request.Snapshot.MaxTime.Add(-unseen)}, Reason: events.ReadyPromoted, Cycle: d.Request.Cycle}
			if refuse(len(days)) {
				o = rejected(d.Request.Cycle, len(days))
			}
			s, d = Evaluate(s, o, wall0.Add(time.Duration(n)*time.Second))
			require.NotNil(t, d.End)
		}
	}
	see(flights(1), 0)
	see(p, 0)
	for n := 1; n <= 26*7; n++ {
		see(seen(n, s.Current.Version), n)
	}
	return days
}

func never(int) bool { return false }

// TestReferenceRhythms holds the policy against the rhythms that the reference figures were measured with: neither weekly
// retraining nor a quarter more rows may be blocked for having nothing new to learn, while weekly retraining of refitted versions, whose
// rows are a superset of the next candidate's, must be.
func TestReferenceRhythms(t *testing.T) {
	t.Parallel()
	week4 := func(p *resource.PolicySpec) { p.Initial = &resource.Initial{Rows: 28 * 1500} }

	weekly := replay(t, policyOf(newRows(7*1500), week4), 7*day, never)
	require.Len(t, weekly, 23, "the first and 22 weeks: %v", weekly)

	quarter := replay(t, policyOf(fraction(0.25), week4), 7*day, never)
	require.Equal(t, []int{28, 35, 44, 55, 69, 87, 109, 137, 172}, quarter)

	refit := replay(t, policyOf(newRows(7*1500), week4), 0, never)
	require.Equal(t, []int{28, 39, 50}, refit[:3], "only when a training row is later than the ten held-out days")

	// Every second candidate is refused: a refusal costs a tenth more rows of patience, never a storm of cycles.
	stubborn := replay(t, policyOf(fraction(0.25), week4), 7*day, func(n int) bool { return n%2 == 0 })
	require.Equal(t, []int{28, 35, 39, 49, 54, 68, 75, 94, 104, 130, 143, 179}, stubborn)
}
