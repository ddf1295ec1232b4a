package projection

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

// Observation is a segment as the champion of its time scored it.
type Observation struct {
	Ordinal uint64
	Version string // "" before the first
	Scores  events.Blob
}

type model struct {
	specs        map[uint64]*resource.ModelSpec // by revision: what candidates a cycle trains
	paused       bool
	champion     string
	versions     []*version
	cycles       []*cycle
	counts       map[string]int64
	lastNumber   int64
	observed     uint64
	observations []Observation
	evaluation   *events.PolicyEvaluated
	requests     map[string]*events.PolicyEvaluated // by the cycle that they requested
	decided      uint64
	undecided    map[string]uint64 // by cycles that evaluations requested and the ledger has not told of yet

	// Sequences in FACTS of what caused the newest end of a cycle, and of what the policy was last evaluated on. The decision that
	// ends a cycle may begin the next.
	lastEnd, evaluatedOn uint64
}

func newModel() *model {
	return &model{specs: map[uint64]*resource.ModelSpec{}, counts: map[string]int64{}, requests: map[string]*events.PolicyEvaluated{},
		undecided: map[string]uint64{}}
}

func (m *model) declare(x events.ResourceApplied) {
	r, err := resource.FromJSON(x.Resource)
	if err != nil || r.Model == nil {
		return // its candidates are then only known by their trials
	}
	m.specs[x.Revision] = r.Model
}

// forget ends what a deleted model was doing. Its past stays: one with its name goes on with its version numbers.
func (m *model) forget() {
	if v := m.version(m.champion); v != nil {
		v.State = stateRetired
	}
	m.champion, m.paused, m.evaluation = "", false, nil
}

func (m *model) observe(x events.SegmentObserved) {
	if x.Ordinal <= m.observed {
		return
	}
	m.observed = x.Ordinal
	if x.Scores != nil {
		m.observations = append(m.observations, Observation{Ordinal: x.Ordinal, Version: x.Champion, Scores: *x.Scores})
	}
}

// evaluated notes a decision of the policy. What it decided on counts as decided when the ledger has told of the cycle that it
// requested: until then the model would look idle.
func (m *model) evaluated(f events.Fact, x events.PolicyEvaluated) {
	m.evaluation = &x
	m.evaluatedOn = max(m.evaluatedOn, f.CausationSeq)
	if x.Requested && x.Cycle != "" {
		if !m.told(x.Cycle) {
			m.undecided[x.Cycle] = x.Ordinal
			m.requests[x.Cycle] = &x
			return
		}
		if m.cycle(x.Cycle) != nil {
			m.requests[x.Cycle] = &x
		}
	}
	m.decided = max(m.decided, x.Ordinal)
}

// settled is the ordinal up to which everything is decided. The end of a cycle opens the newest segment again until the decision
// that ended it is told in full: it may have begun the next cycle.
func (m *model) settled() uint64 {
	open := m.evaluatedOn < m.lastEnd
	for _, ordinal := range m.undecided {
		open = open || ordinal == 0 // requested on something else than a segment
	}
	if open && m.decided > 0 {
		return m.decided - 1
	}
	return m.decided
}

// told tells whether the ledger has told of a cycle, which is named "<model>-<number>". Old ones may be forgotten.
func (m *model) told(id string) bool {
	number, err := strconv.ParseInt(id[strings.LastIndexByte(id, '-')+1:], 10, 64)
	return err == nil && number <= m.lastNumber || m.cycle(id) != nil
}

func (m *model) version(name string) *version {
	for _, v := range slices.Backward(m.versions) {
		if v.Version.Version.Version == name {
			return v
		}
	}
	return nil
}

func (m *model) cycle(id string) *cycle {
	for _, c := range slices.Backward(m.cycles) {
		if c.Cycle.Cycle == id {
			return c
		}
	}
	return nil
}

// running is the newest cycle when it has not ended.
func (m *model) running() *cycle {
	for _, c := range slices.Backward(m.cycles) {
		if c.State != stateEnded {
			return c
		}
	}
	return nil
}

// Evaluation folds one fact of EVALUATIONS.
func (p *Projection) Evaluation(f events.Fact) error {
	if f.Type != events.PolicyEvaluatedType {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return with(f, func(f events.Fact, x events.PolicyEvaluated) { p.model(f.Subject).evaluated(f, x) })
}

// Model is what is known of a model but for its declaration. dataset is the one that it learns from.
func (p *Projection) Model(name, dataset string) api.Model {
	p.mu.RLock()
	defer p.mu.RUnlock()
	out := api.Model{Name: name, Dataset: dataset, OpenAlerts: p.alerts.openOf(name, dataset), Cycles: map[string]int64{}}
	m := p.models[name]
	if m == nil {
		return out
	}
	d := p.datasets[dataset]
	out.Paused, out.Evaluation, out.Evaluated = m.paused, m.evaluation, m.evaluatedOn
	out.Observed, out.Decided = d.passed(m.observed), d.passed(m.settled())
	out.Cycles = maps.Clone(m.counts)
	if v := m.version(m.champion); v != nil {
		out.Champion = v.shown()
	}
	if c := m.running(); c != nil {
		out.Cycle = c.shown()
	}
	if n := len(m.cycles); n > 0 {
		out.LastCycle = m.cycles[n-1].Cycle.Cycle
	}
	return out
}

// Cycles lists the newest cycles of a model first; limit 0 gives all that are kept.
func (p *Projection) Cycles(name string, limit int) []api.Cycle {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out []api.Cycle
	if m := p.models[name]; m != nil {
		for _, c := range newest(m.cycles, limit) {
			out = append(out, *c.shown())
		}
	}
	return out
}

// Cycle is one cycle of a model.
func (p *Projection) Cycle(name, id string) (api.Cycle, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if m := p.models[name]; m != nil {
		if c := m.cycle(id); c != nil {
			return *c.shown(), true
		}
	}
	return api.Cycle{}, false
}

// Versions lists the versions of a model, newest first.
func (p *Projection) Versions(name string) []api.Version {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out []api.Version
	if m := p.models[name]; m != nil {
		for _, v := range newest(m.versions, 0) {
			out = append(out, *v.shown())
		}
	}
	return out
}

// Version is one version of a model with the facts that tell of it.
func (p *Projection) Version(name, v string) (api.Version, Origin, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if m := p.models[name]; m != nil {
		if x := m.version(v); x != nil {
			return *x.shown(), x.origin, true
		}
	}
	return api.Version{}, Origin{}, false
}

// Observations are the scored segments of a model by ordinal. The caller must not change them.
func (p *Projection) Observations(name string) []Observation {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if m := p.models[name]; m != nil {
		return m.observations[:len(m.observations):len(m.observations)]
	}
	return nil
}

// Request is the evaluation that requested a cycle.
func (p *Projection) Request(name, cycle string) (events.PolicyEvaluated, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if m := p.models[name]; m != nil && m.requests[cycle] != nil {
		return *m.requests[cycle], true
	}
	return events.PolicyEvaluated{}, false
}
