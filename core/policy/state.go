package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// Bounds of the state, which lives in one compare-and-set document per model.
const (
	maxAlerts = 64  // open alerts that are remembered
	maxPast   = 20  // snapshots of past cycles, for rollbacks and late promotions
	maxBudget = 256 // requests that a budget can count; a larger budget acts as this one
	maxAsks   = 8   // causes of merged wishes
	maxText   = 300 // bytes of a sentence that came from outside
)

// State is everything policy knows of one model. The zero value of every field but Model is the state of a model that
// nothing is known about. It is JSON, and bounded: nothing in it grows with data, cycles or time.
type State struct {
	Model   string   `json:"model"`
	Spec    *Model   `json:"spec,omitempty"`   // nil: not applied, or deleted
	Policy  *Policy  `json:"policy,omitempty"` // nil: none
	NoData  bool     `json:"noData,omitempty"` // the dataset is deleted
	Data    Data     `json:"data"`
	Alerts  []Alert  `json:"alerts,omitempty"` // open, of the kinds that triggers read
	Paused  *Pause   `json:"paused,omitempty"`
	Current Champion `json:"current"` // Version is "" before the first

	Running *Cycle `json:"running,omitempty"`
	Pending *Wish  `json:"pending,omitempty"`
	Cycles  int64  `json:"cycles"` // requested so far; the number of the newest cycle

	Requested Clocks     `json:"requested"` // the last request
	Promoted  Clocks     `json:"promoted"`  // the last change of champion
	Budget    []int64    `json:"budget,omitempty"`
	Rejected  *Setback   `json:"rejected,omitempty"` // the last refusal, until a promotion
	Failed    *Setback   `json:"failed,omitempty"`   // the last failure, until a promotion
	Schedules []Schedule `json:"schedules,omitempty"`
	Past      []Past     `json:"past,omitempty"` // oldest first
}

// New is the state of a model that nothing is known about.
func New(model string) State { return State{Model: model} }

// Model is what policy needs of a Model resource.
type Model struct {
	Revision uint64          `json:"revision"`
	Dataset  string          `json:"dataset"`
	Holdout  events.Duration `json:"holdout"` // validation + test + gap
	Recipe   Recipe          `json:"recipe"`
}

// Policy is the applied RetrainingPolicy.
type Policy struct {
	Name     string              `json:"name"`
	Revision uint64              `json:"revision"`
	Spec     resource.PolicySpec `json:"spec"`
}

// Clocks is one moment on both clocks; Event is zero before the first watermark.
type Clocks struct {
	Event time.Time `json:"event,omitzero"`
	Wall  time.Time `json:"wall,omitzero"`
}

// Marks counts a dataset's accepted data up to a segment.
type Marks struct {
	Ordinal   uint64    `json:"ordinal"`
	Rows      int64     `json:"rows"`
	Bytes     int64     `json:"bytes"`
	Segments  uint64    `json:"segments"`
	Batches   int64     `json:"batches"`
	MaxTime   time.Time `json:"maxTime,omitzero"` // highest event time
	Watermark time.Time `json:"watermark,omitzero"`
}

// Data is the newest observed state of the dataset.
type Data struct {
	Marks
	Chain string `json:"chain,omitempty"`
}

// Alert is an open alert, the champion it is about and the ordinal since which it is known.
type Alert struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Column   string `json:"column,omitempty"`
	Metric   string `json:"metric,omitempty"`
	Champion string `json:"champion,omitempty"`
	Since    uint64 `json:"since"`
}

// Pause says who stopped automatic cycles.
type Pause struct {
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Champion is the version in service and what it was trained on.
type Champion struct {
	Version        string    `json:"version,omitempty"`
	Snapshot       string    `json:"snapshot,omitempty"`
	ModelRevision  uint64    `json:"modelRevision,omitempty"`
	TrainedThrough time.Time `json:"trainedThrough,omitzero"`
	Recipe         Recipe    `json:"recipe,omitzero"`
	Marks          Marks     `json:"marks"` // at its snapshot
	Promoted       Clocks    `json:"promoted"`
	Since          uint64    `json:"since"` // newest ordinal when it became champion
}

// Cycle is the running cycle.
type Cycle struct {
	ID            string    `json:"id"`
	Number        int64     `json:"number"`
	Snapshot      string    `json:"snapshot"`
	ModelRevision uint64    `json:"modelRevision"`
	Marks         Marks     `json:"marks"` // at its snapshot
	Requested     Clocks    `json:"requested"`
	Deadline      time.Time `json:"deadline"` // wall
	Manual        bool      `json:"manual,omitempty"`
	Override      bool      `json:"override,omitempty"` // its window isn't the policy's, or nothing is trained
	Recipe        Recipe    `json:"recipe,omitzero"`
	Schedules     []string  `json:"schedules,omitempty"` // keys it serves; due again when it fails or is superseded
}

// Wish is the one cycle that waits. A person's wish stays until it is served or refused; what triggers wish is looked at
// anew with every observation.
type Wish struct {
	Asks      []events.Cause `json:"asks,omitempty"`      // of persons
	Window    *events.Window `json:"window,omitempty"`    // of the last person who gave one
	Import    *events.Import `json:"import,omitempty"`    // of the last person who brought a model
	Automatic []events.Cause `json:"automatic,omitempty"` // of triggers
}

// Setback is a cycle that gave no champion.
type Setback struct {
	Cycle         string `json:"cycle,omitempty"`
	Version       string `json:"version,omitempty"`
	Snapshot      string `json:"snapshot"`
	ModelRevision uint64 `json:"modelRevision"`
	Rows          int64  `json:"rows"` // in its snapshot
	Reason        string `json:"reason"`
	RolledBack    bool   `json:"rolledBack,omitempty"`
}

// Schedule is one schedule trigger: its place in the when-tree, its next time and whether it waits to be served.
type Schedule struct {
	Key      string    `json:"key"` // "when.any[1]"
	Cron     string    `json:"cron"`
	Timezone string    `json:"timezone,omitempty"`
	Next     time.Time `json:"next,omitzero"` // zero: never
	Due      time.Time `json:"due,omitzero"`  // the newest time that is unserved; zero: none
}

// Past remembers the snapshot of a cycle that was promoted, or may yet be.
type Past struct {
	Cycle         string `json:"cycle"`
	Version       string `json:"version,omitempty"`
	Snapshot      string `json:"snapshot"`
	ModelRevision uint64 `json:"modelRevision"`
	Marks         Marks  `json:"marks"`
	Recipe        Recipe `json:"recipe,omitzero"`
}

// clone copies what Evaluate changes in place, so that the caller's state stays as it was.
func (s State) clone() State {
	s.Alerts = slices.Clone(s.Alerts)
	s.Budget = slices.Clone(s.Budget)
	s.Schedules = slices.Clone(s.Schedules)
	s.Past = slices.Clone(s.Past)
	if s.Pending != nil {
		w := *s.Pending
		w.Asks = slices.Clone(w.Asks)
		s.Pending = &w
	}
	return s
}

// clocks is the present on both clocks.
func (s *State) clocks(now time.Time) Clocks { return Clocks{Event: s.Data.Watermark, Wall: now} }

// clock is the present on the policy's clock.
func (s *State) clock(now time.Time) time.Time { return s.on(s.clocks(now)) }

// on picks the policy's clock; without a policy that is the wall.
func (s *State) on(c Clocks) time.Time {
	if s.Policy != nil && s.Policy.Spec.Clock != resource.ClockWall {
		return c.Event
	}
	return c.Wall
}

// asked reports whether a person's wish waits.
func (s *State) asked() bool { return s.Pending != nil && len(s.Pending.Asks) > 0 }

// window is what the next cycle trains on, and whether a person chose another one than the policy's.
func (s *State) window(manual bool) (w events.Window, override bool) {
	if s.Policy != nil {
		w = s.Policy.Spec.Window
	}
	if !manual || s.Pending == nil {
		return w, false
	}
	if s.Pending.Window != nil && *s.Pending.Window != w {
		return *s.Pending.Window, true
	}
	return w, s.Pending.Import != nil
}

// pastOf finds what a version was trained on, by its cycle or else by its number.
func (s *State) pastOf(cycle, version string) *Past {
	for i := len(s.Past) - 1; i >= 0; i-- {
		p := &s.Past[i]
		if (cycle != "" && p.Cycle == cycle) || (version != "" && p.Version == version) {
			return p
		}
	}
	return nil
}

// clip bounds a text that came from outside.
func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}
