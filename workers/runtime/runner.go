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

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
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
	ONNX           []byte
	Contract       model.Contract
	Validation     map[string]float64 // the platform's, on the validation rows
	Reported       map[string]float64 // the trainer's own
	TrainRows      int64
	ValidationRows int64
	TestRows       int64
	TrainedThrough time.Time // newest event time in the training and validation rows
	Params         map[string]any
	CodeDigest     string
	Environment    map[string]string
}

// Options are how a runner works.
type Options struct {
	Dir    string              // where trials have their scratch folders
	Path   string              // PATH of trainers; default the worker's own
	Grace  time.Duration       // from SIGTERM to SIGKILL; default 5s
	Getenv func(string) string // default os.Getenv
}

// Runner runs trials. It is safe for concurrent use.
type Runner struct {
	data  Data
	blobs Blobs
	ort   *model.Runtime
	o     Options

	environment func() map[string]string // does not change while a process lives
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
	return &Runner{data: data, blobs: blobs, ort: ort, o: o, environment: sync.OnceValue(func() map[string]string { return environment(ort.Version()) })}
}

// run is one attempt of a trial under way.
type run struct {
	*Runner
	spec     Spec
	folders  folders
	out      *output
	update   func(Update)
	phase    string
	train    Rows
	validate Rows
	result   Result
}

// Run runs one attempt of a trial to its end and returns its result and the last lines of its log, which come with an error
// too. A [*Failure] is the trial's own; [ErrCancelled] and the context's other causes come back as they are. The preface is what
// its log begins with. Its scratch folder is gone afterwards; the attempt's checkpoints and its log stay until
// [Runner.Forget].
func (r *Runner) Run(ctx context.Context, s Spec, attempt int, update func(Update), preface ...string) (Result, []string, error) {
	if limit := s.timeLimit(); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, errTimeLimit)
		defer cancel()
	}
	scratch, err := filepath.Abs(r.place(s.Trial, "attempt-%d", attempt))
	if err != nil {
		return Result{}, nil, fmt.Errorf("run %s: %w", s.Trial, err)
	}
	checkpoints, err := filepath.Abs(r.checkpoints(s.Trial, attempt))
	if err != nil {
		return Result{}, nil, fmt.Errorf("run %s: %w", s.Trial, err)
	}
	if err := os.RemoveAll(scratch); err != nil {
		return Result{}, nil, fmt.Errorf("run %s: %w", s.Trial, err)
	}
	defer os.RemoveAll(scratch)
	log, err := newLogFile(r.log(s.Trial, attempt), keptLog)
	if err != nil {
		return Result{}, nil, fmt.Errorf("run %s: %w", s.Trial, err)
	}
	defer log.Close()
	t := &run{Runner: r, spec: s, folders: foldersIn(scratch, checkpoints), update: update, phase: PhasePreparing}
	if t.out, err = newOutput(log, s.Candidate.Metrics, t.onLine); err != nil {
		return Result{}, nil, err
	}
	for _, line := range preface {
		t.out.line(line)
	}
	err = t.all(ctx)
	var failure *Failure
	switch {
	case err == nil:
		return t.result, t.out.last(), nil
	case ctx.Err() != nil:
		err = explainEnd(ctx, s)
	case errors.As(err, &failure):
		err = failure
	default:
		err = fmt.Errorf("run %s: %s: %w", s.Trial, t.phase, err)
	}
	return Result{}, t.out.last(), err
}

// Forget removes what is left of a trial: its checkpoints and logs. Call it when its result has landed.
func (r *Runner) Forget(trial string) error { return os.RemoveAll(filepath.Join(r.o.Dir, trial)) }

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
	t.enter(PhaseTraining, fmt.Sprintf("%d rows, %d features", t.train.Batch.N, len(t.train.Features)))
	train := t.process
	if t.spec.Candidate.Trainer == TrainerLinear {
		train = t.builtin
	}
	// Nothing that trains needs the rows that are held out: they are read meanwhile.
	both, whole := errgroup.WithContext(ctx)
	both.Go(func() error { return train(whole) })
	both.Go(func() error { return t.holdOut(whole) })
	if err := both.Wait(); err != nil {
		return err
	}
	t.result.TrainRows, t.result.ValidationRows = int64(t.train.Batch.N), int64(t.validate.Batch.N)
	t.result.TrainedThrough = t.train.newest()
	if v := t.validate.newest(); v.After(t.result.TrainedThrough) {
		t.result.TrainedThrough = v
	}
	t.enter(PhaseChecking, "loading the model")
	scorer, err := t.ort.Open(ctx, t.result.ONNX, t.contract())
	var broken *model.BrokenContract
	if errors.As(err, &broken) {
		return &Failure{Reason: broken.Error()}
	}
	if err != nil {
		return err
	}
	defer scorer.Close()
	t.result.Contract = scorer.Contract()
	t.enter(PhaseScoring, fmt.Sprintf("%d validation rows", t.validate.Batch.N))
	return t.score(ctx, scorer)
}

func (t *run) contract() model.Contract {
	return model.Contract{Task: t.spec.Task, Features: t.train.Features, Classes: t.train.Classes}
}

// prepare reads the training rows and, for a process, lays all rows and the code out as files. It is done at once: each part is
// short, and together they are what a cycle waits for before it trains.
func (t *run) prepare(ctx context.Context) (err error) {
	t.result.Params, t.result.Environment = t.spec.Hyperparameters(), maps.Clone(t.environment())
	if t.spec.Candidate.Trainer == TrainerLinear {
		if t.train, err = t.data.Extract(ctx, t.spec.training()); err != nil {
			return err
		}
		return t.enough(int64(t.train.Batch.N), 1)
	}
	if err := t.folders.make(); err != nil {
		return err
	}
	all, whole := errgroup.WithContext(ctx)
	all.Go(func() error { return t.code(whole) })
	all.Go(func() error { return t.layOut(whole) })
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

// holdOut reads the rows that score the model, and counts those that will judge it.
func (t *run) holdOut(ctx context.Context) (err error) {
	if t.validate, err = t.data.Extract(ctx, t.spec.query(t.spec.Validation)); err != nil {
		return err
	}
	if err := t.enough(int64(t.train.Batch.N), int64(t.validate.Batch.N)); err != nil {
		return err
	}
	t.result.TestRows, err = t.data.Count(ctx, t.spec.query(t.spec.Test))
	return err
}

// score computes the platform's own figures on the validation rows.
func (t *run) score(ctx context.Context, scorer *model.Scorer) error {
	answers, err := scorer.Score(ctx, t.validate.Batch)
	var nan *model.NotFinite
	if errors.As(err, &nan) {
		return failed("on the validation rows, %v", nan)
	}
	if err != nil {
		return err
	}
	scored, skipped := judged(t.spec.Task, t.train.Classes, t.validate, answers)
	for _, line := range skipped {
		t.out.line(line)
	}
	t.result.Validation, err = evaluation.Compute(scored)
	if errors.Is(err, evaluation.ErrUnusable) {
		return failed("%v", err)
	}
	return err
}

// judged pairs answers with labels. Rows of classes that training has not seen can't be judged; they are left out, with a
// line for the log about each.
func judged(task string, classes []string, rows Rows, answers []float32) (*evaluation.Scored, []string) {
	out := &evaluation.Scored{Task: task}
	if task == resource.TaskMulticlass {
		return judgedClasses(classes, rows, answers)
	}
	width := len(answers) / rows.Batch.N
	for i, y := range rows.Label {
		out.Label = append(out.Label, y)
		out.Scores = append(out.Scores, float64(answers[i*width+width-1])) // the positive class is the last one
	}
	out.Time = rows.Time
	return out, nil
}

func judgedClasses(classes []string, rows Rows, answers []float32) (*evaluation.Scored, []string) {
	out := &evaluation.Scored{Task: resource.TaskMulticlass, Classes: len(classes)}
	index := make(map[string]int, len(classes))
	for i, c := range classes {
		index[c] = i
	}
	unseen := map[string]any{}
	for i, y := range rows.Label {
		class := rows.Classes[int(y)]
		k, ok := index[class]
		if !ok {
			n, _ := unseen[class].(int)
			unseen[class] = n + 1
			continue
		}
		out.Label = append(out.Label, float64(k))
		for _, p := range answers[i*len(classes) : (i+1)*len(classes)] {
			out.Scores = append(out.Scores, float64(p))
		}
	}
	var lines []string
	for _, class := range sortedNames(unseen) {
		lines = append(lines, fmt.Sprintf("tidemill: %v validation rows have the class %q, which training has not seen: they are left out", unseen[class], class))
	}
	return out, lines
}
