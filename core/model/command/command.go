// Package command answers with a model that is no ONNX file but a program: a child process that reads one JSON object per line on
// standard input and answers each on standard output.
//
//	{"id":1,"rows":[{"distance":337,"origin":"SFO"},{"distance":null,"origin":""}]}
//	{"id":1,"probabilities":[[0.7,0.3],[0.8,0.2]]}
//
// A regression answers "prediction": one number per row. {"id":1,"error":"…"} refuses the rows. Values are the features of the
// contract: numbers, null when unknown; strings, "" when unknown. Nothing is sent before the first request, and standard error is a
// log. The child runs in its own process group with a scrubbed environment, is started again when it ends, and is killed with all
// that it started when the predictor closes. Nothing that a trainer left is ever loaded into this process.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/core/model"
)

// Options are how commands run. The zero value is usable.
type Options struct {
	Dir  string   // where models are unpacked; default the system's folder for temporary files
	Path string   // PATH of commands; default this process's own
	Lang string   // default C.UTF-8
	Env  []string // more variables
	// User runs commands when it isn't this process's own; that takes root. It must be able to enter Dir.
	User *syscall.Credential
	// Environment prepares what a source folder needs, such as a virtual environment, and gives folders to put before Path; it
	// may be nil.
	Environment func(ctx context.Context, codeDir string) (path string, err error)

	Timeout      time.Duration // of one exchange, at most Rows rows; default 10s
	StartTimeout time.Duration // of the first answer, for which a program loads its model; default 1m
	Backoff      time.Duration // before a child that ended is started again; it doubles with each vain start; default 200ms
	MaxBackoff   time.Duration // default 30s
	Rows         int           // in one exchange; default 1000
	MaxLine      int           // bytes of one answer; default 64 MiB
	// Log takes the lines that a command prints on standard error; it may be nil. It must not block.
	Log func(m Name, line string)
}

// Name is the version that a command belongs to.
type Name struct{ Model, Version string }

func (o Options) complete() Options {
	for value, fallback := range map[*time.Duration]time.Duration{&o.Timeout: 10 * time.Second, &o.StartTimeout: time.Minute,
		&o.Backoff: 200 * time.Millisecond, &o.MaxBackoff: 30 * time.Second} {
		if *value <= 0 {
			*value = fallback
		}
	}
	if o.Path == "" {
		o.Path = os.Getenv("PATH")
	}
	if o.Lang == "" {
		o.Lang = "C.UTF-8"
	}
	if o.Rows <= 0 {
		o.Rows = 1000
	}
	if o.MaxLine <= 0 {
		o.MaxLine = 64 << 20
	}
	return o
}

// Predictor answers by a command. It is a [model.Predictor].
type Predictor struct {
	model.Holds
	contract model.Contract
	o        Options
	spec     spec
	root     string // its folder, removed in the end
	keys     [][]byte

	turn    chan struct{} // whoever fills it talks to the child
	talking sync.WaitGroup
	stop    context.CancelFunc
	stopped chan struct{} // closed when no child runs any more

	mu      sync.Mutex
	child   *child        // nil while none can answer
	why     string        // none can
	changed chan struct{} // closed when child or why is another
	vain    int           // starts since the last answer
	id      int64         // of the last request
}

var _ model.Predictor = (*Predictor)(nil)

// open starts the command of the folders that lie in root, which the predictor owns from now on, and runs it once.
func open(ctx context.Context, o Options, name Name, root string, command model.PredictCommand, c model.Contract) (*Predictor, error) {
	p := &Predictor{contract: c, o: o, root: root, keys: keysOf(c.Features), turn: make(chan struct{}, 1), stopped: make(chan struct{}),
		changed: make(chan struct{}),
		spec:    spec{command: command.Command, dir: filepath.Join(root, command.Folder), user: o.User, maxLine: o.MaxLine}}
	if o.Log != nil {
		p.spec.log = func(line string) { o.Log(name, line) }
	}
	first, err := p.launch(ctx)
	if err != nil {
		return nil, err
	}
	p.child = first
	// It lives until it is closed, however short the opening's own context is.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	p.Holds.Open(p.free)
	go p.supervise(life, first)
	return p, nil
}

// prepare says how a child is started. What its source needs is looked at each time: it may have been removed meanwhile.
func (p *Predictor) prepare(ctx context.Context) (spec, error) {
	s := p.spec
	s.path = p.o.Path
	if p.o.Environment != nil {
		first, err := p.o.Environment(ctx, filepath.Join(p.root, folderCode))
		if err != nil {
			return s, fmt.Errorf("prepare the environment of a predict command: %w", err)
		}
		if first != "" {
			s.path = first + string(os.PathListSeparator) + s.path
		}
	}
	temp := filepath.Join(p.root, folderTemp)
	s.env = append([]string{"PATH=" + s.path, "LANG=" + p.o.Lang, "HOME=" + temp, "TMPDIR=" + temp,
		"SM_MODEL_DIR=" + filepath.Join(p.root, folderModel), "PYTHONUNBUFFERED=1"}, p.o.Env...)
	return s, nil
}

// launch starts a child and has it answer for the first time.
func (p *Predictor) launch(ctx context.Context) (*child, error) {
	s, err := p.prepare(ctx)
	if err != nil {
		return nil, err
	}
	c, err := start(s)
	if err != nil {
		return nil, &model.BrokenContract{Problem: "its predict command: " + err.Error()}
	}
	patience := p.o.StartTimeout
	given := context.AfterFunc(ctx, func() { c.kill("it was stopped while it started") })
	defer given()
	err = model.Smoke(ctx, p.contract, func(_ context.Context, b model.Batch) ([]float32, error) {
		defer func() { patience = p.o.Timeout }()
		return p.exchange(c, b, patience)
	})
	if err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// supervise starts the child again whenever it ended, until the predictor is closed.
func (p *Predictor) supervise(ctx context.Context, c *child) {
	defer close(p.stopped)
	for {
		if c != nil {
			select {
			case <-ctx.Done():
				c.stop()
				return
			case <-c.ended:
				c.reads.Wait()
				p.drop(c)
			}
		}
		wait := time.NewTimer(p.backoff())
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		next, err := p.launch(ctx)
		if err != nil {
			p.set(nil, "its predict command can't be started again: "+err.Error())
		} else {
			p.set(next, "")
		}
		c = next
	}
}

func (p *Predictor) set(c *child, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.child, p.why = c, why
	close(p.changed)
	p.changed = make(chan struct{})
}

// drop says that a child has ended, once. Whoever sees it first does so: nobody must be sent to it again.
func (p *Predictor) drop(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child != c {
		return
	}
	p.child, p.why = nil, "its predict command is started again: "+c.how
	close(p.changed)
	p.changed = make(chan struct{})
}

// backoff is how long the next start waits.
func (p *Predictor) backoff() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := min(p.o.Backoff<<min(p.vain, 20), p.o.MaxBackoff)
	p.vain++
	return wait
}

// current is the child that answers; nil and why when there is none.
func (p *Predictor) current() (*child, string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.child, p.why, p.changed
}

// Contract is the contract that the model keeps.
func (p *Predictor) Contract() model.Contract { return p.contract }

// Width is the number of values per row: the classes, or 1 for a regression.
func (p *Predictor) Width() int { return p.contract.Width() }

// Await returns when the command can answer: at once when it runs, else after the next try to start it again, whose failure is a
// [*model.Unavailable].
func (p *Predictor) Await(ctx context.Context) error {
	c, _, changed := p.current()
	if c != nil {
		return nil
	}
	select {
	case <-changed:
	case <-ctx.Done():
		return ctx.Err()
	}
	if c, why, _ := p.current(); c == nil {
		return &model.Unavailable{Problem: why}
	}
	return nil
}

// Score gives the model's answers; see [model.Predictor]. Requests wait for each other, each no longer than for an answer.
func (p *Predictor) Score(ctx context.Context, b model.Batch) ([]float32, error) {
	if !p.Acquire() {
		return nil, model.ErrClosed
	}
	defer p.Release()
	if err := b.Check(p.contract.Features); err != nil {
		return nil, fmt.Errorf("score: %w", err)
	}
	out := make([]float32, 0, b.N*p.Width())
	for from := 0; from < b.N; from += p.o.Rows {
		answers, err := p.ask(ctx, b.Slice(from, min(from+p.o.Rows, b.N)))
		var nan *model.NotFinite
		if errors.As(err, &nan) {
			err = &model.NotFinite{Row: from + nan.Row, Value: nan.Value}
		}
		if err != nil {
			return nil, fmt.Errorf("score: %w", err)
		}
		out = append(out, answers...)
	}
	return out, ctx.Err()
}

// ask has the child answer one chunk. An exchange that began comes to its end even when ctx doesn't wait for it: the next answer
// would else be taken for its own.
func (p *Predictor) ask(ctx context.Context, b model.Batch) ([]float32, error) {
	patience := time.NewTimer(p.o.Timeout)
	defer patience.Stop()
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-patience.C:
		return nil, &model.Unavailable{Problem: fmt.Sprintf("its predict command had no time for the request within %s", p.o.Timeout)}
	}
	c, why, _ := p.current()
	if c == nil {
		<-p.turn
		return nil, &model.Unavailable{Problem: why}
	}
	type result struct {
		answers []float32
		err     error
	}
	got := make(chan result, 1)
	line, id := p.line(b)
	p.talking.Go(func() {
		answers, err := p.talk(c, line, id, b.N, p.o.Timeout)
		select {
		case <-c.ended:
			p.drop(c)
		default:
		}
		if err == nil {
			p.mu.Lock()
			p.vain = 0
			p.mu.Unlock()
		}
		<-p.turn
		got <- result{answers, err}
	})
	select {
	case r := <-got:
		return r.answers, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// exchange is one question and its answer.
func (p *Predictor) exchange(c *child, b model.Batch, timeout time.Duration) ([]float32, error) {
	line, id := p.line(b)
	return p.talk(c, line, id, b.N, timeout)
}

func (p *Predictor) line(b model.Batch) ([]byte, int64) {
	p.mu.Lock()
	p.id++
	id := p.id
	p.mu.Unlock()
	return request(id, p.keys, b), id
}

func (p *Predictor) talk(c *child, line []byte, id int64, n int, timeout time.Duration) ([]float32, error) {
	back := c.unasked()
	if back != nil {
		err := broken("it printed %s on standard output without being asked: print all but answers on standard error", excerpt(back))
		c.kill("it was stopped, since it printed what wasn't asked for")
		<-c.ended
		return nil, err
	}
	back, err := c.exchange(line, timeout)
	if err != nil {
		<-c.ended
		return nil, &model.Unavailable{Problem: "its predict command gave no answer: " + c.how}
	}
	answers, err := decode(back, id, p.contract, n)
	var lost *outOfStep
	if errors.As(err, &lost) {
		c.kill("it was stopped, since it printed what is no answer")
		<-c.ended
		return nil, broken("%s", lost.problem)
	}
	return answers, err
}

// free kills the child and removes its folder.
func (p *Predictor) free() {
	p.stop()
	<-p.stopped
	p.talking.Wait()
	_ = os.RemoveAll(p.root) // it lies among temporary files
}
