package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

// searching are two candidates with searches of the built-in trainer, and refit.
const searching = `    - {name: plain, trainer: builtin/linear, params: {l2: 100.0}}
    - name: tuned
      trainer: builtin/linear
      search: {method: tpe, trials: 6, parallel: 3, space: {l2: {log: [0.01, 100]}}}`

// TestASearchIsRefittedAndRollsOut follows a search to its leaderboard, and its winner to the champion that was trained on all rows.
func TestASearchIsRefittedAndRollsOut(t *testing.T) {
	t.Parallel()
	m := harness.Up(t, harness.Dir(t), nil, "--slots", "2")
	m.Apply(strings.Replace(harness.Declared{Candidates: searching}.YAML(), "  task:", "  refit: true\n  seed: 5\n  task:", 1))
	m.Must("publish", "visits", writeRows(t, m, "rows.ndjson", 0, 2500))
	_, model := m.Settled("visits", "buyers", 2500, time.Minute)

	// One cycle: the winner was judged as version 1, and its recipe on all rows is version 2.
	require.Equal(t, "2", model.Champion.Version.Version)
	refitted := harness.Said[events.CandidateRefitted](m, events.CandidateRefittedType)
	require.Len(t, refitted, 1)
	require.Equal(t, "1", refitted[0].Judged.Version)
	require.True(t, refitted[0].Refitted.TrainedThrough.After(refitted[0].Judged.TrainedThrough))

	var board api.List[api.Trial]
	require.NoError(t, json.Unmarshal([]byte(m.Must("get", "trials", "--cycle", "buyers-1", "-o", "json")), &board))
	require.Len(t, board.Items, 1+6+1)
	best := board.Items[0]
	require.True(t, best.Winner)
	require.Equal(t, 1, best.Rank)
	trained := harness.Said[events.CandidateTrained](m, events.CandidateTrainedType)[0]
	require.Equal(t, trained.Trial, best.Trial)
	for i, x := range board.Items[1:7] {
		require.Equal(t, i+2, x.Rank)
		require.LessOrEqual(t, board.Items[i].Validation["logloss"], x.Validation["logloss"])
		require.NotNil(t, x.Params["l2"])
	}
	require.True(t, board.Items[7].Refit)
	table := m.Must("get", "trials", "--cycle", "buyers-1")
	require.Contains(t, strings.Split(table, "\n")[1], "1 ★")
	require.NotContains(t, table, "queued")

	finished := map[string]int{}
	for _, p := range harness.Said[events.TrialFinished](m, events.TrialFinishedType) {
		finished[p.Trial]++
		require.Equal(t, 1, p.Attempt)
	}
	for n := range 6 {
		require.Equal(t, 1, finished[fmt.Sprintf("buyers-1-tuned-%d", n+1)])
	}
	require.Len(t, finished, 8)
}
