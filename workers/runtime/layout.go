package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// HyperparametersFile holds the hyperparameters beside laid out rows, as JSON.
const HyperparametersFile = "hyperparameters.json"

// LayOut writes into dir what the trainer of a trial would see: the folders train and validation with their rows and schema.json,
// and the hyperparameters. A [*Failure] says why there is nothing to see.
func LayOut(ctx context.Context, data Data, s Spec, dir string) error {
	f := folders{train: filepath.Join(dir, trainChannel), validation: filepath.Join(dir, validationChannel)}
	for _, dir := range []string{f.train, f.validation} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("lay out rows: %w", err)
		}
	}
	t := &run{Runner: &Runner{data: data}, spec: s, folders: f}
	if err := t.layOut(ctx); err != nil {
		return err
	}
	b, err := json.MarshalIndent(s.Hyperparameters(), "", "  ")
	if err != nil {
		return failed("the hyperparameters are no JSON: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, HyperparametersFile), append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("lay out hyperparameters: %w", err)
	}
	return nil
}

// layOut writes the rows of both channels and describes them, and reads the training rows meanwhile.
func (t *run) layOut(ctx context.Context) error {
	training := t.spec.training()
	var train, validation int64
	all, whole := errgroup.WithContext(ctx)
	all.Go(func() (err error) { t.train, err = t.data.Extract(whole, training); return err })
	all.Go(func() (err error) { train, err = t.export(whole, training, t.folders.train, trainChannel); return err })
	all.Go(func() (err error) {
		validation, err = t.export(whole, t.spec.query(t.spec.Validation), t.folders.validation, validationChannel)
		return err
	})
	if err := all.Wait(); err != nil {
		return err
	}
	if err := t.enough(train, validation); err != nil {
		return err
	}
	return errors.Join(t.describe(t.folders.train, trainChannel, train), t.describe(t.folders.validation, validationChannel, validation))
}
