package projection

import (
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

// States of a version.
const (
	stateCandidate = "candidate"
	stateChampion  = "champion"
	stateRetired   = "retired"
	stateRejected  = "rejected"
	stateRefitted  = "refitted" // it passed its gates, and the same recipe trained again on all rows took its place
)

// Origin are the sequences of the facts that made a version what it is; 0 where there is none.
type Origin struct {
	Trained, Judged uint64
	Promoted        uint64 // the first model.ready
	Ready           uint64 // the newest model.ready, of a rollback perhaps
	Dataset         string
	Through         uint64 // newest ordinal of its snapshot
}

type version struct {
	api.Version
	origin Origin
}

func (v *version) shown() *api.Version {
	out := v.Version
	return &out
}

// know finds a version, or begins to know it.
func (m *model) know(x events.Version, cycle string) *version {
	if v := m.version(x.Version); v != nil {
		return v
	}
	v := &version{Version: api.Version{Version: x, State: stateCandidate, Cycle: cycle}}
	m.versions = append(m.versions, v)
	return v
}

func (m *model) trained(f events.Fact, x events.CandidateTrained) {
	v := m.know(x.Version, x.Cycle)
	if v.origin.Trained != 0 {
		return
	}
	v.Candidate, v.TrainedAt, v.Metrics = x.Candidate, f.Time, x.Validation
	v.origin.Trained, v.origin.Dataset, v.origin.Through = f.Seq, x.Data.Dataset, x.Data.Through
	if c := m.cycle(x.Cycle); c != nil {
		c.Version = x.Version.Version
		c.won(x.Trial)
		c.advance(stateEvaluating)
	}
}

// advance moves a cycle on, and never back.
func (c *cycle) advance(state string) {
	if c.State != stateEnded && !(state == stateEvaluating && c.State == stateRollingOut) {
		c.State = state
	}
}

func (m *model) judged(f events.Fact, x events.Version, cycle string, verdict events.Verdict) *version {
	v := m.know(x, cycle)
	if v.origin.Judged == 0 {
		v.origin.Judged = f.Seq
		v.Verdict, v.Metrics = &verdict, verdict.Metrics
		if c := m.cycle(cycle); c != nil {
			c.Verdict = &verdict
		}
	}
	return v
}

// refits notes the verdict of a version whose recipe is trained again before anything is rolled out.
func (m *model) refits(f events.Fact, x events.RefitRequested) {
	m.judged(f, x.Version, x.Cycle, x.Verdict)
}

func (m *model) refitted(f events.Fact, x events.CandidateRefitted) {
	if x.Refitted == nil {
		return
	}
	v := m.know(*x.Refitted, x.Cycle)
	if v.origin.Trained != 0 {
		return
	}
	v.TrainedAt, v.origin.Trained = f.Time, f.Seq
	if old := m.version(x.Judged.Version); old != nil {
		v.Candidate, v.origin.Dataset, v.origin.Through = old.Candidate, old.origin.Dataset, old.origin.Through
	}
}

func (m *model) approved(f events.Fact, x events.CandidateApproved) {
	m.judged(f, x.Version, x.Cycle, x.Verdict)
	if old := m.version(x.Judged); old != nil && old.State == stateCandidate {
		old.State = stateRefitted
	}
	if c := m.cycle(x.Cycle); c != nil && c.State != stateEnded {
		c.Version = x.Version.Version
	}
	if c := m.cycle(x.Cycle); c != nil {
		c.advance(stateRollingOut)
	}
}

func (m *model) rejected(f events.Fact, x events.CandidateRejected) {
	if v := m.judged(f, x.Version, x.Cycle, x.Verdict); v.State == stateCandidate {
		v.State = stateRejected
	}
}

func (m *model) rollout(x events.RolloutStarted) {
	if c := m.cycle(x.Cycle); c != nil {
		c.advance(stateRollingOut)
	}
}

// rolledBack says that a version never got its traffic, when it comes within a cycle; otherwise model.ready follows and tells.
func (m *model) rolledBack(_ events.Fact, x events.RolloutRolledBack) {
	if v := m.version(x.From); v != nil && v.State == stateCandidate {
		v.State = stateRejected
	}
}

func (m *model) ready(f events.Fact, x events.ModelReady) {
	v := m.know(x.Version, x.Cycle)
	if f.Seq <= v.origin.Ready || m.champion == x.Version.Version {
		return
	}
	if old := m.version(m.champion); old != nil {
		old.State = stateRetired
	}
	m.champion = x.Version.Version
	v.State, v.PromotedAt = stateChampion, f.Time
	if len(x.Metrics) > 0 {
		v.Metrics = x.Metrics
	}
	v.origin.Ready = f.Seq
	if v.origin.Promoted == 0 {
		v.origin.Promoted = f.Seq
	}
}
