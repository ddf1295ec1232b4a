package projection_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/gateway/projection"
)

// TestTheEndOfACycleMayBeginTheNext: the decision that ends a cycle is told in three facts on two streams. Until all are told, the
// model must not look as if nothing were to come.
func TestTheEndOfACycleMayBeginTheNext(t *testing.T) {
	t.Parallel()
	l := &ledger{t: t}
	requested := l.say(events.CycleRequestedType, modelName, "flight-delay-3", golden[events.CycleRequested](t, events.CycleRequestedType, nil))
	ended := l.say(events.CycleEndedType, modelName, "flight-delay-3", golden[events.CycleEnded](t, events.CycleEndedType, nil))
	ended.CausationSeq = 100
	next := l.say(events.CycleRequestedType, modelName, "flight-delay-4", golden(t, events.CycleRequestedType, func(c *events.CycleRequested) {
		c.Cycle, c.Number = "flight-delay-4", 4
	}))
	evaluation := func(cause uint64, change func(*events.PolicyEvaluated)) events.Fact {
		f, err := events.NewFact("e", events.PolicyEvaluatedType, "retraining", modelName, wall, golden(t, events.PolicyEvaluatedType, change))
		require.NoError(t, err)
		f.CausationSeq = cause
		return f
	}
	segment := evaluation(90, func(e *events.PolicyEvaluated) { e.Ordinal, e.Requested, e.Cycle, e.Pending = 27, false, "", true })
	begins := evaluation(100, func(e *events.PolicyEvaluated) { e.Ordinal, e.Requested, e.Cycle = 0, true, "flight-delay-4" })

	p := projection.New()
	require.NoError(t, p.Fact(requested))
	require.NoError(t, p.Evaluation(segment))
	require.EqualValues(t, 27, p.Model(modelName, datasetName).Decided)
	require.NoError(t, p.Fact(ended))
	m := p.Model(modelName, datasetName)
	require.Nil(t, m.Cycle)
	require.EqualValues(t, 26, m.Decided, "the decision is not told in full")
	require.NoError(t, p.Evaluation(begins))
	m = p.Model(modelName, datasetName)
	require.EqualValues(t, 26, m.Decided, "its cycle is not told of")
	require.EqualValues(t, 100, m.Evaluated)
	require.NoError(t, p.Fact(next))
	m = p.Model(modelName, datasetName)
	require.EqualValues(t, 27, m.Decided)
	require.NotNil(t, m.Cycle)
}
