package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/core/resource"
)

// HyperparametersFile holds the hyperparameters beside laid out rows, as JSON.
const HyperparametersFile = "hyperparameters.json"

// LayOut writes into dir what the trainer of a trial would see: the folders train and validation with their rows and schema.json,
// and the hyperparameters. A [*Failure] says why there is nothing to see.
func LayOut(ctx context.Context, data Data, s Spec, dir string) error {
	f := folders{train: filepath.Join(dir, trainChannel), validation: filepath.Join(dir, validationChannel)}
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

// layOut writes the rows of both channels and describes them. It reads no more of them than the trainer needs to be told: DuckDB
// computes features from files to files.
func (t *run) layOut(ctx context.Context) error {
	training, err := t.training(ctx)
	if err != nil {
		return err
	}
	validation := t.spec.query(t.spec.Validation)
	validation.Weight, validation.ClassWeight = training.Weight, training.ClassWeight
	shape, err := t.data.Describe(ctx, training)
	if err != nil {
		return err
	}
	t.train.Features, t.weight = shape.Features, shape.Weight
	all, whole := errgroup.WithContext(ctx)
	classes := sync.OnceValue(func() error { return t.classes(whole, training) })
	if t.spec.Task == resource.TaskMulticlass {
		all.Go(classes) // they are counted meanwhile
	}
	var held int64
	all.Go(func() (err error) {
		t.rows, err = t.channel(whole, training, t.folders.train, trainChannel, classes)
		return err
	})
	all.Go(func() (err error) {
		held, err = t.channel(whole, validation, t.folders.validation, validationChannel, classes)
		return err
	})
	if err := all.Wait(); err != nil {
		return err
	}
	return t.enough(t.rows, held)
}

// channel makes the folder of a channel with its rows and schema.json, and counts the rows.
func (t *run) channel(ctx context.Context, q Query, dir, channel string, classes func() error) (int64, error) {
	fail := func(err error) (int64, error) { return 0, fmt.Errorf("export %s rows: %w", channel, err) }
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail(err)
	}
	n, err := t.data.Export(ctx, q, filepath.Join(dir, t.spec.file(channel)), t.spec.format())
	if err != nil {
		return fail(err)
	}
	if err := classes(); err != nil {
		return 0, err
	}
	return n, t.describe(dir, channel, n)
}

// classes finds out what a model must answer for.
func (t *run) classes(ctx context.Context, training Query) error {
	switch t.spec.Task {
	case resource.TaskBinary:
		t.train.Classes = []string{"false", "true"}
	case resource.TaskMulticlass:
		if err := t.summarize(ctx, training); err != nil {
			return err
		}
		t.train.Classes = t.summary.Classes
	}
	return nil
}

// training is the query of the training rows. Balanced weights of classes depend on how many rows each has.
func (t *run) training(ctx context.Context) (Query, error) {
	q := t.spec.training()
	for _, class := range sortedNames(q.ClassWeight) {
		if w := q.ClassWeight[class]; w < 0 || w-w != 0 {
			return q, failed("the weight of the class %s is %v; it must be a finite number of at least 0", class, w)
		}
	}
	if t.spec.ClassWeights == nil || !t.spec.ClassWeights.Balanced {
		return q, nil
	}
	if err := t.summarize(ctx, q); err != nil {
		return q, err
	}
	q.ClassWeight = t.summary.balanced()
	return q, nil
}

// summarize counts the training rows, once.
func (t *run) summarize(ctx context.Context, training Query) error {
	if t.summary != nil {
		return nil
	}
	sum, err := t.data.Summarize(ctx, training)
	if err != nil {
		return err
	}
	t.summary = &sum
	return nil
}
