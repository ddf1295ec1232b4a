package runtime

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/core/model"
)

// LabelColumn is the name of the label in exported files.
const LabelColumn = "label"

// Schema is schema.json beside the rows that a trainer reads.
type Schema struct {
	Model    string          `json:"model"`
	Task     string          `json:"task"`
	Features []model.Feature `json:"features"`         // the columns, in this order
	Label    string          `json:"label"`            // the column after them; a binary label is 0 or 1
	Weight   string          `json:"weight,omitempty"` // the column after that, where rows have weights
	Classes  []string        `json:"classes,omitempty"`
	File     string          `json:"file"`
	Rows     int             `json:"rows"`
}

// folders are the places of a trial that a process gets.
type folders struct {
	scratch, code, train, validation, warm, model, output, temp, checkpoints string
}

// foldersIn names the folders of an attempt.
func foldersIn(scratch, checkpoints string) folders {
	return folders{scratch: scratch, code: filepath.Join(scratch, "code"), train: filepath.Join(scratch, "input", "train"),
		validation: filepath.Join(scratch, "input", "validation"), warm: filepath.Join(scratch, "input", "model"), model: filepath.Join(scratch, "model"),
		output: filepath.Join(scratch, "output"), temp: filepath.Join(scratch, "tmp"), checkpoints: checkpoints}
}

// make makes them, but for those of rows. The built-in trainer needs none.
func (f folders) make() error {
	for _, dir := range []string{f.code, f.model, f.output, f.temp, f.checkpoints} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the trial's folders: %w", err)
		}
	}
	return nil
}

// Channels are the sets of rows that a process gets.
const (
	trainChannel      = "train"
	validationChannel = "validation"
)

// describe writes schema.json beside the rows of a channel. Classes are those of the training rows: what the model must answer for.
func (t *run) describe(dir, channel string, rows int64) error {
	b, err := json.MarshalIndent(Schema{Model: t.spec.Model, Task: t.spec.Task, Features: t.train.Features, Label: LabelColumn,
		Weight: t.weight, Classes: t.train.Classes, File: t.spec.file(channel), Rows: int(rows)}, "", "  ")
	if err != nil {
		return fmt.Errorf("describe %s rows: %w", channel, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "schema.json"), b, 0o644); err != nil {
		return fmt.Errorf("describe %s rows: %w", channel, err)
	}
	return nil
}

// format is how the rows are exported.
func (s Spec) format() string {
	if s.Candidate.Format == "" {
		return FormatParquet
	}
	return s.Candidate.Format
}

// file is the name of a channel's file of rows.
func (s Spec) file(channel string) string { return channel + "." + s.format() }

// arguments are the hyperparameters as --name value, sorted by name.
func arguments(params map[string]any) []string {
	var out []string
	for _, name := range sortedNames(params) {
		out = append(out, "--"+name, text(params[name]))
	}
	return out
}

// threads are the variables by which numeric libraries are told how many threads to use.
var threads = []string{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"}

// environ is the environment of a trainer, but for its mark and its secrets.
func environ(s Spec, f folders, path string, getenv func(string) string) ([]string, error) {
	params := s.Hyperparameters()
	all, err := json.Marshal(params)
	if err != nil {
		return nil, failed("the hyperparameters are no JSON: %v", err)
	}
	lang := getenv("LANG")
	if lang == "" {
		lang = "C.UTF-8"
	}
	cpus := s.Candidate.Resources.CPU
	if cpus == 0 {
		cpus = goruntime.NumCPU()
	}
	out := []string{
		"PATH=" + path, "LANG=" + lang, "HOME=" + f.scratch, "TMPDIR=" + f.temp,
		"SM_CHANNEL_TRAIN=" + f.train, "SM_CHANNEL_TRAINING=" + f.train, "SM_CHANNEL_VALIDATION=" + f.validation,
		"SM_MODEL_DIR=" + f.model, "SM_OUTPUT_DATA_DIR=" + f.output,
		"SM_HPS=" + string(all), "SM_NUM_CPUS=" + strconv.Itoa(cpus), "SM_NUM_GPUS=" + strconv.Itoa(s.Candidate.Resources.GPU),
		`SM_HOSTS=["algo-1"]`, "SM_CURRENT_HOST=algo-1",
		"TIDEMILL_CHECKPOINT_DIR=" + f.checkpoints, "TIDEMILL_SEED=" + strconv.FormatInt(s.Seed, 10),
		// A hash seed is 32 bits wide.
		"PYTHONUNBUFFERED=1", "PYTHONHASHSEED=" + strconv.FormatUint(uint64(uint32(s.Seed)), 10),
	}
	if s.Candidate.Resources.CPU > 0 {
		for _, name := range threads {
			out = append(out, name+"="+strconv.Itoa(cpus))
		}
	}
	// Which of the machine's GPUs are this worker's is said to the worker.
	if visible := getenv("CUDA_VISIBLE_DEVICES"); visible != "" && s.Candidate.Resources.GPU > 0 {
		out = append(out, "CUDA_VISIBLE_DEVICES="+visible)
	}
	if s.WarmStart != nil {
		out = append(out, "SM_CHANNEL_MODEL="+f.warm)
	}
	if s.Refit {
		reported, err := json.Marshal(s.Reported)
		if err != nil {
			return nil, fmt.Errorf("encode what the judged trial reported: %w", err)
		}
		out = append(out, "TIDEMILL_REFIT=1", "TIDEMILL_REPORTED="+string(reported))
	}
	for _, name := range sortedNames(params) {
		out = append(out, "SM_HP_"+variable(name)+"="+text(params[name]))
	}
	return out, nil
}

// variable is a hyperparameter's name as part of a variable's: "num-leaves" becomes NUM_LEAVES.
func variable(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
}

// text is a hyperparameter as an argument: strings as they are, all else as JSON.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
