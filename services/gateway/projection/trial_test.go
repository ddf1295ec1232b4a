package projection_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

const searched = `
apiVersion: tidemill.dev/v1
kind: Model
metadata: {name: flight-delay}
spec:
  dataset: flights
  task: binaryClassification
  features: distance
  label: delay >= 15
  split: {by: time, validation: 3d, test: 7d}
  candidates:
    - {name: logistic, trainer: builtin/linear}
    - {name: boosted, trainer: process, command: [x], search: {method: random, trials: 100, parallel: 50, space: {lr: {float: [0, 1]}}}}
  evaluation: {primary: logloss, gates: [{metric: auc, min: 0.6}]}
`

// board is a cycle of the searched model that was just requested.
func board(t *testing.T) (*ledger, func() api.Cycle) {
	t.Helper()
	list, err := resource.Parse([]byte(searched), "test.yaml")
	require.NoError(t, err)
	l := &ledger{t: t}
	l.say(events.ResourceAppliedType, modelName, "", events.ResourceApplied{Kind: resource.KindModel, Name: modelName, Revision: 1,
		Digest: list[0].Digest, Resource: list[0].Canonical})
	l.say(events.CycleRequestedType, modelName, "flight-delay-1", events.CycleRequested{Cycle: "flight-delay-1", Number: 1, Model: modelName, ModelRevision: 1})
	return l, func() api.Cycle {
		c, ok := fold(t, l.facts...).Cycle(modelName, "flight-delay-1")
		require.True(t, ok)
		return c
	}
}

func (l *ledger) ended(candidate string, number int, change func(*events.TrialFinished)) {
	p := events.TrialFinished{Trial: fmt.Sprintf("flight-delay-1-%s-%d", candidate, number), Cycle: "flight-delay-1", Model: modelName, Candidate: candidate,
		Attempt: 1, Succeeded: true, LogTail: []string{"done"}, Worker: "w"}
	change(&p)
	l.say(events.TrialFinishedType, modelName, "flight-delay-1", p)
}

func TestTrialsAreRankedAndCounted(t *testing.T) {
	t.Parallel()
	l, cycle := board(t)
	require.Equal(t, "logloss", cycle().Primary)
	require.Equal(t, 101, cycle().Queued)
	l.say(events.TrialStartedType, modelName, "flight-delay-1", events.TrialStarted{Trial: "flight-delay-1-boosted-1", Cycle: "flight-delay-1", Model: modelName, Candidate: "boosted", Attempt: 1,
		Params: map[string]any{"lr": 0.1}})
	require.Equal(t, 100, cycle().Queued)
	require.Equal(t, map[string]any{"lr": 0.1}, cycle().Trials[1].Params, "while it runs")

	figure := func(v float64) func(*events.TrialFinished) {
		return func(p *events.TrialFinished) {
			p.Validation, p.Params = map[string]float64{"logloss": v}, map[string]any{"lr": v}
		}
	}
	l.ended("logistic", 1, figure(0.5))
	l.ended("boosted", 1, figure(0.6))
	l.ended("boosted", 2, figure(0.4))
	l.ended("boosted", 3, func(p *events.TrialFinished) { p.Succeeded, p.Reason = false, "no memory" })
	l.ended("boosted", 4, func(p *events.TrialFinished) { figure(0.1)(p); p.Stopped = true })
	l.ended("boosted", 5, func(*events.TrialFinished) {}) // its metric is undefined
	require.Equal(t, 95, cycle().Queued)
	l.say(events.CandidateTrainedType, modelName, "flight-delay-1", events.CandidateTrained{Version: events.Version{Model: modelName, Version: "1"},
		Cycle: "flight-delay-1", Candidate: "boosted", Trial: "flight-delay-1-boosted-2"})
	l.say(events.TrialFinishedType, modelName, "flight-delay-1", events.TrialFinished{Trial: "flight-delay-1-boosted-refit", Cycle: "flight-delay-1",
		Model: modelName, Candidate: "boosted", Succeeded: true, Validation: map[string]float64{"logloss": 0.01}})
	c := cycle()
	require.Zero(t, c.Queued, "the search is over, whatever its budget was")
	ranks, states := map[string]int{}, map[string]string{}
	for _, x := range c.Trials {
		ranks[x.Trial], states[x.Trial] = x.Rank, x.State
		require.Equal(t, x.Trial == "flight-delay-1-boosted-2", x.Winner)
		require.Equal(t, x.Trial == "flight-delay-1-boosted-refit", x.Refit)
	}
	require.Equal(t, map[string]int{"flight-delay-1-boosted-2": 1, "flight-delay-1-logistic-1": 2, "flight-delay-1-boosted-1": 3,
		"flight-delay-1-boosted-3": 0, "flight-delay-1-boosted-4": 0, "flight-delay-1-boosted-5": 0, "flight-delay-1-boosted-refit": 0}, ranks)
	require.Equal(t, "stopped", states["flight-delay-1-boosted-4"])
	require.Equal(t, "failed", states["flight-delay-1-boosted-3"])
	require.Equal(t, map[string]any{"lr": 0.4}, c.Trials[2].Params)
}

// TestALongSearchIsKeptShort folds a thousand trials: each is listed, but neither their logs nor their facts pile up.
func TestALongSearchIsKeptShort(t *testing.T) {
	t.Parallel()
	l, cycle := board(t)
	for n := range 1000 {
		l.ended("boosted", n+1, func(p *events.TrialFinished) {
			p.Validation = map[string]float64{"logloss": math.Abs(float64(n) - 500)}
		})
	}
	c := cycle()
	require.Len(t, c.Trials, 1001)
	require.Less(t, len(c.Steps), 100)
	tails := 0
	for _, x := range c.Trials {
		if len(x.LogTail) > 0 {
			tails++
		}
		require.Equal(t, x.Number == 501, x.Rank == 1)
	}
	require.LessOrEqual(t, tails, 50)
	require.Equal(t, []string{"done"}, c.Trials[1000].LogTail)
}

func TestAnImportHasOneTrial(t *testing.T) {
	t.Parallel()
	l := &ledger{t: t}
	l.say(events.CycleRequestedType, modelName, "flight-delay-3", golden[events.CycleRequested](t, events.CycleRequestedType, nil))
	c, _ := fold(t, l.facts...).Cycle(modelName, "flight-delay-3")
	require.Len(t, c.Trials, 1)
	require.Equal(t, "flight-delay-3-import-1", c.Trials[0].Trial)
}
