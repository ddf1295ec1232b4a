package lifecycle

import (
	"context"
	"errors"
	"fmt"
)

// ErrStopped is the cause of a component's context when it was asked to stop.
var ErrStopped = errors.New("stopped")

// ErrEnded is the failure of a component that returned nil although nobody had asked it to stop.
var ErrEnded = errors.New("ended by itself")

// A Component is anything long-lived.
//
// Run blocks until ctx is done and everything the component started has ended. It calls ready exactly once, as soon as others
// may depend on it. After ctx is done, nil and the context's own errors mean a clean stop; anything else, and any return
// before ctx is done, is a failure. Run must not be called twice at the same time; components that can be run again after
// they have ended say so.
type Component interface {
	Run(ctx context.Context, ready func()) error
}

// Func is a Component made of one function.
type Func func(ctx context.Context, ready func()) error

// Run calls f.
func (f Func) Run(ctx context.Context, ready func()) error { return f(ctx, ready) }

// A Failure tells which component failed and how.
type Failure struct {
	// Component is the name the component was added under.
	Component string
	// Err is what its Run returned; a panic becomes an error with the stack.
	Err error
}

// Error names the component.
func (f *Failure) Error() string { return fmt.Sprintf("%s: %v", f.Component, f.Err) }

// Unwrap returns the component's own error.
func (f *Failure) Unwrap() error { return f.Err }

// Stopped tells whether ctx ended because a stop was asked for, and not because something failed or was cancelled otherwise.
func Stopped(ctx context.Context) bool { return errors.Is(context.Cause(ctx), ErrStopped) }

// isStop tells whether err is how a component reports that it ended because its context did.
func isStop(ctx context.Context, err error) bool {
	if ctx.Err() == nil {
		return false
	}
	return err == nil || errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)) || errors.Is(err, context.Canceled)
}
