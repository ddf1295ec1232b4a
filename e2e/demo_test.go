package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/demo"
)

const allFlights = 300_000

// playDemo runs the demo as the README says, in a home where nothing ever ran, and reads its last line.
func playDemo(t *testing.T, more ...string) demo.Summary {
	t.Helper()
	home := t.TempDir()
	r := harness.Run(t, home, harness.Env(home), append([]string{"up", "--demo", "--once"}, more...)...)
	require.Zero(t, r.Code, "%s\n%s", r.Stdout, r.Stderr)
	lines := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	last := json.NewDecoder(strings.NewReader(lines[len(lines)-1]))
	last.DisallowUnknownFields()
	var s demo.Summary
	require.NoError(t, last.Decode(&s), "the last line is no summary: %s", lines[len(lines)-1])
	t.Logf("%s", lines[len(lines)-1])
	left, err := filepath.Glob(filepath.Join(home, "*"))
	require.NoError(t, err)
	for _, path := range left {
		require.NotContains(t, filepath.Base(path), "tidemill", "--once leaves nothing in the working directory")
	}
	return s
}

// TestDemoLearnsFromFlights holds the demo to its figures: half a year of real flights, retrained by policy, against the first
// model kept for ever.
func TestDemoLearnsFromFlights(t *testing.T) {
	t.Parallel()
	s := playDemo(t)
	require.GreaterOrEqual(t, s.Continuous.AUC, 0.630)
	require.GreaterOrEqual(t, s.Continuous.AUC, s.Static.AUC+0.010)
	require.LessOrEqual(t, s.Continuous.Logloss, s.Static.Logloss-0.004)
	require.Greater(t, s.Static.AUC, 0.55, "the first model has learnt nothing")

	require.Zero(t, s.Alerts[events.AlertDrift], "flights have no feature drift")
	require.Positive(t, s.Triggers["newData"])
	require.Positive(t, s.Triggers["performance"])

	require.EqualValues(t, allFlights, s.Rows.Sent)
	require.Equal(t, s.Rows.Sent, s.Rows.Accepted+s.Rows.Quarantined)
	require.Positive(t, s.Rows.Quarantined, "the flights hold rows outside the contract")
	require.Less(t, s.Rows.Quarantined, s.Rows.Sent/1000)

	require.Equal(t, s.Cycles.Requested, s.Cycles.Promoted+s.Cycles.Rejected+s.Cycles.Failed, "a cycle has no end")
	require.Zero(t, s.Cycles.Failed)
	require.GreaterOrEqual(t, s.Cycles.Promoted, int64(3))

	require.Len(t, s.LastWeekOnly, 2)
	for i, week := range []int{10, 23} {
		candidate := s.LastWeekOnly[i]
		require.Equal(t, week, candidate.Week)
		require.Equal(t, events.OutcomeRejected, candidate.Outcome, "one week alone, after week %d: %s", week, candidate.Reason)
		require.Contains(t, candidate.Reason, "champion", "after week %d", week)
	}
}

// TestDemoRefits plays the same with a model that is trained again on all rows before it rolls out.
func TestDemoRefits(t *testing.T) {
	t.Parallel()
	s := playDemo(t, "--with", filepath.Join(examplesDir(t), "flights", "refit.yaml"))
	require.GreaterOrEqual(t, s.Continuous.AUC, 0.640)
	require.Greater(t, s.Static.AUC, 0.62, "the first champion was refitted, too")
	require.Zero(t, s.Cycles.Failed)
	require.Equal(t, s.Rows.Sent, s.Rows.Accepted+s.Rows.Quarantined)
}

// examplesDir is the folder of the examples, wherever the tests run.
func examplesDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../examples")
	require.NoError(t, err)
	return dir
}

// TestDemoOnShuffledFlightsIsSilent is the control: with everything but the dates shuffled nothing changes in time, so nothing
// may be found.
func TestDemoOnShuffledFlightsIsSilent(t *testing.T) {
	t.Parallel()
	for _, seed := range []string{"7", "11"} {
		t.Run("seed "+seed, func(t *testing.T) {
			t.Parallel()
			s := playDemo(t, "--shuffle", seed)
			require.Zero(t, s.Alerts[events.AlertDrift])
			require.Zero(t, s.Alerts[events.AlertPerformance])
			require.Equal(t, s.Rows.Sent, s.Rows.Accepted+s.Rows.Quarantined)
			require.Positive(t, s.Cycles.Promoted)
		})
	}
}
