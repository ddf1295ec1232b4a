package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tidemill/tidemill/core/model/archive"
	"github.com/tidemill/tidemill/workers/trainer/linear"
)

// builtin trains by builtin/linear.
func (t *run) builtin(ctx context.Context) error {
	p, err := linear.ParseParams(t.spec.Hyperparameters())
	if err != nil {
		return failed("%v", err)
	}
	data := linear.Data{Contract: t.contract(), Batch: t.train.Batch, Label: t.train.Label, Weight: t.train.Weight}
	start, err := t.champion(ctx)
	if err != nil {
		return err
	}
	m, err := linear.Train(ctx, data, p, linear.Options{Start: start, Progress: func(p linear.Progress) {
		t.tell(Update{Phase: PhaseTraining, Fraction: float64(p.Iteration) / float64(p.MaxIter),
			Message: fmt.Sprintf("iteration %d", p.Iteration), Metrics: map[string]float64{"loss": p.Loss, "gradient": p.Gradient}})
	}})
	if err != nil {
		return failed("%v", err)
	}
	report := m.Report
	t.out.line(fmt.Sprintf("tidemill: %d rows, %d weights per output, %d iterations, loss %.6g, gradient %.2g",
		report.Rows, report.Weights, report.Iteration, report.Loss, report.Gradient))
	if report.Warm {
		t.out.line("tidemill: the fit started from version " + t.spec.WarmStart.Version)
	}
	if !report.Converged {
		t.out.line("tidemill: the fit did not converge: raise maxIter, l2 or tolerance")
	}
	t.result.ONNX = m.ONNX
	t.result.Reported = map[string]float64{"loss": report.Loss, "iterations": float64(report.Iteration)}
	return t.leave(linear.StateFile, m.State)
}

// champion is the state of the model that the fit may start from; nil to start from nothing. A champion of another trainer has no
// such state.
func (t *run) champion(ctx context.Context) ([]byte, error) {
	if t.spec.WarmStart == nil {
		return nil, nil
	}
	if err := t.warmStart(ctx); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(t.folders.warm, linear.StateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the champion's state: %w", err)
	}
	if err := linear.CheckState(b); err != nil {
		t.out.line(fmt.Sprintf("tidemill: the %s of version %s is no start: %v", linear.StateFile, t.spec.WarmStart.Version, err))
		return nil, nil
	}
	return b, nil
}

// leave puts a file beside the model, as a process would.
func (t *run) leave(name string, b []byte) error {
	fail := func(err error) error { return fmt.Errorf("leave %s: %w", name, err) }
	if err := os.MkdirAll(t.folders.model, 0o755); err != nil {
		return fail(err)
	}
	if err := os.WriteFile(filepath.Join(t.folders.model, name), b, 0o644); err != nil {
		return fail(err)
	}
	folder, err := os.OpenRoot(t.folders.model)
	if err != nil {
		return fail(err)
	}
	defer folder.Close()
	if t.result.Extras, _, err = archive.Pack(folder, archive.Options{Limit: MaxExtras}); err != nil {
		return fail(err)
	}
	return nil
}
