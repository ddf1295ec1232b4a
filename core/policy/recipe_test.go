package policy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

func change(parts ...string) resource.Trigger { return resource.Trigger{Change: parts} }

// coded is the model with a process trainer.
func coded(revision uint64, sha string, edit ...func(*resource.ModelSpec)) ModelApplied {
	m := flights(revision)
	m.Spec.Features, m.Spec.Label = "distance", "delay >= 15"
	m.Spec.Candidates = []resource.Candidate{{Name: "boosted", Trainer: resource.TrainerProcess, Command: []string{"python3", "train.py"},
		Params: map[string]any{"trees": 100.0}, Code: &events.Blob{SHA256: sha}}}
	for _, e := range edit {
		e(&m.Spec)
	}
	return m
}

func champions(when resource.Trigger, more ...step) []step {
	return append([]step{{0, coded(1, "aa"), "quiet", ""}, {0, policyOf(when), "quiet", ""}, {0, seen(28, ""), "request m-1 initial", ""},
		{time.Minute, promoted("m-1", 1, 28), "end m-1 promoted", ""}}, more...)
}

func TestChangedRecipesAreLearned(t *testing.T) {
	t.Parallel()
	fewer := func(m *resource.ModelSpec) { m.Candidates[0].Resources.Time = dur(time.Minute) }
	deeper := func(m *resource.ModelSpec) { m.Candidates[0].Params = map[string]any{"trees": 300.0} }
	wider := func(m *resource.ModelSpec) { m.Features = "distance, origin" }
	for _, s := range []scenario{
		{"new code on the same rows", champions(change("code"),
			step{time.Hour, coded(2, "aa"), "quiet", "code of the model are as in version 1"},
			step{time.Hour, coded(3, "bb"), "request m-2 change", "code of the model is not as in version 1 any more"},
			step{time.Hour, coded(3, "bb"), "quiet", "code of the model are as in the running cycle m-2"},
			step{2 * time.Hour, promoted("m-2", 2, 28), "end m-2 promoted", ""},
			step{2 * time.Hour, seen(29, "2"), "quiet", ""})},
		{"what isn't watched is no reason", champions(change("code"), step{time.Hour, coded(2, "aa", deeper, wider), "quiet", ""})},
		{"params", champions(change("params"), step{time.Hour, coded(2, "bb", wider, fewer), "quiet", ""},
			step{time.Hour, coded(3, "bb", deeper), "request m-2 change", "params of the model are not as in version 1"})},
		{"features", champions(change("features", "params"), step{time.Hour, coded(2, "aa", wider), "request m-2 change", "features of the model are not as in"})},
		{"a refused recipe waits for rows", champions(change("code"),
			step{time.Hour, coded(2, "bb"), "request m-2 change", ""},
			step{time.Hour, rejected("m-2", 2), "end m-2 rejected, held by onRejected", ""},
			step{time.Hour, seen(30, "1"), "held by onRejected", ""},
			step{time.Hour, seen(31, "1"), "request m-3 change", ""})},
		{"a champion that has seen every row can't be challenged on the same", champions(change("code"),
			step{time.Hour, refitted("m-0", 2, 28), "quiet", "not known"},
			step{time.Hour, seen(38, "2"), "quiet", ""})},
	} {
		t.Run(s.name, func(t *testing.T) { t.Parallel(); run(t, s.steps) })
	}
}

// refitted is a champion that was trained on all rows up to a day.
func refitted(cycle string, version, day_ int) ModelReady {
	m := promoted(cycle, version, day_)
	m.TrainedThrough = event0.Add(time.Duration(day_) * day)
	return m
}

func TestARefittedChampionIsChallengedByLaterRows(t *testing.T) {
	t.Parallel()
	s := New("m")
	see := func(o Observation) Decision {
		next, d := Evaluate(s, o, wall0)
		s = next
		return d
	}
	see(coded(1, "aa"))
	see(policyOf(change("code")))
	see(seen(28, ""))
	see(refitted("m-1", 1, 28))
	d := see(coded(2, "bb"))
	require.Equal(t, "held by nothingNew", brief(d))
	require.Contains(t, sentences(d.Reasons, ""), "there is no later row that could judge it")
	require.Equal(t, "request m-2 change", brief(see(seen(29, "1"))))
}

func TestImportsPassOnceAndAreNotThePolicys(t *testing.T) {
	t.Parallel()
	s := New("m")
	see := func(o Observation) Decision {
		next, d := Evaluate(s, o, wall0)
		s = next
		return d
	}
	bring := RetrainAsked{RetrainAsked: events.RetrainAsked{Model: "m", Import: &events.Import{ONNX: events.Blob{SHA256: "cc"}}}, FactID: "f"}
	see(coded(1, "aa"))
	see(policyOf(fraction(0.25), func(p *resource.PolicySpec) { p.WarmStart = true }))
	see(seen(20, ""))
	d := see(bring)
	require.Equal(t, "request m-1 manual", brief(d))
	require.Equal(t, "cc", d.Request.Import.ONNX.SHA256)
	require.False(t, d.Request.WarmStart)
	see(promoted("m-1", 1, 20))
	require.Nil(t, s.Rejected)

	d = see(bring)
	require.NotNil(t, d.Request, "another model on the same rows is news: %s", sentences(d.Reasons, ""))
	require.Equal(t, "end m-2 rejected", brief(see(rejected("m-2", 2))))
	require.Nil(t, s.Rejected, "the refusal of a foreign model holds no cycle of the policy")

	d = see(seen(32, "1"))
	require.Equal(t, "request m-3 newData", brief(d))
	require.Nil(t, d.Request.Import)
	require.True(t, d.Request.WarmStart)
}
