package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"go.uber.org/zap"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/jobs"
)

// try runs the attempt and returns its outcome. An error says that there is none, and the job goes on elsewhere: another
// attempt has begun (jobs.ErrStale), the worker stops and has handed the job back (the context's error), somebody killed the
// trainer, or the platform had trouble. Trouble ends in an outcome when there was too much of it: a trial without one would hold
// its cycle up.
func (w *Worker) try(ctx context.Context, spec Spec, attempt jobs.Attempt) (events.TrialFinished, error) {
	out, keeper, err := w.attemptOnce(ctx, spec, attempt)
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, jobs.ErrStale):
		w.o.Log.Warn("trial was taken by another worker", zap.String("trial", spec.Trial), zap.Int("attempt", attempt.Number))
		w.leave(spec, attempt)
		return out, err
	case ctx.Err() != nil:
		return out, w.handBack(ctx, keeper)
	}
	if tries := attempt.Lost + 1; tries >= w.o.Tries {
		out.Reason = fmt.Sprintf("the platform could not run the trial, after %d tries: %v", tries, err)
		return out, nil
	}
	keeper.report(keeper.final(ctx, err))
	w.leave(spec, attempt)
	return out, err
}

// handBack stores what the attempt has reached, and gives the job back: the attempt is not counted as lost.
func (w *Worker) handBack(ctx context.Context, k *keeper) error {
	cause := context.Cause(ctx)
	ctx, cancel := afterStop(ctx)
	defer cancel()
	k.report(k.final(ctx, nil))
	err := w.attempts.Release(ctx, k.attempt)
	w.leave(k.spec, k.attempt)
	if errors.Is(err, jobs.ErrStale) {
		return err
	}
	if err != nil {
		k.warn("the trial was not handed back: it counts as one that lost its worker", err)
	}
	w.o.Log.Info("trial is handed back", zap.String("trial", k.spec.Trial), zap.Int("attempt", k.attempt.Number), zap.Int("checkpoint", k.now.Number))
	return cause
}

// attemptOnce runs the attempt beside all that watches it. The keeper has stopped, and still knows what is to be kept.
func (w *Worker) attemptOnce(ctx context.Context, spec Spec, attempt jobs.Attempt) (events.TrialFinished, *keeper, error) {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reporter := newReporter(w, spec, attempt)
	defer reporter.close()
	k := newKeeper(w, spec, attempt)
	k.stale, k.told = func() { cancel(jobs.ErrStale) }, reporter.checkpoints
	out := w.outcome(spec, attempt)
	resumed, err := k.restore(running)
	if err != nil {
		return out, k, err
	}
	var preface []string
	if resumed != "" {
		reporter.resume(resumed)
		preface = append(preface, "tidemill: "+resumed)
	}
	stop := w.watch(running, spec, attempt, cancel)
	keeping, stopKeeping := context.WithCancel(running)
	var keeps sync.WaitGroup
	keeps.Go(func() { k.run(keeping) })
	ended := sync.OnceFunc(func() {
		stop()
		stopKeeping()
		keeps.Wait()
	})
	defer ended()

	began := w.o.Clock()
	result, tail, err := w.runner.Run(running, spec, attempt.Number, func(u Update) {
		reporter.update(u)
		if u.Line != "" {
			k.line(u.Line)
		}
	}, preface...)
	ended()
	out.Seconds, out.LogTail = w.o.Clock().Sub(began).Seconds(), tail
	out.Reported, out.Curve, out.CodeDigest, out.Environment = result.Reported, result.Curve, result.CodeDigest, result.Environment
	var failure *Failure
	var stopped *Stopped
	switch {
	case errors.As(err, &stopped):
		out.Reason, out.Stopped = stopped.Reason, true
	case errors.As(err, &failure) && failure.Killed && attempt.Lost+1 < w.o.Tries:
		return out, k, err
	case errors.As(err, &failure):
		out.Reason = failure.Reason
	case errors.Is(err, ErrCancelled):
		out.Reason = err.Error()
	case err != nil:
		return out, k, err
	}
	storing, cancelStoring := afterStop(ctx)
	defer cancelStoring()
	w.storeLog(storing, &out)
	if out.Reason != "" {
		return out, k, nil
	}
	w.o.Crash(CrashTrained)
	out, err = w.store(storing, spec, out, result)
	return out, k, err
}

// storeLog stores the log of an attempt that came to an end. It is for people: a trial doesn't fail for it.
func (w *Worker) storeLog(ctx context.Context, out *events.TrialFinished) {
	blob, err := w.blobs.PutFile(ctx, fmt.Sprintf("trials/%s/%d/log.txt", out.Trial, out.Attempt), w.runner.log(out.Trial, out.Attempt))
	if err != nil {
		w.o.Log.Warn("the trial's log could not be stored", zap.String("trial", out.Trial), zap.Error(err))
		return
	}
	out.Log = &blob
}

// store puts the model into blob storage and fills the outcome in.
func (w *Worker) store(ctx context.Context, spec Spec, out events.TrialFinished, r Result) (events.TrialFinished, error) {
	put := func(name string, b []byte) (*events.Blob, error) {
		if b == nil {
			return nil, nil
		}
		blob, err := w.blobs.PutBytes(ctx, fmt.Sprintf("trials/%s/%d/%s", spec.Trial, out.Attempt, name), b)
		if err != nil {
			return nil, fmt.Errorf("store the model of %s: %w", spec.Trial, err)
		}
		return &blob, nil
	}
	var err error
	if out.Package, err = put(model.ModelFile, r.ONNX); err != nil {
		return out, err
	}
	if out.Extras, err = put(model.ExtrasFile, r.Extras); err != nil {
		return out, err
	}
	if r.Predict != nil {
		out.Command = r.Predict.Command
	}
	out.Succeeded = true
	out.Features, out.Classes, out.Input = r.Contract.Features, r.Contract.Classes, r.Contract.Input
	out.Validation, out.Reported = r.Validation, r.Reported
	out.TrainRows, out.ValidationRows, out.TestRows = r.TrainRows, r.ValidationRows, r.TestRows
	out.TrainedThrough, out.CodeDigest, out.Environment = r.TrainedThrough, r.CodeDigest, r.Environment
	return out, nil
}

func (w *Worker) outcome(spec Spec, attempt jobs.Attempt) events.TrialFinished {
	return events.TrialFinished{Trial: spec.Trial, Cycle: spec.Cycle, Model: spec.Model, Candidate: spec.Candidate.Name, Attempt: attempt.Number,
		Params: spec.Hyperparameters(), Code: spec.Code, Worker: w.o.Name}
}

// forget removes what is left of one attempt, and the trial's folder when nothing else is in it.
func (r *Runner) forget(trial string, attempt int) error {
	err := errors.Join(os.RemoveAll(r.checkpoints(trial, attempt)), os.RemoveAll(r.log(trial, attempt)))
	home := filepath.Join(r.o.Dir, trial)
	if entries, _ := os.ReadDir(home); len(entries) == 0 { // else another attempt is at it
		err = errors.Join(err, os.RemoveAll(home))
	}
	return err
}
