package policy

import (
	"time"

	"github.com/tidemill/tidemill/core/resource"
)

func manualScenarios() []scenario {
	return []scenario{
		{"a person needs no policy", []step{
			{0, asked(""), "refused", "there is no model m; apply it first"},
			{0, flights(1), "quiet", ""},
			{0, asked(""), "refused", "no rows of the dataset flights are accepted yet"},
			{0, seen(1, ""), "quiet", ""},
			{0, asked(""), "request m-1 manual", "asked by ada"},
		}},
		{"a person passes over a policy that observes", []step{
			{0, flights(1), "quiet", ""},
			{0, policyOf(newRows(1500), observe), "quiet", ""},
			{0, seen(20, ""), "quiet", ""},
			{0, asked(""), "request m-1 manual", "30,000 of 40,000 rows for the first model"},
		}},
		{"a person passes over pause, cooldown and refusals", steps(first(policyOf(newRows(1500), cooldown(6*day, 20*day), untilRows(90_000))),
			step{0, seen(49, "1"), "request m-2 newData", ""},
			step{0, rejected("m-2", 2), "end m-2 rejected, held by cooldown.requested, onRejected", ""},
			step{0, Paused{}, "held by paused, cooldown.requested, onRejected", ""},
			step{0, asked(""), "request m-3 manual+newData", "the model is paused; passed over, since a person asked"},
		)},
		{"a person waits for the running cycle, and wishes merge", steps(first(policyOf(newRows(12_000))),
			step{0, seen(36, "1"), "request m-2 newData", ""},
			step{0, asked(""), "pending", ""},
			step{0, asked("sliding 7d"), "pending", "asked by ada; asked by ada"},
			step{0, rejected("m-2", 2), "end m-2 rejected, request m-3 manual+manual", ""},
			step{0, rejected("m-3", 3), "end m-3 rejected, held by onRejected", "version 2 was rejected"},
		)},
		{"nothing new for a person is the same snapshot, window and model", steps(first(policyOf(newRows(1500))),
			step{0, asked(""), "refused", "version 1 was trained on just these rows"},
			step{0, asked("sliding 7d"), "request m-2 manual", "the snapshot, window or model differs"},
			step{0, rejected("m-2", 2), "end m-2 rejected", ""},
			step{0, flights(2), "quiet", ""},
			step{0, asked(""), "request m-3 manual", ""},
		)},
		{"a window of one's own doesn't hold or serve the policy", steps(first(policyOf(newRows(12_000))),
			step{0, asked("sliding 7d"), "request m-2 manual", ""},
			step{0, seen(36, "1"), "pending", ""},
			step{0, rejected("m-2", 2), "end m-2 rejected, request m-3 newData", ""},
		)},
		{"a wish is dropped when its cycle's end leaves nothing new", steps(first(policyOf(newRows(12_000))),
			step{0, seen(36, "1"), "request m-2 newData", ""},
			step{0, asked(""), "pending", ""},
			step{0, promoted("m-2", 2, 36), "end m-2 promoted, refused", ""},
		)},
	}
}

func cycleScenarios() []scenario {
	p := policyOf(newRows(12_000))
	late := TimerFired{Kind: TimerDeadline, Key: "m-2", Due: wall0.Add(2 * time.Hour)}
	begun := func(tail ...step) []step {
		return append(steps(first(p), step{0, seen(36, "1"), "request m-2 newData", ""}), tail...)
	}
	return []scenario{
		{"the deadline ends a cycle as failed", begun(
			step{time.Hour, TimerFired{Kind: TimerDeadline, Key: "m-2"}, "quiet", ""},
			step{2 * time.Hour, late, "end m-2 failed, held by onFailed", "the cycle took longer than its deadline of 2h"},
			step{3 * time.Hour, late, "held by onFailed", ""},
			step{3 * time.Hour, rejected("m-2", 2), "held by onFailed", ""},
		)},
		{"a version that is promoted late becomes champion and ends nothing", begun(
			step{2 * time.Hour, late, "end m-2 failed, held by onFailed", ""},
			step{3 * time.Hour, seen(37, "1"), "request m-3 newData", ""},
			step{3 * time.Hour, promoted("m-2", 2, 36), "quiet", ""},
			step{3 * time.Hour, rejected("m-3", 3), "end m-3 rejected", "1,500 of 12,000 new rows since the snapshot of version 2"},
		)},
		{"the first fact of a cycle is its last", begun(
			step{0, promoted("m-2", 2, 36), "end m-2 promoted", ""},
			step{0, rejected("m-2", 2), "quiet", ""},
			step{0, CandidateFailed{Cycle: "m-2", Reason: "late"}, "quiet", ""},
			step{2 * time.Hour, late, "quiet", ""},
		)},
		{"deleting the model cancels and forgets, but numbers go on", begun(
			step{0, ModelDeleted{}, "end m-2 cancelled, held by model", "there is no model m"},
			step{0, flights(3), "request m-3 initial", ""},
		)},
		{"deleting the dataset cancels", begun(
			step{0, DatasetDeleted{}, "end m-2 cancelled, held by dataset", "the dataset flights is deleted"},
			step{0, DatasetApplied{}, "request m-3 newData", ""},
		)},
		{"a candidate that was judged against a former champion is superseded", begun(
			step{0, seen(50, "1"), "pending", ""},
			step{0, RolloutRefused{Cycle: "m-1", Version: "1", Reason: "late"}, "pending", ""},
			step{0, RolloutRefused{Cycle: "m-2", Version: "2", Reason: "judged against version 0"}, "end m-2 superseded, request m-3 newData", ""},
		)},
		{"moving to another dataset supersedes", begun(
			step{0, ModelApplied{Revision: 2, Spec: resource.ModelSpec{Dataset: "trains"}}, "end m-2 superseded", ""},
			step{0, seen(50, "1"), "quiet", ""},
		)},
		{"deleting the policy leaves the cycle alone", begun(
			step{0, PolicyDeleted{Name: "other"}, "quiet", ""},
			step{0, PolicyDeleted{Name: "p"}, "quiet", "no policy is applied"},
			step{0, promoted("m-2", 2, 36), "end m-2 promoted", ""},
			step{0, seen(90, "2"), "quiet", ""},
		)},
		{"a policy that moves to another model leaves this one", begun(
			step{0, PolicyApplied{Name: "p", Revision: 2, Spec: resource.PolicySpec{Model: "n"}}, "quiet", "no policy is applied"},
		)},
		{"an old segment changes nothing", begun(
			step{0, seen(30, "1"), "quiet", "0 of 12,000 new rows"},
		)},
	}
}
