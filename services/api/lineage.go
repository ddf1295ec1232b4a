package api

import (
	"encoding/json"
	"time"

	"github.com/tidemill/tidemill/events"
)

// Plan is a trial as a worker would be told it.
type Plan struct {
	Spec json.RawMessage `json:"spec"` // runtime.Spec
	Keys string          `json:"keys"` // PEM of the public keys that the platform trusts, for a champion that the trial begins from
}

// TrialDetail is one trial with its result, when it has one.
type TrialDetail struct {
	Model string `json:"model"`
	Cycle string `json:"cycle"`
	Trial
	Result *events.TrialFinished `json:"result,omitempty"`
}

// Lineage is everything that a version was made from.
type Lineage struct {
	Model       string             `json:"model"`
	Version     string             `json:"version"`
	State       string             `json:"state"`
	Cycle       string             `json:"cycle"`
	Causes      []events.Cause     `json:"causes"`
	Data        LineageData        `json:"data"`
	Code        LineageCode        `json:"code"`
	Environment map[string]string  `json:"environment"`
	Trial       LineageTrial       `json:"trial"`
	Parents     []Parent           `json:"parents"`
	Package     LineagePackage     `json:"package"`
	Validation  map[string]float64 `json:"validation,omitempty"` // the platform's figures on the validation rows
	Judged      map[string]float64 `json:"judged,omitempty"`     // on the rows that judged it
	JudgedRows  int64              `json:"judgedRows,omitempty"`
	// ChampionJudged are the figures of the champion of that time on the same rows as Judged.
	ChampionJudged map[string]float64 `json:"championJudged,omitempty"`
}

// LineageData is which rows a version was trained on, and how they became features.
type LineageData struct {
	events.Snapshot
	Segments       int       `json:"segments"` // that the trial read
	Missing        []uint64  `json:"missing"`  // ordinals of those that are no longer stored
	TrainRows      int64     `json:"trainRows"`
	ValidationRows int64     `json:"validationRows"`
	TrainedThrough time.Time `json:"trainedThrough"`
	Features       string    `json:"features"`               // SQL
	Label          string    `json:"label"`                  // SQL
	Weight         string    `json:"weight,omitempty"`       // SQL
	ClassWeights   any       `json:"classWeights,omitempty"` // balanced, or a number per class
	ModelRevision  uint64    `json:"modelRevision"`
}

// LineageCode is what trained it.
type LineageCode struct {
	Candidate    string         `json:"candidate"`
	Trainer      string         `json:"trainer"`
	Command      []string       `json:"command,omitempty"`
	Params       map[string]any `json:"params,omitempty"`
	Seed         int64          `json:"seed"`
	Digest       string         `json:"digest,omitempty"`       // SHA-256 of the packed source
	Requirements string         `json:"requirements,omitempty"` // SHA-256 of its requirements.txt
	Blob         *events.Blob   `json:"blob,omitempty"`
}

// LineageTrial is the run that made it.
type LineageTrial struct {
	Trial   string  `json:"trial"`
	Worker  string  `json:"worker,omitempty"`
	Attempt int     `json:"attempt"`
	Seconds float64 `json:"seconds"`
	Refit   bool    `json:"refit,omitempty"`
}

// Ways in which a version can come from another.
const (
	ParentChampion  = "champion"  // it was compared with
	ParentWarmStart = "warmStart" // its training began there
	ParentRefitOf   = "refitOf"   // the same recipe on all rows
)

// Parent is a version that another comes from.
type Parent struct {
	Kind    string `json:"kind"`
	Version string `json:"version"`
	SHA256  string `json:"sha256,omitempty"`
}

// LineagePackage is what was made.
type LineagePackage struct {
	URI       string            `json:"uri"`
	SHA256    string            `json:"sha256"` // of the manifest
	Files     map[string]string `json:"files"`  // SHA-256 by name
	SignedBy  string            `json:"signedBy,omitempty"`
	CreatedAt time.Time         `json:"createdAt"`
	Command   []string          `json:"command,omitempty"` // answers instead of an ONNX model
	Import    *events.Import    `json:"import,omitempty"`  // a person brought it: nothing was trained
}
