package gateway_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/rollout"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/internal/hosttest"
)

const modelPath = "/api/v1/models/flight-delay"

// story says the facts of a cycle that is promoted, as the services do, each caused by the one before.
func (p *place) story() (ready events.Fact) {
	p.t.Helper()
	t := p.t
	const cycle = "flight-delay-3"
	written := p.written(27, func(*events.SegmentWritten) {})
	accepted := p.say(written, events.SegmentAcceptedType, "flights", "", payload[events.SegmentAccepted](t, events.SegmentAcceptedType, nil))
	observed := p.say(accepted, events.SegmentObservedType, "flights", "", payload(t, events.SegmentObservedType, func(o *events.SegmentObserved) { o.Scores = nil }))
	p.say(observed, events.PolicyEvaluatedType, "flight-delay", cycle, payload[events.PolicyEvaluated](t, events.PolicyEvaluatedType, nil))
	requested := p.say(observed, events.CycleRequestedType, "flight-delay", cycle, payload(t, events.CycleRequestedType, func(c *events.CycleRequested) { c.Manual = false }))
	p.say(requested, events.TrialStartedType, "flight-delay", cycle, payload[events.TrialStarted](t, events.TrialStartedType, nil))
	finished := p.say(requested, events.TrialFinishedType, "flight-delay", cycle, payload[events.TrialFinished](t, events.TrialFinishedType, nil))
	trained := p.say(finished, events.CandidateTrainedType, "flight-delay", cycle, payload[events.CandidateTrained](t, events.CandidateTrainedType, nil))
	approved := p.say(trained, events.CandidateApprovedType, "flight-delay", cycle, payload(t, events.CandidateApprovedType, func(c *events.CandidateApproved) {
		c.Version.Version, c.URI, c.Judged = "3", "models/flight-delay/3", ""
	}))
	p.say(approved, events.RolloutStartedType, "flight-delay", cycle, payload[events.RolloutStarted](t, events.RolloutStartedType, nil))
	ready = p.say(approved, events.ModelReadyType, "flight-delay", cycle, payload[events.ModelReady](t, events.ModelReadyType, nil))
	last := p.say(ready, events.CycleEndedType, "flight-delay", cycle, payload(t, events.CycleEndedType, func(e *events.CycleEnded) {
		e.Outcome, e.Reason = events.OutcomePromoted, "version 3 is champion"
	}))
	p.settle(last)
	return ready
}

func TestWhyFollowsTheCausesBackToTheRows(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	why := get[api.Why](p, modelPath+"/why", nil)
	require.Contains(t, why.Text, "no live version")
	require.Contains(t, why.Text, "seen no rows")
	ready := p.story()

	why = get[api.Why](p, modelPath+"/why", nil)
	var types []string
	for _, step := range why.Chain {
		types = append(types, step.Type)
		require.NotEmpty(t, step.Text)
	}
	require.Equal(t, []string{"model.ready", "candidate.approved", "candidate.trained", "trial.finished", "cycle.requested", "segment.observed",
		"segment.accepted", "segment.written"}, types)
	require.Equal(t, ready.Seq, why.Chain[0].Seq)
	require.Equal(t, "3", why.Version.Version.Version)
	require.Equal(t, "flight-delay-3", why.Cycle.Cycle)
	require.Equal(t, "newData", why.Policy[0].Children[0].Rule)
	for _, says := range []string{"Version 3 of flight-delay is live since", "cycle flight-delay-3", "11,000 new rows are 25.6% of the champion's 43,000",
		"segment 27", "54,000 rows", "judged on 16,000 rows", "logloss 0.489 against 0.494 of version 2"} {
		require.Contains(t, why.Text, says)
	}
	_, err := call.Get[api.Why](t.Context(), p.api, modelPath+"/why", url.Values{"version": {"4"}})
	refused(t, err, http.StatusNotFound, `version "4"`)

	p.say(ready, events.CandidateTrainedType, "flight-delay", "flight-delay-4", payload(t, events.CandidateTrainedType, func(c *events.CandidateTrained) {
		c.Version.Version, c.Cycle = "4", "flight-delay-4"
	}))
	promoted := p.say(ready, events.ModelReadyType, "flight-delay", "flight-delay-4", payload(t, events.ModelReadyType, func(r *events.ModelReady) {
		r.Version.Version, r.Previous, r.Cycle = "4", "3", "flight-delay-4"
	}))
	asked := p.say(promoted, events.RollbackAskedType, "flight-delay", "", events.RollbackAsked{Model: "flight-delay", Reason: "too slow"})
	p.settle(p.say(asked, events.ModelReadyType, "flight-delay", "", payload(t, events.ModelReadyType, func(r *events.ModelReady) {
		r.Previous, r.Reason, r.Cycle = "4", events.ReadyRolledBack, ""
	})))
	why = get[api.Why](p, modelPath+"/why", nil)
	require.Contains(t, why.Text, "Version 3 of flight-delay is live again")
	require.Contains(t, why.Text, "because version 4 was rolled back (too slow)")
	require.Equal(t, "rollback.asked", why.Chain[1].Type)
	require.Equal(t, "segment.written", why.Chain[len(why.Chain)-1].Type, "how it came to be follows")
	require.Contains(t, get[api.Why](p, modelPath+"/why", url.Values{"version": {"4"}}).Text, "has been replaced")
	versions := get[api.List[api.Version]](p, modelPath+"/versions", nil).Items
	require.Equal(t, []string{"retired", "champion"}, []string{versions[0].State, versions[1].State})
}

func TestWhyNotSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	evaluated := func(fired bool, reasons ...events.Reason) {
		p.say(events.Fact{}, events.PolicyEvaluatedType, "flight-delay", "", events.PolicyEvaluated{Model: "flight-delay", Policy: "flight-delay",
			Cause: "segment.observed", Ordinal: 3, Fired: fired, Now: time.Unix(0, 0).UTC(), Reasons: reasons})
		hosttest.Await(t, "the evaluation is folded", func() bool {
			e := get[api.Model](p, modelPath, nil).Evaluation
			return e != nil && e.Fired == fired
		})
	}
	newData := events.Reason{Rule: "newData", Text: "5,000 new rows are 12 % of the champion's 43,000, below 25 %", Value: .12, Target: .25}
	any := events.Reason{Rule: "any", Text: "0 of 1 fired", Children: []events.Reason{newData}}
	free := events.Reason{Rule: "guardrails", Holds: true, Children: []events.Reason{{Rule: "maxConcurrent", Holds: true, Text: "no cycle is running"}}}
	evaluated(false, any, free)
	not := get[api.WhyNot](p, modelPath+"/why-not", nil)
	require.Equal(t, "Nothing calls for a cycle yet: 5,000 new rows are 12 % of the champion's 43,000, below 25 %.", not.Text)
	require.Equal(t, []events.Reason{any, free}, not.Reasons)

	any.Holds, any.Children[0].Holds = true, true
	held := events.Reason{Rule: "guardrails", Children: []events.Reason{{Rule: "cooldown.requested", Text: "the last cycle was requested 2h ago, the cooldown is 24h"}}}
	evaluated(true, any, held)
	require.Equal(t, "The policy wants a cycle, but something holds it back: the last cycle was requested 2h ago, the cooldown is 24h.",
		get[api.WhyNot](p, modelPath+"/why-not", nil).Text)
	_, err := call.Get[api.WhyNot](t.Context(), p.api, "/api/v1/models/flight-dely/why-not", nil)
	refused(t, err, http.StatusNotFound, `did you mean "flight-delay"?`)
}

func TestWishesAreFacts(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	post := func(what string, body any) (api.Asked, error) {
		return call.Post[api.Asked](t.Context(), p.api, modelPath+"/"+what, nil, body)
	}
	asked, err := post("retrain", api.Retrain{Window: "sliding 7d", Reason: "new season"})
	require.NoError(t, err)
	wish := hosttest.Payloads[events.RetrainAsked](t, p.World, events.RetrainAskedType, "flight-delay")
	require.Len(t, wish, 1)
	require.Equal(t, "sliding 7d", wish[0].Window.String())
	require.Equal(t, asked.ID, p.Said(t, events.RetrainAskedType, "flight-delay")[0].ID)
	_, err = post("retrain", nil)
	require.NoError(t, err, "a wish needs no body")
	_, err = post("retrain", api.Retrain{Window: "tumbling 3d"})
	refused(t, err, http.StatusUnprocessableEntity, "tumbling 3d", "sliding")
	_, err = post("retrain", map[string]string{"windw": "sliding 7d"})
	refused(t, err, http.StatusUnprocessableEntity, "windw")
	_, err = call.Post[api.Asked](t.Context(), p.api, "/api/v1/models/nothing/retrain", nil, nil)
	refused(t, err, http.StatusNotFound, "nothing", "flight-delay")

	_, err = post("resume", nil)
	refused(t, err, http.StatusConflict, "not paused")
	_, err = post("pause", api.Pause{Reason: "holidays"})
	require.NoError(t, err)
	require.True(t, get[api.Model](p, modelPath, nil).Paused)
	require.Contains(t, get[api.WhyNot](p, modelPath+"/why-not", nil).Text, "paused")
	_, err = post("pause", nil)
	refused(t, err, http.StatusConflict, "already")
	_, err = post("resume", map[string]string{})
	require.NoError(t, err)
	require.False(t, get[api.Model](p, modelPath, nil).Paused)
}

// TestARollbackIsSeenAsDeploymentWillSeeIt asks for what can't be, and for what can.
func TestARollbackIsSeenAsDeploymentWillSeeIt(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	post := func(in api.Rollback) (api.Asked, error) {
		return call.Post[api.Asked](t.Context(), p.api, modelPath+"/rollback", nil, in)
	}
	_, err := post(api.Rollback{})
	refused(t, err, http.StatusConflict, "no champion")
	_, err = post(api.Rollback{To: "7"})
	refused(t, err, http.StatusNotFound, `version "7"`)

	docs, err := host.State[rollout.State](t.Context(), p.host, events.BucketDeployments)
	require.NoError(t, err)
	st := rollout.New("flight-delay")
	for i, v := range []string{"1", "2"} {
		c := events.CandidateApproved{Version: events.Version{Model: "flight-delay", Version: v}}
		if i > 0 {
			c.Champion = "1"
		}
		st, _ = rollout.Decide(st, rollout.Approved(c))
		p.settle(p.say(events.Fact{}, events.CandidateApprovedType, "flight-delay", "", c))
	}
	_, err = docs.Create(t.Context(), "flight-delay", st)
	require.NoError(t, err)
	_, err = post(api.Rollback{To: "2"})
	refused(t, err, http.StatusConflict, "champion already")
	require.Empty(t, p.Said(t, events.RollbackAskedType, "flight-delay"))
	_, err = post(api.Rollback{Reason: "too slow"})
	require.NoError(t, err)
	require.Len(t, p.Said(t, events.RollbackAskedType, "flight-delay"), 1)
}

// TestRefusedRows lists, releases and drops what was refused.
func TestRefusedRows(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	w := lake.NewQuarantineWriter(p.Engine, p.Blobs)
	w.Add(lake.Refused{Raw: row(1), Refusal: rows.Refusal{Reason: rows.BelowMin, Column: "delay", Detail: "-500 is below -120"}, Sequence: 7})
	w.Add(lake.Refused{Raw: "{", Refusal: rows.Refusal{Reason: rows.Malformed, Detail: "it ends in the middle"}, Sequence: 8, Offset: 2})
	blob, err := w.Write(t.Context())
	require.NoError(t, err)
	for ordinal := range uint64(2) {
		p.written(ordinal+1, func(s *events.SegmentWritten) {
			s.Quarantine, s.Quarantined, s.Reasons = blob, 2, map[string]int64{"belowMin": 1, "malformed": 1}
		})
	}
	const path = "/api/v1/datasets/flights/quarantine"
	list := get[api.List[api.Quarantine]](p, path, nil).Items
	require.Len(t, list, 2)
	require.EqualValues(t, 2, list[0].Ordinal)
	require.Equal(t, "held", list[0].State)
	refusedRows := get[api.List[api.QuarantinedRow]](p, path+"/1/rows", nil).Items
	require.Equal(t, []api.QuarantinedRow{
		{Row: row(1), Reason: "belowMin", Column: "delay", Detail: "-500 is below -120", Sequence: 7},
		{Row: "{", Reason: "malformed", Detail: "it ends in the middle", Sequence: 8, Offset: 2}}, refusedRows)
	require.Len(t, get[api.List[api.QuarantinedRow]](p, path+"/1/rows", url.Values{"offset": {"1"}, "limit": {"5"}}).Items, 1)

	post := func(what string) error {
		_, err := call.Post[api.Asked](t.Context(), p.api, path+"/"+what, nil, nil)
		return err
	}
	require.NoError(t, post("1/release"))
	refused(t, post("1/release"), http.StatusConflict, "released already")
	refused(t, post("1/drop"), http.StatusConflict, "released already")
	require.NoError(t, post("2/drop"))
	refused(t, post("2/release"), http.StatusConflict, "dropped already")
	refused(t, post("3/release"), http.StatusNotFound, "segment 3")
	messages := p.waiting()
	require.Len(t, messages, 1)
	f, _, _, err := events.DecodeRowsFile(messages[0].Data())
	require.NoError(t, err)
	require.EqualValues(t, 1, f.Release)
	require.Equal(t, *blob, f.File)
	require.Equal(t, "quarantine", f.Format)
	require.Len(t, p.Said(t, events.QuarantineReleasedType, "flights"), 1)
	states := []string{}
	for _, q := range get[api.List[api.Quarantine]](p, path, nil).Items {
		states = append(states, q.State)
	}
	require.Equal(t, []string{"dropped", "released"}, states)
	d := get[api.Dataset](p, "/api/v1/datasets/flights", nil)
	require.Equal(t, map[string]int64{"belowMin": 2, "malformed": 2}, d.Reasons)
}

func TestDeadLettersAndAlerts(t *testing.T) {
	t.Parallel()
	p := open(t)
	require.Empty(t, get[api.List[api.Dead]](p, "/api/v1/dead", nil).Items)
	fact := p.say(events.Fact{}, events.ModelResumedType, "flight-delay", "", events.ModelResumed{Model: "flight-delay"})
	letter := bus.NewLetter("retraining", bus.Delivery{Stream: events.StreamFacts, Subject: fact.Where(), Seq: fact.Seq, Attempt: 10}, []byte(`{"a":1}`), http.ErrBodyNotAllowed)
	require.NoError(t, bus.NewDead(p.JS).Bury(t.Context(), letter))
	list := get[api.List[api.Dead]](p, "/api/v1/dead", nil).Items
	require.Len(t, list, 1)
	require.Equal(t, "retraining", list[0].Handler)
	require.Equal(t, fact.Seq, list[0].Source)
	require.JSONEq(t, `{"a":1}`, string(get[api.Dead](p, "/api/v1/dead/1", nil).Message))
	_, err := call.Post[api.Asked](t.Context(), p.api, "/api/v1/dead/1/replay", nil, nil)
	require.NoError(t, err)
	_, err = call.Post[api.Asked](t.Context(), p.api, "/api/v1/dead/1/replay", nil, nil)
	refused(t, err, http.StatusNotFound, "dead letter 1")

	p.say(events.Fact{}, events.AlertRaisedType, "flight-delay", "", payload[events.AlertRaised](t, events.AlertRaisedType, nil))
	raised := payload(t, events.AlertRaisedType, func(a *events.AlertRaised) { a.ID, a.Kind = "b", events.AlertDrift })
	p.settle(p.say(events.Fact{}, events.AlertRaisedType, "flight-delay", "", raised))
	p.settle(p.say(events.Fact{}, events.AlertResolvedType, "flight-delay", "", events.AlertResolved(raised)))
	all := get[api.List[api.Alert]](p, "/api/v1/alerts", nil).Items
	require.Len(t, all, 2)
	require.Equal(t, "b", all[0].ID)
	require.False(t, all[0].Resolved.IsZero())
	open := get[api.List[api.Alert]](p, "/api/v1/alerts", url.Values{"open": {"true"}}).Items
	require.Len(t, open, 1)
	require.Equal(t, events.AlertPerformance, open[0].Kind)
}
