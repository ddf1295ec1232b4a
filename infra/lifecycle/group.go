package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

// DefaultGrace is how long Group.Run waits for its components when it stops.
const DefaultGrace = 20 * time.Second

// A Group runs components that depend on each other. Its zero value is ready for use. Add, then Start, then Stop; or Run, which
// makes a group a Component itself. A group is used once.
type Group struct {
	// Grace bounds the stop inside Run; 0 means DefaultGrace.
	Grace time.Duration

	mu       sync.Mutex
	members  []*member
	started  bool
	stop     chan struct{} // closed when members may begin to end
	ended    chan struct{} // closed when every member has returned
	failed   chan struct{} // closed at the first failure
	failure  *Failure
	stopOnce sync.Once
}

type member struct {
	name       string
	component  Component
	needs      []string
	dependants []*member
	ready      chan struct{}
	done       chan struct{}
}

// Add puts a component into the group. It starts after every component named in needs is ready and stops before them. Names
// are checked by Start, so that the order of Add does not matter.
func (g *Group) Add(name string, c Component, needs ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members = append(g.members, &member{
		name: name, component: c, needs: needs, ready: make(chan struct{}), done: make(chan struct{}),
	})
}

// Start starts every component and returns when all are ready. If one fails before that, or ctx ends, everything that was
// started is stopped again and the reason is returned. ctx bounds the start alone: when it ends later, nothing happens. Its
// values reach the components.
func (g *Group) Start(ctx context.Context) error {
	byName, err := g.begin()
	if err != nil {
		return err
	}
	for _, m := range g.members {
		go g.run(context.WithoutCancel(ctx), m, byName)
	}
	go func() {
		for _, m := range g.members {
			<-m.done
		}
		close(g.ended)
	}()
	for _, m := range g.members {
		select {
		case <-m.ready:
		case <-g.failed:
			return g.abandon(ctx, g.failure)
		case <-ctx.Done():
			return g.abandon(ctx, fmt.Errorf("start %s: %w", m.name, context.Cause(ctx)))
		}
	}
	return nil
}

func (g *Group) abandon(ctx context.Context, reason error) error {
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.grace())
	defer cancel()
	if err := g.Stop(stopping); err != nil && !errors.Is(err, reason) {
		return errors.Join(reason, err)
	}
	return reason
}

// begin checks names and needs and links dependants.
func (g *Group) begin() (map[string]*member, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.started {
		return nil, errors.New("start group: it was started before")
	}
	byName := make(map[string]*member, len(g.members))
	for _, m := range g.members {
		if byName[m.name] != nil {
			return nil, fmt.Errorf("start group: two components are named %q", m.name)
		}
		byName[m.name] = m
	}
	for _, m := range g.members {
		for _, need := range m.needs {
			needed := byName[need]
			if needed == nil {
				return nil, fmt.Errorf("start group: %s needs %q, which nobody added", m.name, need)
			}
			needed.dependants = append(needed.dependants, m)
		}
	}
	for _, m := range g.members {
		if circle := findCircle(m, byName, nil); circle != nil {
			return nil, fmt.Errorf("start group: components need each other in a circle: %s", strings.Join(circle, " -> "))
		}
	}
	g.started = true
	g.stop, g.ended, g.failed = make(chan struct{}), make(chan struct{}), make(chan struct{})
	return byName, nil
}

func findCircle(m *member, byName map[string]*member, path []string) []string {
	if i := slices.Index(path, m.name); i >= 0 {
		return append(path[i:], m.name)
	}
	for _, need := range m.needs {
		if circle := findCircle(byName[need], byName, append(slices.Clone(path), m.name)); circle != nil {
			return circle
		}
	}
	return nil
}

// run is a member's whole life: wait for what it needs, run, end after everything that needs it has ended.
func (g *Group) run(ctx context.Context, m *member, byName map[string]*member) {
	defer close(m.done)
	for _, need := range m.needs {
		select {
		case <-byName[need].ready:
		case <-g.stop:
			return
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(ErrStopped)
	returned := make(chan struct{})
	var stopper sync.WaitGroup
	stopper.Go(func() {
		select {
		case <-g.stop:
		case <-returned:
			return
		}
		for _, d := range m.dependants {
			<-d.done
		}
		cancel(g.cause())
	})
	err := protect(ctx, m.component, sync.OnceFunc(func() { close(m.ready) }))
	clean := isStop(ctx, err)
	close(returned)
	stopper.Wait()
	if clean {
		return
	}
	if err == nil {
		err = ErrEnded
	}
	g.fail(&Failure{Component: m.name, Err: err})
}

func protect(ctx context.Context, c Component, ready func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Run(ctx, ready)
}

func (g *Group) fail(f *Failure) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failure == nil {
		g.failure = f
		close(g.failed)
	}
}

func (g *Group) cause() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failure != nil {
		return g.failure
	}
	return ErrStopped
}

func (g *Group) grace() time.Duration {
	if g.Grace > 0 {
		return g.Grace
	}
	return DefaultGrace
}

// Failed is closed when a component has failed; Wait then tells which. It is nil before Start.
func (g *Group) Failed() <-chan struct{} { return g.failed }

// Stop asks every component to end, dependants first, and returns when all have ended. When ctx ends first, the error names
// those still running; they end in the background. It returns the group's failure, if any. Stopping twice, or a group that
// never started, is safe.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	started := g.started
	g.mu.Unlock()
	if !started {
		return nil
	}
	g.stopOnce.Do(func() { close(g.stop) })
	select {
	case <-g.ended:
		return g.firstFailure()
	case <-ctx.Done():
		return fmt.Errorf("stop group: still running: %s: %w", strings.Join(g.running(), ", "), context.Cause(ctx))
	}
}

// Wait blocks until a component has failed, and returns that *Failure, or until all have been stopped, and returns nil. The
// caller still has to Stop the others after a failure.
func (g *Group) Wait() error {
	select {
	case <-g.failed:
	case <-g.ended:
	}
	return g.firstFailure()
}

// Run starts the group, runs until ctx ends or a component fails, and stops it: a group is a Component.
func (g *Group) Run(ctx context.Context, ready func()) error {
	if err := g.Start(ctx); err != nil {
		return err
	}
	ready()
	select {
	case <-ctx.Done():
	case <-g.failed:
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.grace())
	defer cancel()
	return g.Stop(stopping)
}

func (g *Group) firstFailure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failure == nil {
		return nil
	}
	return g.failure
}

func (g *Group) running() []string {
	var names []string
	for _, m := range g.members {
		select {
		case <-m.done:
		default:
			names = append(names, m.name)
		}
	}
	return names
}
