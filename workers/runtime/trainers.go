package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/workers/trainer/linear"
)

// builtin trains by builtin/linear.
func (t *run) builtin(ctx context.Context) error {
	p, err := linear.ParseParams(t.spec.Hyperparameters())
	if err != nil {
		return failed("%v", err)
	}
	data := linear.Data{Contract: t.contract(), Batch: t.train.Batch, Label: t.train.Label}
	onnx, report, err := linear.Train(ctx, data, p, func(p linear.Progress) {
		t.tell(Update{Phase: PhaseTraining, Fraction: float64(p.Iteration) / float64(p.MaxIter),
			Message: fmt.Sprintf("iteration %d", p.Iteration), Metrics: map[string]float64{"loss": p.Loss, "gradient": p.Gradient}})
	})
	if err != nil {
		return failed("%v", err)
	}
	t.out.line(fmt.Sprintf("tidemill: %d rows, %d weights per output, %d iterations, loss %.6g, gradient %.2g",
		report.Rows, report.Weights, report.Iteration, report.Loss, report.Gradient))
	if !report.Converged {
		t.out.line("tidemill: the fit did not converge: raise maxIter, l2 or tolerance")
	}
	t.result.ONNX = onnx
	t.result.Reported = map[string]float64{"loss": report.Loss, "iterations": float64(report.Iteration)}
	return nil
}

// process trains by the process contract.
func (t *run) process(ctx context.Context) error {
	env, err := environ(t.spec, t.folders, t.o.Path, t.o.Getenv)
	if err != nil {
		return err
	}
	p := process{command: append(slices.Clone(t.spec.Candidate.Command), arguments(t.spec.Hyperparameters())...),
		dir: t.folders.code, env: env, path: t.o.Path, grace: t.o.Grace, out: t.out,
		started: func(pid int) { t.tell(Update{Phase: PhaseTraining, PID: pid}) }}
	if v := pythonVersion(ctx, p); v != "" {
		t.result.Environment["python"] = v
	}
	if err := p.run(ctx); err != nil {
		return err
	}
	t.result.Reported = t.out.reported()
	return t.collect()
}

// code unpacks the candidate's source.
func (t *run) code(ctx context.Context) error {
	if t.spec.Code == nil {
		return nil
	}
	b, err := t.blobs.Get(ctx, t.spec.Code.Key)
	if err != nil {
		return fmt.Errorf("fetch the candidate's source: %w", err)
	}
	if got := digest(b); got != t.spec.Code.SHA256 {
		return failed("the candidate's source in blob storage is corrupt: it has sha256 %s, expected %s; apply the model again", got, t.spec.Code.SHA256)
	}
	t.result.CodeDigest = t.spec.Code.SHA256
	return unpackSource(b, t.folders.code)
}

// maxModel bounds a model's file, in bytes: ONNX itself ends at 2 GiB.
const maxModel = 2 << 30

// collect takes the model that the trainer left.
func (t *run) collect() error {
	path := filepath.Join(t.folders.model, model.ModelFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return failed("the trainer ended well but left no %s in SM_MODEL_DIR (%s)", model.ModelFile, t.left())
	}
	if err != nil {
		return fmt.Errorf("collect the model: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() == 0 || info.Size() > maxModel {
		return failed("the %s that the trainer left is no file of a model (%d bytes)", model.ModelFile, info.Size())
	}
	if t.result.ONNX, err = os.ReadFile(path); err != nil {
		return fmt.Errorf("collect the model: %w", err)
	}
	return nil
}

// left lists what is in the model folder instead.
func (t *run) left() string {
	entries, _ := os.ReadDir(t.folders.model) // nothing to list is an answer too
	if len(entries) == 0 {
		return "the folder is empty"
	}
	var names []string
	for _, e := range entries[:min(len(entries), 5)] {
		names = append(names, e.Name())
	}
	return "it holds " + strings.Join(names, ", ")
}
