package projection_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/schemas"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/gateway/projection"
)

var wall = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ledger makes facts with growing sequences.
type ledger struct {
	t     *testing.T
	facts []events.Fact
}

func (l *ledger) say(ty events.Type, subject, cycle string, payload any) events.Fact {
	l.t.Helper()
	seq := uint64(len(l.facts) + 1)
	f, err := events.NewFact(events.DeriveID("test", fmt.Sprint(seq)), ty, "test", subject, wall.Add(time.Duration(seq)*time.Second), payload)
	require.NoError(l.t, err)
	f.Seq, f.CycleID = seq, cycle
	l.facts = append(l.facts, f)
	return f
}

// golden is the payload of a golden example, changed.
func golden[T any](t *testing.T, ty events.Type, change func(*T)) T {
	t.Helper()
	b, err := schemas.Example(ty.Short())
	require.NoError(t, err)
	var f events.Fact
	require.NoError(t, json.Unmarshal(b, &f))
	p, err := events.PayloadOf[T](f)
	require.NoError(t, err)
	if change != nil {
		change(&p)
	}
	return p
}

func fold(t *testing.T, facts ...events.Fact) *projection.Projection {
	t.Helper()
	p := projection.New()
	for _, f := range facts {
		require.NoError(t, p.Fact(f))
	}
	return p
}

const modelName, datasetName = "flight-delay", "flights"

// segment says what ingestion, validation and monitoring say of one.
func (l *ledger) segment(ordinal uint64, accepted bool) {
	l.say(events.SegmentWrittenType, datasetName, "", golden(l.t, events.SegmentWrittenType, func(s *events.SegmentWritten) {
		s.Ordinal, s.Release, s.Batch = ordinal, 0, fmt.Sprintf("batch-%d", ordinal/2)
		s.EndsBatch = ordinal%2 == 1
		s.TotalAccepted, s.TotalRefused, s.WrittenAt = int64(2000*ordinal), int64(3*ordinal), wall.Add(time.Duration(ordinal)*time.Second)
	}))
	if !accepted {
		l.say(events.SegmentQuarantinedType, datasetName, "", golden(l.t, events.SegmentQuarantinedType, func(s *events.SegmentQuarantined) { s.Ordinal = ordinal }))
		return
	}
	l.say(events.SegmentAcceptedType, datasetName, "", golden(l.t, events.SegmentAcceptedType, func(s *events.SegmentAccepted) { s.Ordinal = ordinal }))
	l.say(events.SegmentObservedType, datasetName, "", golden(l.t, events.SegmentObservedType, func(s *events.SegmentObserved) { s.Ordinal = ordinal }))
}

// cycle says everything of a cycle that is promoted.
func (l *ledger) cycle() {
	const id = "flight-delay-3"
	golden := func(ty events.Type) any {
		b, err := schemas.Example(ty.Short())
		require.NoError(l.t, err)
		var f events.Fact
		require.NoError(l.t, json.Unmarshal(b, &f))
		return f.Data
	}
	l.say(events.CycleRequestedType, modelName, id, trainedCycle(l.t))
	for _, ty := range []events.Type{events.TrialStartedType, events.TrialFinishedType, events.CandidateTrainedType,
		events.CandidateApprovedType, events.RolloutStartedType, events.ModelReadyType} {
		l.say(ty, modelName, id, golden(ty))
	}
	l.say(events.CycleEndedType, modelName, id, events.CycleEnded{Cycle: id, Model: modelName, Outcome: events.OutcomePromoted, Reason: "version 3 is champion", Version: "3"})
}

// trainedCycle is the example's request, of a cycle that trains.
func trainedCycle(t *testing.T) events.CycleRequested {
	return golden(t, events.CycleRequestedType, func(r *events.CycleRequested) { r.Import = nil })
}

func TestACycleFromRequestToPromotion(t *testing.T) {
	t.Parallel()
	l := &ledger{t: t}
	l.cycle()
	states := []string{"requested", "training", "training", "evaluating", "rollingOut", "rollingOut", "rollingOut", "ended"}
	for i, want := range states {
		p := fold(t, l.facts[:i+1]...)
		c, ok := p.Cycle(modelName, "flight-delay-3")
		require.True(t, ok)
		require.Equal(t, want, c.State, l.facts[i].Type.Short())
		require.Len(t, c.Steps, i+1)
		running := p.Model(modelName, datasetName).Cycle
		require.Equal(t, want != "ended", running != nil)
	}
	p := fold(t, l.facts...)
	m := p.Model(modelName, datasetName)
	require.Equal(t, map[string]int64{"requested": 1, "promoted": 1}, m.Cycles)
	require.Equal(t, "flight-delay-3", m.LastCycle)
	require.Equal(t, "3", m.Champion.Version.Version)
	require.Equal(t, "champion", m.Champion.State)
	require.Equal(t, "flight-delay-3", m.Champion.Cycle)
	c, _ := p.Cycle(modelName, "flight-delay-3")
	require.Len(t, c.Trials, 1)
	require.Equal(t, "stopped", c.Trials[0].State, "as the example says")
	require.Equal(t, "3", c.Version)
	require.NotNil(t, c.Verdict)
	_, origin, ok := p.Version(modelName, "3")
	require.True(t, ok)
	require.EqualValues(t, 7, origin.Ready)
}

// TestFactsToldAgainChangeNothing folds every fact twice, as a ledger may hold them after a crash: the same id, a later sequence.
func TestFactsToldAgainChangeNothing(t *testing.T) {
	t.Parallel()
	l := &ledger{t: t}
	for o := uint64(1); o <= 6; o++ {
		l.segment(o, o != 4)
	}
	l.cycle()
	l.say(events.AlertRaisedType, modelName, "", golden[events.AlertRaised](t, events.AlertRaisedType, nil))
	l.say(events.AlertResolvedType, modelName, "", golden[events.AlertResolved](t, events.AlertResolvedType, func(a *events.AlertResolved) {
		a.ID = golden[events.AlertRaised](t, events.AlertRaisedType, nil).ID
	}))
	l.say(events.AlertRaisedType, datasetName, "", events.AlertRaised{Alert: events.Alert{ID: "q", Kind: events.AlertQuality, Dataset: datasetName, At: wall}})
	l.say(events.QuarantineReleasedType, datasetName, "", events.QuarantineReleased{Dataset: datasetName, Ordinal: 2})
	var twice []events.Fact
	for _, f := range l.facts {
		f.Seq = 2*f.Seq - 1
		twice = append(twice, f)
		f.Seq++
		twice = append(twice, f)
	}
	require.Equal(t, shown(fold(t, l.facts...)), shown(fold(t, twice...)))
	// And all of it again at the end, but for what has moved on meanwhile.
	end := uint64(len(twice))
	for _, f := range l.facts {
		if f.Type.Noun() == "segment" || f.Type.Noun() == "trial" || f.Type.Noun() == "cycle" || f.Type.Noun() == "candidate" {
			end++
			f.Seq = end
			twice = append(twice, f)
		}
	}
	require.Equal(t, shown(fold(t, l.facts...)), shown(fold(t, twice...)))
}

// shown is everything that people see, without sequences.
func shown(p *projection.Projection) string {
	cycles := p.Cycles(modelName, 0)
	for i := range cycles {
		for j := range cycles[i].Steps {
			cycles[i].Steps[j].Seq = 0
		}
	}
	b, err := json.MarshalIndent([]any{p.Dataset(datasetName), p.Segments(datasetName, 0), p.Quarantine(datasetName), p.Model(modelName, datasetName).Cycles,
		cycles, p.Versions(modelName), p.Alerts(false), p.Rates(wall.Add(6 * time.Second)), len(p.Observations(modelName))}, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestADataset(t *testing.T) {
	t.Parallel()
	l := &ledger{t: t}
	for o := uint64(1); o <= 5; o++ {
		l.segment(o, o < 4)
	}
	p := fold(t, l.facts...)
	d := p.Dataset(datasetName)
	require.EqualValues(t, 5, d.Segments)
	require.EqualValues(t, 10_000, d.Accepted)
	require.EqualValues(t, 15, d.Quarantined)
	require.Equal(t, map[string]int64{"range": 10, "type": 5}, d.Reasons)
	require.EqualValues(t, 2, d.SegmentsHeld)
	require.EqualValues(t, 4000, d.RowsHeld)
	segments := p.Segments(datasetName, 2)
	require.Equal(t, []string{"quarantined", "quarantined"}, []string{segments[0].State, segments[1].State})
	require.EqualValues(t, 5, segments[0].Ordinal)
	require.NotEmpty(t, segments[0].Violations)

	b, ok := p.Batch(datasetName, "batch-1")
	require.True(t, ok)
	require.Equal(t, api.Batch{Batch: "batch-1", Rows: 4006, Accepted: 4000, Quarantined: 6, Reasons: map[string]int64{"range": 4, "type": 2}, Done: true}, b)
	_, ok = p.Batch(datasetName, "batch-9")
	require.False(t, ok)

	// Whole segments that were refused leave nothing to observe or to decide: what is settled goes past them.
	m := p.Model(modelName, datasetName)
	require.EqualValues(t, 5, m.Observed)
	require.EqualValues(t, 0, m.Decided)
	require.Zero(t, p.Dataset("nothing").Segments)
}

func TestAReleaseIsSeenByItsRowsToo(t *testing.T) {
	t.Parallel()
	l := &ledger{t: t}
	l.segment(1, true)
	l.say(events.SegmentWrittenType, datasetName, "", golden(t, events.SegmentWrittenType, func(s *events.SegmentWritten) {
		s.Ordinal, s.Release, s.EndsBatch, s.Quarantine, s.Quarantined, s.Reasons = 2, 1, true, nil, 0, nil
	}))
	list := fold(t, l.facts...).Quarantine(datasetName)
	require.Len(t, list, 1)
	require.Equal(t, projection.Released, list[0].State)
}

// TestDecidedWaitsForTheCycle: an evaluation that requested a cycle is told before the cycle; between the two nothing may look settled.
func TestDecidedWaitsForTheCycle(t *testing.T) {
	t.Parallel()
	l := &ledger{t: t}
	requested := l.say(events.CycleRequestedType, modelName, "flight-delay-3", golden[events.CycleRequested](t, events.CycleRequestedType, nil))
	evaluation := func(change func(*events.PolicyEvaluated)) events.Fact {
		f, err := events.NewFact("e", events.PolicyEvaluatedType, "retraining", modelName, wall, golden(t, events.PolicyEvaluatedType, change))
		require.NoError(t, err)
		return f
	}
	p := projection.New()
	quiet := func(e *events.PolicyEvaluated) { e.Ordinal, e.Requested, e.Fired, e.Cycle = 26, false, false, "" }
	require.NoError(t, p.Evaluation(evaluation(quiet)))
	require.EqualValues(t, 26, p.Model(modelName, datasetName).Decided)
	require.NoError(t, p.Evaluation(evaluation(nil)))
	m := p.Model(modelName, datasetName)
	require.EqualValues(t, 26, m.Decided)
	require.Nil(t, m.Cycle)
	require.True(t, m.Evaluation.Requested)
	require.NoError(t, p.Fact(requested))
	m = p.Model(modelName, datasetName)
	require.EqualValues(t, 27, m.Decided)
	require.NotNil(t, m.Cycle)
	why, ok := p.Request(modelName, "flight-delay-3")
	require.True(t, ok)
	require.NotEmpty(t, why.Reasons)

	p = fold(t, requested) // at the start the ledger comes first
	require.NoError(t, p.Evaluation(evaluation(nil)))
	require.EqualValues(t, 27, p.Model(modelName, datasetName).Decided)
}

func TestTrialsOfACycle(t *testing.T) {
	t.Parallel()
	l := &ledger{t: t}
	l.say(events.CycleRequestedType, modelName, "flight-delay-3", trainedCycle(t))
	p := fold(t, l.facts...)
	progress := func(attempt int, fraction float64) {
		f, err := events.NewFact("p", events.TrialProgressedType, "workers", modelName, wall, golden(t, events.TrialProgressedType, func(x *events.TrialProgressed) {
			x.Attempt, x.Fraction = attempt, fraction
		}))
		require.NoError(t, err)
		got, err := p.Progress(f)
		require.NoError(t, err)
		require.InDelta(t, fraction, got.Fraction, 0)
	}
	trial := func() api.Trial {
		c, _ := p.Cycle(modelName, "flight-delay-3")
		require.Len(t, c.Trials, 1)
		return c.Trials[0]
	}
	progress(1, .25) // it may come before trial.started, from another stream
	require.Equal(t, "logistic", trial().Candidate)
	require.NoError(t, p.Fact(l.say(events.TrialStartedType, modelName, "flight-delay-3", golden[events.TrialStarted](t, events.TrialStartedType, nil))))
	require.InDelta(t, .25, trial().Fraction, 0)
	require.NoError(t, p.Fact(l.say(events.TrialStartedType, modelName, "flight-delay-3", golden(t, events.TrialStartedType, func(x *events.TrialStarted) { x.Attempt = 2 }))))
	require.Zero(t, trial().Fraction, "a new attempt begins anew")
	progress(1, .9)
	require.Zero(t, trial().Fraction, "the attempt before says nothing any more")
	progress(2, .5)
	require.InDelta(t, .5, trial().Fraction, 0)
	require.NoError(t, p.Fact(l.say(events.CycleEndedType, modelName, "flight-delay-3", events.CycleEnded{Cycle: "flight-delay-3", Outcome: events.OutcomeFailed, Reason: "deadline"})))
	require.Equal(t, "failed", trial().State)
	progress(2, .75)
	require.Equal(t, "failed", trial().State)
}

func TestARollbackPutsTheVersionBack(t *testing.T) {
	t.Parallel()
	l := &ledger{t: t}
	ready := func(version, previous, reason string) {
		l.say(events.ModelReadyType, modelName, "", golden(t, events.ModelReadyType, func(r *events.ModelReady) {
			r.Version.Version, r.Previous, r.Reason = version, previous, reason
		}))
	}
	ready("1", "", events.ReadyPromoted)
	ready("2", "1", events.ReadyPromoted)
	ready("1", "2", events.ReadyRolledBack)
	p := fold(t, l.facts...)
	v, origin, ok := p.Version(modelName, "1")
	require.True(t, ok)
	require.Equal(t, "champion", v.State)
	require.Equal(t, projection.Origin{Promoted: 1, Ready: 3}, origin)
	v, _, _ = p.Version(modelName, "2")
	require.Equal(t, "retired", v.State)
	require.Equal(t, "1", p.Model(modelName, datasetName).Champion.Version.Version)

	require.NoError(t, p.Fact(l.say(events.ResourceDeletedType, modelName, "", events.ResourceDeleted{Kind: "Model", Name: modelName, Revision: 2})))
	require.Nil(t, p.Model(modelName, datasetName).Champion)
}

func TestRatesAreOfTheLastSeconds(t *testing.T) {
	t.Parallel()
	l := &ledger{t: t}
	for o := uint64(1); o <= 20; o++ {
		l.segment(o, true)
	}
	p := fold(t, l.facts...)
	r := p.Rates(wall.Add(20 * time.Second)).Datasets[datasetName]
	require.InDelta(t, 2000, r.Accepted, 1e-9)
	require.InDelta(t, 3, r.Quarantined, 1e-9)
	require.Zero(t, p.Rates(wall.Add(time.Minute)).Datasets[datasetName])
}

func TestListsAreBoundedAndTotalsAreNot(t *testing.T) {
	t.Parallel()
	l := &ledger{t: t}
	const n = 1200
	for i := int64(1); i <= n; i++ {
		id := fmt.Sprintf("flight-delay-%d", i)
		l.say(events.CycleRequestedType, modelName, id, events.CycleRequested{Cycle: id, Number: i, Model: modelName})
		l.say(events.CycleEndedType, modelName, id, events.CycleEnded{Cycle: id, Model: modelName, Outcome: events.OutcomeRejected})
		a := events.Alert{ID: id, Kind: events.AlertDrift, Model: modelName, At: wall.Add(time.Duration(i))}
		l.say(events.AlertRaisedType, modelName, "", events.AlertRaised{Alert: a})
		if i > 3 {
			l.say(events.AlertResolvedType, modelName, "", events.AlertResolved{Alert: a})
		}
	}
	p := fold(t, l.facts...)
	require.Equal(t, map[string]int64{"requested": n, "rejected": n}, p.Model(modelName, datasetName).Cycles)
	require.Less(t, len(p.Cycles(modelName, 0)), 700)
	require.Len(t, p.Cycles(modelName, 10), 10)
	require.Less(t, len(p.Alerts(false)), 700)
	open := p.Alerts(true)
	require.Len(t, open, 3, "an open alert is never forgotten")
	require.Equal(t, "flight-delay-3", open[0].ID)
	require.NoError(t, p.Fact(l.say(events.AlertResolvedType, modelName, "", events.AlertResolved{Alert: open[0].Alert})))
	require.Len(t, p.Alerts(true), 2)
}

func TestWhatCannotBeReadIsPassedOver(t *testing.T) {
	t.Parallel()
	p := projection.New()
	require.ErrorContains(t, p.Fact(events.Fact{Type: events.ModelReadyType, Subject: modelName, Seq: 1, Data: json.RawMessage(`[]`)}), "sequence 1")
	require.EqualValues(t, 1, p.Applied())
	require.NoError(t, p.WaitFor(t.Context(), 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.WaitFor(ctx, 2), context.Canceled)
}
