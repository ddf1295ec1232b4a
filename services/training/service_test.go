package training_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/hosttest"
	"github.com/tidemill/tidemill/workers/runtime"
)

func TestTheBestCandidateBecomesAVersion(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Apply(t, declared("late", `  seed: 7
  weight: distance
  candidates:
    - {name: first, trainer: builtin/linear, params: {l2: 1.0}}
    - {name: second, trainer: builtin/linear, params: {l2: 2.0}}
    - {name: broken, trainer: builtin/linear}
`))
	train(t, w)
	crew, _ := employ(t, w, 1, func(s runtime.Spec) events.TrialFinished {
		return map[string]events.TrialFinished{"first": scored(3), "second": scored(2), "broken": failed("it broke")}[s.Candidate.Name]
	})
	cycle := request(t, w, "late", 1)
	got := trained(t, w, cycle)
	require.Equal(t, "1", got.Version.Version)
	require.Equal(t, "second", got.Candidate)
	require.Equal(t, "late-1-second-1", got.Trial)
	require.Equal(t, map[string]float64{"rmse": 2}, got.Validation)
	m := packaged(t, w, got.Version)
	require.Equal(t, map[string]any{"l2": 2.0}, m.Lineage.Params)
	require.Equal(t, noon, m.TrainedThrough)
	require.Equal(t, []string{"late-1-first-1", "late-1-second-1", "late-1-broken-1"}, crew.ids())
	for _, s := range crew.trials() {
		require.Equal(t, "distance", s.Weight)
		require.EqualValues(t, 7, s.Seed)
	}
}

func TestACycleWithoutAModelFailsWithTheReasons(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Apply(t, declared("late", `  candidates:
    - {name: a, trainer: process, command: [x], search: {method: random, trials: 5, parallel: 5, space: {lr: {float: [0, 1]}}}}
`))
	train(t, w)
	employ(t, w, 2, func(s runtime.Spec) events.TrialFinished { return failed("no luck with " + s.Trial[len(s.Trial)-1:]) })
	cycle := request(t, w, "late", 1)
	got := said(t, w, events.CandidateFailedType, cycle, func(p events.CandidateFailed) string { return p.Cycle })
	require.Equal(t, "a: no luck with 1; a: no luck with 2; a: no luck with 3; and 2 more trials failed", got.Reason)

	cycle = request(t, w, "late", 2, func(p *events.CycleRequested) { p.ModelRevision = 9 })
	got = said(t, w, events.CandidateFailedType, cycle, func(p events.CandidateFailed) string { return p.Cycle })
	require.Equal(t, "revision 9 of the model late is not known", got.Reason)
}

const searching = `  seed: 3
  candidates:
    - name: boost
      trainer: process
      command: [x]
      params: {lr: 9, depth: 4}
      search: {method: tpe, trials: 9, parallel: 3, space: {lr: {float: [0, 1]}}%s}
`

// byRate ends a trial with an rmse that is least at lr = 0.6.
func byRate(s runtime.Spec) events.TrialFinished {
	lr := s.Hyperparameters()["lr"].(float64)
	out := scored((lr-0.6)*(lr-0.6) + 1)
	out.Curve = []events.Point{{Step: 1, Value: 5}, {Step: 2, Value: out.Validation["rmse"]}}
	return out
}

// TestASearchGoesOnByGenerations replaces the service in the middle of a search, and finds the same winner as without.
func TestASearchGoesOnByGenerations(t *testing.T) {
	t.Parallel()
	var trials [2][]runtime.Spec
	var won [2]events.CandidateTrained
	for i := range 2 {
		w := world(t)
		w.Apply(t, declared("late", fmt.Sprintf(searching, ", earlyStop: {metric: loss, goal: minimize, after: 1}")))
		stop := train(t, w)
		var gate atomic.Int64
		crew, _ := employ(t, w, 2, func(s runtime.Spec) events.TrialFinished {
			gate.Add(1)
			return byRate(s)
		})
		cycle := request(t, w, "late", 1)
		if i == 1 {
			hosttest.Await(t, "the first generation", func() bool { return gate.Load() > 2 })
			stop()
			train(t, w)
		}
		won[i] = trained(t, w, cycle)
		trials[i] = crew.trials()
		slices.SortFunc(trials[i], func(a, b runtime.Spec) int { return strings.Compare(a.Trial, b.Trial) })
		m := packaged(t, w, won[i].Version)
		require.Equal(t, 4.0, m.Lineage.Params["depth"], "what isn't searched stays the candidate's")
		require.InDelta(t, 0.6, m.Lineage.Params["lr"], 0.2)
	}
	require.Len(t, trials[0], 9)
	for i, s := range trials[0] {
		require.Equal(t, fmt.Sprintf("late-1-boost-%d", i+1), s.Trial)
		require.Equal(t, s.Params, trials[1][i].Params)
		require.Equal(t, s.Stop, trials[1][i].Stop)
		if i < 3 {
			require.Nil(t, s.Stop, "there is nothing to compare the first generation with")
		} else {
			require.Equal(t, "loss", s.Stop.Metric)
			require.Equal(t, 5.0, s.Stop.Curve[0].Value)
		}
	}
	require.Equal(t, won[0].Trial, won[1].Trial)
}

func TestAGenerationWaitsForTheOneBefore(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Apply(t, declared("late", fmt.Sprintf(searching, "")))
	train(t, w)
	let := make(chan struct{})
	crew, _ := employ(t, w, 8, func(s runtime.Spec) events.TrialFinished {
		if strings.HasSuffix(s.Trial, "-2") {
			<-let
		}
		if strings.HasSuffix(s.Trial, "-3") {
			return failed("a failed trial counts as done")
		}
		return byRate(s)
	})
	cycle := request(t, w, "late", 1)
	finished := func() int { return len(w.Said(t, events.TrialFinishedType, "late")) }
	hosttest.Await(t, "two of three", func() bool { return finished() == 2 })
	require.Len(t, crew.trials(), 3)
	close(let)
	trained(t, w, cycle)
	require.Len(t, crew.trials(), 9)
}

func TestATimeBudgetEndsASearch(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Apply(t, declared("late", strings.Replace(fmt.Sprintf(searching, ""), "trials: 9", "time: 1h", 1)))
	train(t, w)
	crew, _ := employ(t, w, 8, func(s runtime.Spec) events.TrialFinished {
		out := byRate(s)
		if out.Seconds = 60; strings.HasSuffix(s.Trial, "-5") {
			out.Seconds = 3601 // the first trial began at least so long before this one ended
		}
		return out
	})
	trained(t, w, request(t, w, "late", 1))
	require.Len(t, crew.trials(), 6, "the generation under way is finished, none follows")
}

func TestStoppedTrialsAndUndefinedFigures(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Apply(t, declared("late", fmt.Sprintf(searching, "")))
	train(t, w)
	employ(t, w, 8, func(s runtime.Spec) events.TrialFinished {
		out := scored(1)
		switch {
		case strings.HasSuffix(s.Trial, "-1"):
			out.Stopped = true
		case !strings.HasSuffix(s.Trial, "-4"):
			out.Validation = nil
		default:
			out.Validation["rmse"] = 50
		}
		return out
	})
	require.Equal(t, "late-1-boost-4", trained(t, w, request(t, w, "late", 1)).Trial, "a figure beats none, a stopped trial is no candidate")
}

// TestHalvingTrainsTheBestWithMore has figures that are better with less of the resource: only the last rung competes.
func TestHalvingTrainsTheBestWithMore(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Apply(t, declared("late", `  candidates:
    - name: boost
      trainer: process
      command: [x]
      search: {method: halving, trials: 13, space: {lr: {float: [0, 1]}}, halving: {param: epochs, min: 1, max: 9}}
`))
	train(t, w)
	crew, _ := employ(t, w, 4, func(s runtime.Spec) events.TrialFinished {
		out := byRate(s)
		out.Validation["rmse"] += s.Params["epochs"].(float64)
		return out
	})
	got := trained(t, w, request(t, w, "late", 1))
	byEpochs := map[any][]float64{}
	for _, s := range crew.trials() {
		byEpochs[s.Params["epochs"]] = append(byEpochs[s.Params["epochs"]], s.Params["lr"].(float64))
	}
	require.Len(t, byEpochs[1.0], 9)
	require.Len(t, byEpochs[3.0], 3)
	require.Len(t, byEpochs[9.0], 1)
	require.Subset(t, byEpochs[1.0], byEpochs[3.0])
	require.Subset(t, byEpochs[3.0], byEpochs[9.0])
	require.Equal(t, "late-1-boost-13", got.Trial)
	require.Equal(t, 9.0, packaged(t, w, got.Version).Lineage.Params["epochs"])
}

func TestTrialsAreReleasedByTheSlotsThatThereAre(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Apply(t, declared("late", `  candidates:
    - {name: boost, trainer: process, command: [x], search: {method: random, trials: 30, space: {lr: {float: [0, 1]}}}}
    - {name: big, trainer: process, command: [x], pool: gpu}
`))
	stop := train(t, w)
	cycle := request(t, w, "late", 1)
	hosttest.Await(t, "two for nobody", func() bool { return waiting(t, w, "default") == 2 && waiting(t, w, "gpu") == 1 })

	let := make(chan struct{})
	_, leave := employ(t, w, 5, func(runtime.Spec) events.TrialFinished { <-let; return scored(1) })
	hosttest.Await(t, "two per slot", func() bool { return waiting(t, w, "default") == 10 })
	stop()
	train(t, w)
	w.Say(t, events.CycleEndedType, "late", events.CycleEnded{Cycle: cycle, Model: "late", Outcome: events.OutcomeCancelled})
	w.Apply(t, declared("soon", linear))
	request(t, w, "soon", 1)
	hosttest.Await(t, "the other model's", func() bool { return waiting(t, w, "default") == 11 })
	close(let)
	trained(t, w, "soon-1")
	hosttest.Await(t, "an empty queue", func() bool { return waiting(t, w, "default") == 0 })
	require.Len(t, w.Said(t, events.TrialFinishedType, "late"), 10, "what waited for its release was dropped with its cycle")
	leave()
}

// TestAThousandTrialsOfFortyModels are served in turns, and a cycle that a person asks for goes ahead.
func TestAThousandTrialsOfFortyModels(t *testing.T) {
	t.Parallel()
	const models, trials, slots = 40, 25, 4
	w := world(t)
	list := `  candidates: [{name: boost, trainer: process, command: [x], search: {method: random, trials: %d, space: {lr: {float: [0, 1]}}}}]
`
	var names []string
	for i := range models {
		names = append(names, fmt.Sprintf("m%02d", i))
		w.Apply(t, declared(names[i], fmt.Sprintf(list, trials)))
	}
	w.Apply(t, declared("urgent", fmt.Sprintf(list, 5)))
	train(t, w)
	for _, name := range names {
		request(t, w, name, 1)
	}
	books, err := state.Open[any](t.Context(), w.JS, events.BucketTraining, state.Options{})
	require.NoError(t, err)
	hosttest.Await(t, "forty cycles", func() bool {
		keys, err := books.Keys(t.Context())
		require.NoError(t, err)
		return len(keys) == models
	})
	crew, _ := employ(t, w, slots, func(s runtime.Spec) events.TrialFinished { return byRate(s) })
	hosttest.Await(t, "some of them", func() bool { return len(crew.ids()) > 100 })
	asked := len(crew.ids())
	request(t, w, "urgent", 1, func(p *events.CycleRequested) { p.Manual = true })
	trained(t, w, "urgent-1")
	for _, name := range names {
		trained(t, w, name+"-1")
	}
	ids := crew.ids()
	require.Len(t, ids, models*trials+5)
	last := 0
	served := map[string]int{}
	for i, s := range crew.trials() {
		if s.Model == "urgent" {
			last = i
			continue
		}
		served[s.Model]++
		most, least := 0, trials
		for _, name := range names {
			most, least = max(most, served[name]), min(least, served[name])
		}
		require.LessOrEqual(t, most-least, 4, "after %d", i)
	}
	require.Less(t, last, asked+100, "the person's cycle did not wait for the thousand")
}

func TestAWarmStartBeginsFromTheChampion(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Apply(t, declared("late", linear))
	train(t, w)
	crew, _ := employ(t, w, 1, func(runtime.Spec) events.TrialFinished { return scored(1) })
	first := trained(t, w, request(t, w, "late", 1))
	w.Say(t, events.CycleEndedType, "late", events.CycleEnded{Cycle: "late-1", Model: "late"})
	second := trained(t, w, request(t, w, "late", 2, func(p *events.CycleRequested) {
		p.Champion, p.WarmStart = "1", true
		p.Snapshot.Window = events.Window{Sample: 70, Method: events.SampleBalanced}
	}))
	require.Equal(t, "2", second.Version.Version)
	require.Equal(t, "1", packaged(t, w, second.Version).Lineage.WarmStart)
	specs := crew.trials()
	require.Nil(t, specs[0].WarmStart)
	require.Equal(t, first.Version, *specs[1].WarmStart)
	require.EqualValues(t, 70, specs[1].Sample)
	require.Equal(t, events.SampleBalanced, specs[1].Method)
}

func TestAnImportIsATrialWithoutTraining(t *testing.T) {
	t.Parallel()
	known := noon.AddDate(0, 0, 3)
	for name, c := range map[string]struct{ given, want time.Time }{
		"nobody knows what it saw": {time.Time{}, lastRow.AddDate(0, 0, -3)},
		"it is known":              {known, known},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world(t)
			w.Apply(t, declared("late", linear))
			train(t, w)
			crew, _ := employ(t, w, 1, func(runtime.Spec) events.TrialFinished { return scored(1) })
			brought := events.Import{ONNX: events.Blob{Key: "uploads/1"}, Name: "m.onnx", TrainedThrough: c.given}
			got := trained(t, w, request(t, w, "late", 1, func(p *events.CycleRequested) { p.Import = &brought }))
			require.Equal(t, []string{"late-1-import-1"}, crew.ids())
			require.Equal(t, brought.ONNX, crew.trials()[0].Import.ONNX)
			require.Equal(t, "import", packaged(t, w, got.Version).Lineage.Trainer)
			require.Equal(t, c.want, got.TrainedThrough)
		})
	}
}
