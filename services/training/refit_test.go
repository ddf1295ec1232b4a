package training_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/hosttest"
	"github.com/tidemill/tidemill/workers/runtime"
)

// judge asks for the refit as evaluation does.
func judge(t *testing.T, w *hosttest.World, p events.CandidateTrained) events.CandidateRefitted {
	t.Helper()
	w.Say(t, events.RefitRequestedType, p.Model, events.RefitRequested{Version: p.Version, Cycle: p.Cycle, Candidate: p.Candidate, Trial: p.Trial})
	return said(t, w, events.CandidateRefittedType, p.Cycle, func(p events.CandidateRefitted) string { return p.Cycle })
}

func TestTheJudgedRecipeIsTrainedAgainOnAllRows(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Apply(t, declared("late", `  refit: true
  candidates:
    - name: boost
      trainer: process
      command: [x]
      search: {method: random, trials: 4, space: {lr: {float: [0, 1]}}}
`))
	train(t, w)
	crew, _ := employ(t, w, 1, func(s runtime.Spec) events.TrialFinished {
		out := byRate(s)
		if s.Refit {
			out.TrainedThrough = lastRow
		}
		return out
	})
	judged := trained(t, w, request(t, w, "late", 1, func(p *events.CycleRequested) { p.Snapshot.Window = events.Window{Duration: events.Duration(4 * day)} }))
	got := judge(t, w, judged)
	require.Empty(t, got.Reason)
	require.Equal(t, judged.Version, got.Judged)
	require.Equal(t, "2", got.Refitted.Version)
	require.Equal(t, lastRow, got.Refitted.TrainedThrough)
	require.Equal(t, "late-1-boost-refit", got.Trial)

	specs := crew.trials()
	again := specs[len(specs)-1]
	recipe := specs[0]
	for _, s := range specs {
		if s.Trial == judged.Trial {
			recipe = s
		}
	}
	require.Equal(t, recipe.Hyperparameters(), again.Hyperparameters())
	require.True(t, again.Refit)
	require.Equal(t, judged.Validation["rmse"], again.Reported["best"])
	require.Equal(t, recipe.Test, again.Validation)
	require.Equal(t, lastRow.Add(us), again.Train.To)
	require.Equal(t, recipe.Train.To.Sub(recipe.Train.From), again.Train.To.Sub(again.Train.From), "the window keeps its length")
	require.Equal(t, again.Test.From, again.Test.To)

	m := packaged(t, w, *got.Refitted)
	require.Equal(t, "1", m.Lineage.RefitOf)
	require.Equal(t, packaged(t, w, judged.Version).Lineage.Params, m.Lineage.Params)

	w.Say(t, events.CycleEndedType, "late", events.CycleEnded{Cycle: "late-1", Model: "late"})
	require.Equal(t, "3", trained(t, w, request(t, w, "late", 2)).Version.Version)
}

func TestARefitThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Apply(t, declared("late", "  refit: true\n"+linear))
	train(t, w)
	employ(t, w, 1, func(s runtime.Spec) events.TrialFinished {
		if s.Refit {
			return failed("out of memory")
		}
		return scored(1)
	})
	got := judge(t, w, trained(t, w, request(t, w, "late", 1)))
	require.Nil(t, got.Refitted)
	require.Equal(t, "out of memory", got.Reason)

	w.Say(t, events.CycleEndedType, "late", events.CycleEnded{Cycle: "late-1", Model: "late"})
	judged := trained(t, w, request(t, w, "late", 2, func(p *events.CycleRequested) { p.Import = &events.Import{} }))
	got = judge(t, w, judged)
	require.Equal(t, "a model that was imported can't be trained again", got.Reason)
}

// TestARefitIsAskedForOnce asks twice, and once more after the cycle's end.
func TestARefitIsAskedForOnce(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Apply(t, declared("late", "  refit: true\n"+linear))
	train(t, w)
	crew, _ := employ(t, w, 1, func(runtime.Spec) events.TrialFinished { return scored(1) })
	judged := trained(t, w, request(t, w, "late", 1))
	judge(t, w, judged)
	judge(t, w, judged)
	w.Say(t, events.CycleEndedType, "late", events.CycleEnded{Cycle: "late-1", Model: "late"})
	judge(t, w, judged)
	trained(t, w, request(t, w, "late", 2))
	require.Equal(t, []string{"late-1-linear-1", "late-1-linear-refit", "late-2-linear-1"}, crew.ids())
}
