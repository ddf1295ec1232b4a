package model

import (
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// Kinds of features.
const (
	KindNumeric = "numeric" // float32; null is NaN
	KindString  = "string"  // null is ""
)

// Feature is one input of a model.
type Feature = events.Feature

// How a model takes its features.
const (
	InputColumns = "columns" // one [N,1] tensor per feature, by name
	InputMatrix  = "matrix"  // one float32 [N,F] tensor named "features"
)

// Contract is what a model is fed and what it answers.
type Contract struct {
	Task     string    `json:"task"` // binaryClassification, multiclassClassification or regression
	Features []Feature `json:"features"`
	Classes  []string  `json:"classes,omitempty"` // in the order of the probabilities; a binary model's second class is the positive one
	Input    string    `json:"input,omitempty"`   // columns or matrix; found out by [Runtime.Open] when empty
}

// Width is the number of values that the model answers per row: the classes, or 1 for a regression.
func (c Contract) Width() int {
	if c.Task == resource.TaskRegression {
		return 1
	}
	return len(c.Classes)
}

// Check tells what is wrong with the contract itself, before any model is looked at.
func (c Contract) Check() error {
	switch c.Task {
	case resource.TaskBinary:
		if len(c.Classes) != 2 {
			return fmt.Errorf("a %s model has two classes, not %d", c.Task, len(c.Classes))
		}
	case resource.TaskMulticlass:
		if len(c.Classes) < 2 {
			return fmt.Errorf("a %s model needs at least two classes, not %d", c.Task, len(c.Classes))
		}
	case resource.TaskRegression:
	default:
		return fmt.Errorf("unknown task %q", c.Task)
	}
	if len(c.Features) == 0 {
		return errors.New("a model needs at least one feature")
	}
	seen := map[string]bool{}
	for _, f := range c.Features {
		if f.Name == "" || seen[f.Name] {
			return fmt.Errorf("feature name %q is empty or used twice", f.Name)
		}
		seen[f.Name] = true
		if f.Kind != KindNumeric && f.Kind != KindString {
			return fmt.Errorf("feature %s has the kind %q; use %s or %s", f.Name, f.Kind, KindNumeric, KindString)
		}
	}
	return nil
}

// Metrics are the platform's own figures of a version.
type Metrics struct {
	Validation map[string]float64 `json:"validation,omitempty"` // they chose the trial
	Test       map[string]float64 `json:"test,omitempty"`       // they judged the version
}

// Lineage says what a version was made from: the same lineage trains the same model.
type Lineage struct {
	Snapshot    events.Snapshot   `json:"snapshot"`
	Cycle       string            `json:"cycle"`
	Trial       string            `json:"trial"`
	Candidate   string            `json:"candidate"`
	Trainer     string            `json:"trainer"`
	Params      map[string]any    `json:"params,omitempty"`
	Seed        int64             `json:"seed"`
	CodeDigest  string            `json:"codeDigest,omitempty"` // SHA-256 of the trainer's source; empty for a built-in trainer
	Environment map[string]string `json:"environment,omitempty"`
	WarmStart   string            `json:"warmStart,omitempty"` // the version that training began from
	RefitOf     string            `json:"refitOf,omitempty"`   // the version that was judged: this one is its recipe on all rows
}

// ONNX describes the model file.
type ONNX struct {
	Producer string           `json:"producer,omitempty"`
	Opsets   map[string]int64 `json:"opsets"` // by operator domain; the standard one is ""
}

// What answers for a version.
const (
	RuntimeONNX    = "onnx"
	RuntimeCommand = "command"
)

// Folders of a package that is answered for by a command, as they are unpacked beside each other.
const (
	FolderModel = "model" // SM_MODEL_DIR as the trainer left it: ExtrasFile
	FolderCode  = "code"  // the candidate's source: CodeFile
)

// PredictCommand is a program that answers instead of an ONNX model.
type PredictCommand struct {
	Command []string `json:"command"`
	Folder  string   `json:"folder"` // that it runs in: FolderModel or FolderCode
}

// check tells what is wrong with the command, or missing among the files.
func (p PredictCommand) check(files map[string]string) error {
	switch {
	case len(p.Command) == 0 || p.Command[0] == "":
		return errors.New("its predict command is empty")
	case p.Folder != FolderModel && p.Folder != FolderCode:
		return fmt.Errorf("its predict command runs in the folder %q; use %s or %s", p.Folder, FolderModel, FolderCode)
	case p.Folder == FolderModel && files[ExtrasFile] == "":
		return fmt.Errorf("its predict command runs in the model folder, but it names no digest of %s", ExtrasFile)
	case p.Folder == FolderCode && files[CodeFile] == "":
		return fmt.Errorf("its predict command runs in the source folder, but it names no digest of %s", CodeFile)
	}
	return nil
}

// Manifest describes a version and names the digest of each other file of its package.
type Manifest struct {
	Model   string `json:"model"`
	Version string `json:"version"`
	Dataset string `json:"dataset"`
	Contract
	FeatureSQL     string            `json:"featureSQL"` // the model carries its own: training, evaluation and serving compute the same
	LabelSQL       string            `json:"labelSQL"`
	Metrics        Metrics           `json:"metrics"`
	Lineage        Lineage           `json:"lineage"`
	TrainedThrough time.Time         `json:"trainedThrough"` // newest event time that the trainer saw
	TrainRows      int64             `json:"trainRows"`
	ValidationRows int64             `json:"validationRows"`
	CreatedAt      time.Time         `json:"createdAt"`
	Runtime        string            `json:"runtime"` // onnx or command
	ONNX           ONNX              `json:"onnx,omitzero"`
	Predict        *PredictCommand   `json:"predict,omitempty"` // with the runtime command
	Files          map[string]string `json:"files"`             // SHA-256 (lower-case hex) by file name
}
