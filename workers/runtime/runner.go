package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/workers/runtime/guard"
)

// Phases of a trial, in order.
const (
	PhasePreparing = "preparing"
	PhaseTraining  = "training"
	PhaseChecking  = "checking"
	PhaseScoring   = "scoring"
)

// Update is news of a running trial.
type Update struct {
	Phase    string
	Fraction float64 // of the phase, 0 to 1; 0 when the trainer doesn't tell
	Message  string
	Metrics  map[string]float64 // the trainer's own
	Line     string             // of the trainer's output
	PID      int                // of the trainer, once, when it started
}

// Result is a trial that succeeded.
type Result struct {
	ONNX           []byte                // model.onnx; nil when a command answers
	Predict        *model.PredictCommand // answers instead of an ONNX model
	Extras         []byte                // what else is in the model folder, as a tar.gz; nil for nothing
	Contract       model.Contract
	Validation     map[string]float64 // the platform's, on the validation rows
	Reported       map[string]float64 // the trainer's own
	TrainRows      int64
	ValidationRows int64
	TestRows       int64
	TrainedThrough time.Time // newest event time in the training and validation rows; of an imported model, what is said of it
	Params         map[string]any
	CodeDigest     string
	Environment    map[string]string
	Curve          []events.Point // the metric that early stopping watches; at most 200 points
}

// Options are how a runner works.
type Options struct {
	Dir    string              // where trials have their scratch folders
	Path   string              // PATH of trainers; default the worker's own
	Grace  time.Duration       // from SIGTERM to SIGKILL; default 5s
	Getenv func(string) string // default os.Getenv
	// User is whom trainers run as; nil: the worker's own user. Dir and Venvs must be where that user can reach them.
	User *User
	// Venvs is where Python environments lie, which workers may share; default "venvs" in Dir.
	Venvs string
	// Watchdog is the command of this program itself, which ends the trials of a worker that was killed: see guard.Self and
	// guard.ServeWatchdog. Empty: what outlives the worker is ended by its next start.
	Watchdog []string
	// Keys verify the champion that a trial may begin from.
	Keys *model.Keyring
}

// Runner runs trials. It is safe for concurrent use.
type Runner struct {
	data  Data
	blobs Blobs
	ort   *model.Runtime
	o     Options

	environment  func() map[string]string // does not change while a process lives
	environments *Environments
	worker       string // as its trials' processes are marked
	watchdog     *guard.Watchdog
	spare        *spare
}

// NewRunner makes a runner.
func NewRunner(data Data, blobs Blobs, ort *model.Runtime, o Options) *Runner {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Path == "" {
		o.Path = o.Getenv("PATH")
	}
	if o.Grace == 0 {
		o.Grace = grace
	}
	if o.Venvs == "" {
		o.Venvs = filepath.Join(o.Dir, "venvs")
	}
	r := &Runner{data: data, blobs: blobs, ort: ort, o: o, worker: guard.WorkerID(o.Dir), spare: newSpare(o.Dir),
		environment: sync.OnceValue(func() map[string]string { return environment(ort.Version()) })}
	r.environments = NewEnvironments(EnvironmentsOptions{Dir: o.Venvs, Path: o.Path, Getenv: o.Getenv, User: o.User, Grace: o.Grace, Worker: r.worker})
	if len(o.Watchdog) > 0 {
		r.watchdog = guard.NewWatchdog(o.Watchdog, r.worker)
	}
	return r
}

// Environments are the Python environments that its trials use.
func (r *Runner) Environments() *Environments { return r.environments }

// Tidy ends what dead workers of the same Dir have left running, and removes Python environments that nobody has used for
// long. It tells how many processes and environments that were. Call it when a worker starts.
func (r *Runner) Tidy(ctx context.Context) (processes, environments int, err error) {
	r.spare.clean()
	processes, stuck := guard.Sweep(ctx, r.o.Dir)
	environments, err = r.environments.Clean()
	return processes, environments, errors.Join(stuck, err)
}

// Close stops what the runner started beside its trials. None may run any more.
func (r *Runner) Close() {
	if r.watchdog != nil {
		r.watchdog.Stop()
	}
	r.spare.clean()
}

// run is one attempt of a trial under way.
type run struct {
	*Runner
	spec     Spec
	attempt  int
	folders  folders
	limit    *stopwatch
	curve    *curve
	stop     context.CancelCauseFunc
	secrets  []string    // variables of the trainer's environment
	python   Environment // the zero value when the source asks for none
	out      *output
	update   func(Update)
	phase    string
	train    Rows     // of a process, features and classes alone
	rows     int64    // that are trained on
	summary  *Summary // of the training rows, when they had to be counted
	weight   string   // the column of exported weights
	begun    func()   // says that the trainer's process has started
	validate Rows
	result   Result
}

// Run runs one attempt of a trial to its end and returns its result and the last lines of its log, which come with an error
// too. A [*Failure] is the trial's own; [ErrCancelled] and the context's other causes come back as they are. The preface is what
// its log begins with. Its scratch folder is gone afterwards; the attempt's checkpoints and its log stay until
// [Runner.Forget].
func (r *Runner) Run(ctx context.Context, s Spec, attempt int, update func(Update), preface ...string) (Result, []string, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	limit := newStopwatch(s.timeLimit(), func() { stop(errTimeLimit) })
	defer limit.pause()
	scratch, err := filepath.Abs(r.place(s.Trial, "attempt-%d", attempt))
	if err != nil {
		return Result{}, nil, fmt.Errorf("run %s: %w", s.Trial, err)
	}
	checkpoints, err := filepath.Abs(r.checkpoints(s.Trial, attempt))
	if err != nil {
		return Result{}, nil, fmt.Errorf("run %s: %w", s.Trial, err)
	}
	if err := remove(scratch); err != nil {
		return Result{}, nil, fmt.Errorf("run %s: %w", s.Trial, err)
	}
	defer func() { _ = remove(scratch) }() // the next attempt of the trial, or Forget, tries again
	log, err := newLogFile(r.log(s.Trial, attempt), keptLog)
	if err != nil {
		return Result{}, nil, fmt.Errorf("run %s: %w", s.Trial, err)
	}
	defer log.Close()
	if s.Candidate.Trainer == TrainerProcess {
		r.spare.take(scratch)
	}
	t := &run{Runner: r, spec: s, attempt: attempt, folders: foldersIn(scratch, checkpoints), update: update, phase: PhasePreparing,
		limit: limit, curve: curveOf(s), stop: stop}
	if t.out, err = newOutput(log, s.Candidate.Metrics, t.onLine); err != nil {
		return Result{}, nil, err
	}
	for _, line := range preface {
		t.out.line(line)
	}
	err = t.all(ctx)
	t.result.Curve = t.curve.thin()
	var failure *Failure
	switch {
	case err == nil:
		return t.result, t.out.last(), nil
	case ctx.Err() != nil:
		err = explainEnd(ctx, s)
	case errors.As(err, &failure):
		err = &Failure{Reason: t.out.mask.hide(failure.Reason), Killed: failure.Killed}
	default:
		err = fmt.Errorf("run %s: %s: %w", s.Trial, t.phase, err)
	}
	return t.known(), t.out.last(), err
}

// known is what there is to tell of a trial that left no model.
func (t *run) known() Result {
	r := t.result
	return Result{Reported: t.out.reported(), Params: r.Params, CodeDigest: r.CodeDigest, Environment: r.Environment, Curve: r.Curve}
}

// Forget removes what is left of a trial: its checkpoints and logs. Call it when its result has landed.
func (r *Runner) Forget(trial string) error { return remove(filepath.Join(r.o.Dir, trial)) }

// checkpoints is the folder in which an attempt finds its checkpoints and leaves new ones.
func (r *Runner) checkpoints(trial string, attempt int) string {
	return r.place(trial, "checkpoints-%d", attempt)
}

// log is the file with everything that an attempt printed.
func (r *Runner) log(trial string, attempt int) string {
	return r.place(trial, "attempt-%d.log", attempt)
}

func (r *Runner) place(trial, form string, attempt int) string {
	return filepath.Join(r.o.Dir, trial, fmt.Sprintf(form, attempt))
}

func (t *run) onLine(line string, metrics map[string]float64) {
	t.tell(Update{Phase: t.phase, Line: line, Metrics: metrics, Fraction: metrics[metricProgress]})
	if end := t.curve.report(metrics); end != nil {
		t.stop(end)
	}
}

func (t *run) tell(u Update) {
	if t.update != nil {
		t.update(u)
	}
}

// enter begins a phase.
func (t *run) enter(phase, message string) {
	t.phase = phase
	t.tell(Update{Phase: phase, Message: message})
}

func (t *run) all(ctx context.Context) error {
	t.enter(PhasePreparing, "reading rows")
	if err := t.prepare(ctx); err != nil {
		return err
	}
	t.enter(PhaseTraining, fmt.Sprintf("%d rows, %d features", t.rows, len(t.train.Features)))
	if err := t.trainAndHoldOut(ctx); err != nil {
		return err
	}
	t.result.TrainRows, t.result.ValidationRows = t.rows, int64(t.validate.Batch.N)
	t.result.TrainedThrough = t.train.newest()
	if t.summary != nil {
		t.result.TrainedThrough = t.summary.Newest
	}
	if v := t.validate.newest(); v.After(t.result.TrainedThrough) {
		t.result.TrainedThrough = v
	}
	if t.spec.Import != nil {
		t.result.TrainRows, t.result.TrainedThrough = 0, t.spec.Import.TrainedThrough
	}
	t.enter(PhaseChecking, "loading the model")
	scorer, err := t.openModel(ctx)
	if err != nil {
		return err
	}
	defer scorer.Close()
	t.result.Contract = scorer.Contract()
	t.enter(PhaseScoring, fmt.Sprintf("%d validation rows", t.validate.Batch.N))
	return t.score(ctx, scorer)
}

// trainAndHoldOut trains. Nothing that trains needs the rows that are held out: they are read meanwhile, but not so early that
// a process would have to wait for a processor to start on.
func (t *run) trainAndHoldOut(ctx context.Context) error {
	train, early := t.process, false
	switch t.spec.Candidate.Trainer {
	case TrainerLinear:
		train, early = t.builtin, true
	case TrainerImport:
		train, early = t.imported, true
	}
	begun := make(chan struct{})
	t.begun = sync.OnceFunc(func() { close(begun) })
	if early {
		t.begun()
	}
	both, whole := errgroup.WithContext(ctx)
	both.Go(func() error {
		defer t.begun()
		return train(whole)
	})
	both.Go(func() error {
		<-begun
		err := t.holdOut(whole)
		if !early {
			t.spare.refill()
		}
		return err
	})
	return both.Wait()
}

func (t *run) contract() model.Contract {
	return model.Contract{Task: t.spec.Task, Features: t.train.Features, Classes: t.train.Classes}
}

// prepare reads the training rows and, for a process, lays all rows and the code out as files. It is done at once: each part is
// short, and together they are what a cycle waits for before it trains.
func (t *run) prepare(ctx context.Context) (err error) {
	t.result.Params, t.result.Environment = t.spec.Hyperparameters(), maps.Clone(t.environment())
	if t.spec.Candidate.Trainer != TrainerProcess {
		training, err := t.training(ctx)
		if err != nil {
			return err
		}
		if t.train, err = t.data.Extract(ctx, training); err != nil {
			return err
		}
		t.rows = int64(t.train.Batch.N)
		return t.enough(t.rows, 1)
	}
	if t.secrets, t.out.mask, err = secrets(t.spec.Candidate.Secrets, t.o.Getenv); err != nil {
		return err
	}
	if t.watchdog != nil {
		if err := t.watchdog.Start(); err != nil {
			return err
		}
	}
	all, whole := errgroup.WithContext(ctx)
	all.Go(func() error {
		if err := t.folders.make(); err != nil {
			return err
		}
		if err := t.code(whole); err != nil {
			return err
		}
		return t.packages(whole)
	})
	all.Go(func() error { return t.layOut(whole) })
	all.Go(func() error { return t.warmStart(whole) })
	return all.Wait()
}

// enough refuses to train on nothing.
func (t *run) enough(train, validation int64) error {
	switch {
	case train == 0:
		return failed("there are no training rows: the window holds no row with a label before the hold-out")
	case validation == 0:
		return failed("there are no validation rows: make split.validation longer, or publish more data")
	}
	return nil
}

// holdOut reads the rows that score the model, counts those that will judge it, and finds out what nobody needed to know of the
// training rows before. One after the other: the trainer has more use for the processors.
func (t *run) holdOut(ctx context.Context) (err error) {
	if t.validate, err = t.data.Extract(ctx, t.spec.query(t.spec.Validation)); err != nil {
		return err
	}
	if err := t.enough(t.rows, int64(t.validate.Batch.N)); err != nil {
		return err
	}
	if t.spec.Candidate.Trainer == TrainerProcess {
		if err := t.summarize(ctx, t.spec.training()); err != nil {
			return err
		}
	}
	test, err := t.data.Summarize(ctx, t.spec.query(t.spec.Test))
	t.result.TestRows = test.Rows
	return err
}
