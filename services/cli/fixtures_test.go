package cli_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

func at(hour, minute int) time.Time { return time.Date(2001, 3, 1, hour, minute, 0, 0, time.UTC) }

func listOf[T any](items ...T) api.List[T] { return api.List[T]{Items: items} }

var (
	flights = api.Dataset{Name: "flights", Revision: 2, Segments: 150, Accepted: 299_998, Quarantined: 131,
		Reasons: map[string]int64{"aboveMax": 2, "belowMin": 129}, Waiting: 3, Watermark: at(8, 15), Chain: "c0ffee"}
	verdict = &events.Verdict{Approved: true, Rows: 11_686, From: at(1, 0), To: at(2, 0), Reason: "passes its gate",
		Metrics: map[string]float64{"auc": 0.647, "logloss": 0.5457},
		Gates:   []events.GateResult{{Gate: "auc ≥ 0.6", Metric: "auc", Outcome: "pass", Value: 0.647, N: 11_686, Text: "auc 0.647 is at least 0.600"}}}
	secondVersion = api.Version{Version: events.Version{Model: "flight-delay", Version: "2", URI: "models/flight-delay/2", SHA256: "ab12", Snapshot: "5a", TrainedThrough: at(0, 0)},
		State: "champion", Cycle: "flight-delay-2", Candidate: "logistic", TrainedAt: at(9, 0), PromotedAt: at(9, 1), Verdict: verdict,
		Metrics: map[string]float64{"auc": 0.647, "logloss": 0.5457, "brier": 0.18}}
	firstVersion = api.Version{Version: events.Version{Model: "flight-delay", Version: "1"}, State: "retired", Cycle: "flight-delay-1", Candidate: "logistic"}
	policy       = []events.Reason{{Rule: "any", Holds: true, Text: "1 of 2 triggers holds", Children: []events.Reason{
		{Rule: "newData", Holds: true, Text: "30,000 new rows are 30.6 %; due at 25 %"}, {Rule: "maxAge", Text: "version 1 is 18d old of at most 28d"}}}}
)

func endedCycle() api.Cycle {
	return api.Cycle{CycleRequested: events.CycleRequested{Cycle: "flight-delay-2", Number: 2, Model: "flight-delay", Champion: "1",
		Causes:   []events.Cause{{Trigger: "newData", Text: "30,000 new rows are 30.6 %."}},
		Snapshot: events.Snapshot{ID: "5a", Dataset: "flights", Rows: 128_000}}, State: "ended", Version: "2", Verdict: verdict,
		Outcome: "promoted", Reason: "version 2 is champion", Began: at(8, 59), Ended: at(9, 1),
		Primary: "auc", Queued: 2,
		Trials: []api.Trial{
			{Trial: "flight-delay-2-boosted-1", Candidate: "boosted", Number: 1, State: "succeeded", Rank: 2, Attempt: 1, Worker: "w", Fraction: 1,
				Params: map[string]any{"num_leaves": 31.0, "learning_rate": 0.0512345}, Validation: map[string]float64{"auc": 0.609, "logloss": 0.55}, Seconds: 12},
			{Trial: "flight-delay-2-boosted-2", Candidate: "boosted", Number: 2, State: "stopped", Attempt: 1, Worker: "w", Fraction: 1, Seconds: 3},
			{Trial: "flight-delay-2-logistic-1", Candidate: "logistic", Number: 1, State: "succeeded", Rank: 1, Winner: true, Attempt: 1, Worker: "w", Fraction: 1,
				Validation: map[string]float64{"auc": 0.614}, Seconds: 3.28}},
		Steps: []api.Step{{Seq: 266, Type: "cycle.requested", At: at(8, 59), Text: "Cycle flight-delay-2 was requested."},
			{Seq: 331, Type: "cycle.ended", At: at(9, 1), Text: "Cycle flight-delay-2 ended as promoted."}}}
}

func runningCycle() api.Cycle {
	return api.Cycle{CycleRequested: events.CycleRequested{Cycle: "flight-delay-3", Number: 3, Model: "flight-delay", Champion: "2",
		Causes:   []events.Cause{{Trigger: "manual", Text: "asked by a person", FactID: "wish"}},
		Snapshot: events.Snapshot{ID: "5b", Dataset: "flights", Rows: 160_000, Window: events.Window{Duration: events.Duration(7 * 24 * time.Hour)}}},
		State: "training", Began: at(9, 30),
		Trials: []api.Trial{{Trial: "flight-delay-3-logistic-1", Candidate: "logistic", State: "running", Attempt: 2, Worker: "w", Phase: "training", Message: "iteration 30", Fraction: 0.45},
			{Trial: "flight-delay-3-boosted-1", Candidate: "boosted", State: "failed", Attempt: 1, Fraction: 1, Reason: "exit code 3"}},
		Steps: []api.Step{{Seq: 400, Type: "cycle.requested", At: at(9, 30), Text: "Cycle flight-delay-3 was requested."}}}
}

func flightDelay() api.Model {
	c := runningCycle()
	return api.Model{Name: "flight-delay", Dataset: "flights", Task: "binaryClassification", Primary: "logloss", Policy: "flight-delay",
		Champion: &secondVersion, Cycle: &c, LastCycle: "flight-delay-3", Observed: 150, Decided: 150,
		OpenAlerts: []events.Alert{{ID: "a1", Kind: "performance", Model: "flight-delay", Message: "normalizedEntropy is 1.079"}},
		Evaluation: &events.PolicyEvaluated{Model: "flight-delay", Cause: "segment.observed", Pending: true, Now: at(9, 31), Reasons: policy},
		Cycles:     map[string]int64{"requested": 3, "promoted": 1, "rejected": 1}}
}

// airline is a fake with something of everything.
func airline(t *testing.T) *fake {
	t.Helper()
	f := newFake(t)
	f.say("GET /api/v1/datasets", listOf(flights, api.Dataset{Name: "trains"}))
	f.say("GET /api/v1/datasets/flights", flights)
	f.say("GET /api/v1/datasets/flights/segments", listOf(
		api.Segment{Segment: events.Segment{Dataset: "flights", Ordinal: 1150, Rows: 1998, MinTime: at(7, 0), MaxTime: at(8, 15), Parquet: events.Blob{Key: "segments/ce2c.parquet", SHA256: "ce2c7a160fa5aaaa", Bytes: 16_400}}, State: "accepted", At: at(9, 0)},
		api.Segment{Segment: events.Segment{Dataset: "flights", Ordinal: 1149, Rows: 2000, Batch: "b1"}, State: "quarantined", Violations: []events.Violation{{Rule: "nulls", Message: "origin is null in 40 % of the rows"}}}))
	f.say("GET /api/v1/datasets/trains/segments", listOf[api.Segment]())
	f.say("GET /api/v1/datasets/flights/batches/b1", api.Batch{Batch: "b1", Rows: 300_000, Accepted: 299_869, Quarantined: 131, Reasons: flights.Reasons, Done: true})
	f.say("GET /api/v1/datasets/flights/quarantine", listOf(api.Quarantine{Dataset: "flights", Ordinal: 1005, Rows: 131, Reasons: flights.Reasons, State: "held", At: at(9, 0)}))
	f.say("GET /api/v1/datasets/flights/quarantine/1005/rows", listOf(api.QuarantinedRow{Row: `{"delay":1441}`, Reason: "aboveMax", Column: "delay", Detail: "1441 is above the maximum 1440", Sequence: 7}))
	f.say("POST /api/v1/datasets/flights/quarantine/1005/release", api.Asked{ID: "x", Seq: 9})
	f.refuse("POST /api/v1/datasets/flights/quarantine/1005/drop", api.Problem{Status: 409, Detail: "the refused rows of segment 1005 of flights were released already"})
	f.say("GET /api/v1/models", listOf(flightDelay(), api.Model{Name: "train-delay", Dataset: "trains", OpenAlerts: []events.Alert{}, Paused: true}))
	f.say("GET /api/v1/models/flight-delay", flightDelay())
	f.say("GET /api/v1/models/flight-delay/cycles", listOf(runningCycle(), endedCycle()))
	f.say("GET /api/v1/models/train-delay/cycles", listOf[api.Cycle]())
	f.say("GET /api/v1/models/flight-delay/cycles/flight-delay-2", endedCycle())
	f.say("GET /api/v1/models/flight-delay/cycles/flight-delay-3", runningCycle())
	f.say("GET /api/v1/models/flight-delay/versions", listOf(secondVersion, firstVersion))
	f.say("GET /api/v1/models/train-delay/versions", listOf[api.Version]())
	c := endedCycle()
	f.say("GET /api/v1/models/flight-delay/why", api.Why{Model: "flight-delay", Version: &secondVersion, Text: "Version 2 of flight-delay is live since 09:01.",
		Chain: []api.WhyStep{{Seq: 331, ID: "i", Type: "model.ready", At: at(9, 1), Text: "Version 2 is champion."}, {Seq: 266, ID: "j", Type: "cycle.requested", At: at(8, 59), Text: "Cycle flight-delay-2 was requested."}},
		Cycle: &c, Policy: policy})
	f.say("GET /api/v1/models/flight-delay/why-not", api.WhyNot{Model: "flight-delay", Text: "The policy waits for new rows.", Now: at(9, 31), Reasons: policy})
	f.say("POST /api/v1/models/flight-delay/pause", api.Asked{ID: "x", Seq: 9})
	f.refuse("POST /api/v1/models/flight-delay/resume", api.Problem{Status: 409, Detail: "automatic retraining of flight-delay is not paused"})
	f.say("GET /api/v1/alerts", listOf(
		api.Alert{Alert: events.Alert{ID: "a1", Kind: "performance", Model: "flight-delay", Dataset: "flights", Metric: "normalizedEntropy", Value: 1.0791, Threshold: 1.049, Message: "normalizedEntropy is 1.079", At: at(6, 40)}, Open: true},
		api.Alert{Alert: events.Alert{ID: "a2", Kind: "drift", Model: "flight-delay", Dataset: "flights", Column: "origin", Metric: "jensenShannon", Value: 0.2, Threshold: 0.1, At: at(5, 0)}, Resolved: at(6, 0)},
		api.Alert{Alert: events.Alert{ID: "a3", Kind: "quality", Dataset: "trains", Message: "a segment was refused", At: at(4, 0)}}))
	f.say("GET /api/v1/workers", listOf(
		api.Worker{Name: "mill-1-4711", Pool: "default", Slots: 2, Busy: 1, Host: "mill-1", Version: "1.2.3", Since: at(0, 0)},
		api.Worker{Name: "mill-2-815", Pool: "gpu", Slots: 1, Host: "mill-2", Version: "1.2.3", Since: at(9, 0), Draining: true}))
	f.say("GET /api/v1/dead", listOf(api.Dead{Seq: 1007, Handler: "training", Subject: "facts.cycle.flight-delay.requested", Source: 400, Error: "payload of cycle.requested", At: at(9, 30)}))
	f.say("GET /api/v1/dead/1007", api.Dead{Seq: 1007, Handler: "training", Subject: "facts.cycle.flight-delay.requested", Source: 400, Error: "payload of cycle.requested", At: at(9, 30), Message: json.RawMessage(`{"id":"x"}`)})
	f.say("POST /api/v1/dead/1007/replay", api.Asked{})
	f.say("GET /api/v1/status", api.Status{Version: "1.2.3", Started: at(0, 0), Targets: []string{"gateway", "ingestion"}, NATS: "nats://127.0.0.1:4222",
		Rates: api.Rates{Datasets: map[string]api.Rate{"flights": {Accepted: 17_212.4, Quarantined: 0.5}}}, Leases: map[string]string{"ingestion": "local"}})
	f.say("POST /api/v1/login-codes", api.LoginLink{URL: "http://0.0.0.0:8080/login?code=abc", Code: "abc"})
	declared, err := resource.Parse([]byte(policyYAML), "policy.yaml")
	require.NoError(t, err)
	p := api.Resource{Kind: "RetrainingPolicy", Name: "flight-delay", Revision: 4, Digest: "d", At: at(0, 0), Document: declared[0].Canonical}
	f.say("GET /api/v1/resources/policies", listOf(p))
	f.say("GET /api/v1/resources/policies/flight-delay", p)
	return f
}

const policyYAML = `apiVersion: tidemill.dev/v1
kind: RetrainingPolicy
metadata: {name: flight-delay}
spec:
  model: flight-delay
  when: {any: [{newData: {fraction: 0.25}}, {all: [{maxAge: 28d}, {newData: {rows: 10}}]}]}
`

const modelYAML = `apiVersion: tidemill.dev/v1
kind: Model
metadata: {name: buyers}
spec:
  dataset: visits
  task: binaryClassification
  features: pages
  label: spent > 0
  split: {by: time, validation: 1h, test: 2h}
  candidates:
    - {name: own, trainer: process, source: SOURCE, command: [python3, train.py]}
  evaluation: {primary: logloss, gates: [{metric: auc, min: 0.6}]}
`

// canonical is the only resource of a text as the platform stores it.
func canonical(t *testing.T, yaml string) json.RawMessage {
	t.Helper()
	declared, err := resource.Parse([]byte(yaml), "")
	require.NoError(t, err)
	return declared[0].Canonical
}
