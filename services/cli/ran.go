package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/local"
	"github.com/tidemill/tidemill/services/cli/render"
	"github.com/tidemill/tidemill/workers/runtime"
)

// ran is a trial that succeeded here.
type ran struct {
	spec   runtime.Spec
	result runtime.Result
	log    []string
	kept   string
}

// runLocally fetches the rows of a trial, runs it and keeps what it left when keep names a folder.
func (a *app) runLocally(ctx context.Context, client *call.Client, t task, keep string) (out ran, err error) {
	bench, err := local.Open(ctx, client, t.keys, a.Getenv)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, bench.Close()) }()
	if t.code != nil {
		if err := bench.Keep(ctx, t.code.Blob, t.code.bytes); err != nil {
			return out, err
		}
	}
	if err := a.fetch(ctx, bench, t.spec); err != nil {
		return out, err
	}
	told := trialTold{app: a, screen: &screen{out: a.Err, live: a.IsTerminal(a.Err), width: a.width}}
	result, _, err := bench.Run(ctx, t.spec, told.update)
	told.screen.clear()
	out = ran{spec: t.spec, result: result, log: told.lines}
	if keep != "" {
		if kept := out.keep(keep); kept != nil {
			return out, errors.Join(err, kept)
		}
		out.kept = keep
	}
	var failure *runtime.Failure
	if errors.As(err, &failure) {
		return out, failed("", "the trial failed: %s", failure.Reason)
	}
	return out, err
}

// fetch brings the rows of a trial here.
func (a *app) fetch(ctx context.Context, bench *local.Bench, spec runtime.Spec) error {
	most := int64(0)
	for _, s := range spec.Segments {
		most += s.Parquet.Bytes
	}
	bar := a.bar(most, "receiving rows", true)
	defer finish(bar)
	if bar == nil {
		return bench.Fetch(ctx, spec.Segments, io.Discard)
	}
	return bench.Fetch(ctx, spec.Segments, bar)
}

// trialTold tells a person how a trial goes on: its lines on standard error, and how far it is below them.
type trialTold struct {
	*app
	mu     sync.Mutex
	screen *screen
	phase  string
	lines  []string
}

func (t *trialTold) update(u runtime.Update) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if u.Line != "" {
		t.lines = append(t.lines, u.Line)
		t.screen.log(u.Line)
	}
	style := t.style(t.Err)
	if u.Phase != t.phase {
		t.phase = u.Phase
		if !t.screen.live {
			t.note("%s", style.Dim(strings.TrimSpace(u.Phase+": "+u.Message)))
		}
	}
	text := u.Phase
	if u.Fraction > 0 {
		text += " " + render.Bar(u.Fraction, 20) + fmt.Sprintf(" %.0f%%", 100*u.Fraction)
	}
	if figures := render.Brief(u.Metrics); figures != "" {
		text += "  " + figures
	}
	t.screen.draw([]string{style.Dim(text + "  " + u.Message)})
}

// keep writes what a trial left, whether it succeeded or not.
func (r ran) keep(dir string) error {
	trial, err := json.MarshalIndent(r.spec, "", "  ")
	if err != nil {
		return err
	}
	files := map[string][]byte{"trial.json": append(trial, '\n'), "log.txt": []byte(strings.Join(append(slices.Clone(r.log), ""), "\n"))}
	if len(r.result.ONNX) > 0 {
		files[model.ModelFile] = r.result.ONNX
	}
	if len(r.result.Extras) > 0 {
		files[model.ExtrasFile] = r.result.Extras
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return failed("", "can't write into %s: %s", dir, cause(err))
	}
	for name, b := range files {
		if _, err := writeWhole(filepath.Join(dir, name), bytes.NewReader(b)); err != nil {
			return err
		}
	}
	return nil
}

// trialSummary is a trial that ran here, for programs.
type trialSummary struct {
	Model          string             `json:"model"`
	Candidate      string             `json:"candidate"`
	Params         map[string]any     `json:"params"`
	TrainRows      int64              `json:"trainRows"`
	ValidationRows int64              `json:"validationRows"`
	Validation     map[string]float64 `json:"validation"`
	Reported       map[string]float64 `json:"reported"`
	Kept           string             `json:"kept,omitempty"`
}

func (r ran) summary() trialSummary {
	return trialSummary{Model: r.spec.Model, Candidate: r.spec.Candidate.Name, Params: r.result.Params, TrainRows: r.result.TrainRows,
		ValidationRows: r.result.ValidationRows, Validation: r.result.Validation, Reported: r.result.Reported, Kept: r.kept}
}

func (r ran) fields(g *render.Grid) {
	g.Field("candidate", r.spec.Candidate.Name)
	g.Field("trained on", render.Count(r.result.TrainRows)+" rows, "+fmt.Sprint(len(r.result.Contract.Features))+" features")
	g.Field("checked", "the model keeps its contract")
	g.Field("validation", render.Figures(r.result.Validation, "")+", on "+render.Count(r.result.ValidationRows)+" rows")
	if len(r.result.Reported) > 0 {
		g.Field("reported", render.Figures(r.result.Reported, "")+" (by the trainer)")
	}
	if r.kept != "" {
		g.Field("kept in", r.kept)
	}
}
