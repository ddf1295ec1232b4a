package bus

import (
	"errors"
	"fmt"
	"time"
)

// What a handler may say about a message: nil (done), an error of Retry, RetryAfter or Terminal, or any other error, which means
// Retry. Judge alone maps that to what happens with the message.

const (
	// DefaultAttempts is how often a message is tried before it becomes a dead letter.
	DefaultAttempts = 10

	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

type verdict struct {
	err      error
	after    time.Duration // < 0: backoff decides
	terminal bool
}

func (v *verdict) Error() string { return v.err.Error() }
func (v *verdict) Unwrap() error { return v.err }

func orUnspecified(err error) error {
	if err == nil {
		return errors.New("no reason given")
	}
	return err
}

// Retry asks for another try, later with every attempt: 100 ms, doubling, at most 5 s.
func Retry(err error) error { return &verdict{err: orUnspecified(err), after: -1} }

// RetryAfter asks for another try after d.
func RetryAfter(err error, d time.Duration) error {
	return &verdict{err: orUnspecified(err), after: max(d, 0)}
}

// Terminal says that trying again is useless: the message becomes a dead letter.
func Terminal(err error) error { return &verdict{err: orUnspecified(err), terminal: true} }

// Action is what happens with a message.
type Action int

// The actions.
const (
	Ack       Action = iota // done
	Redeliver               // again, after Ruling.Delay
	Bury                    // into DEAD, then acknowledged
)

// Ruling is the answer of Judge.
type Ruling struct {
	Action Action
	Delay  time.Duration
	Reason error // nil for Ack
}

// Judge maps what a handler returned at the attempt-th try (from 1) to what happens with the message; attempts bounds the tries,
// 0 means DefaultAttempts.
func Judge(err error, attempt, attempts int) Ruling {
	if attempts <= 0 {
		attempts = DefaultAttempts
	}
	if err == nil {
		return Ruling{Action: Ack}
	}
	var v *verdict
	if !errors.As(err, &v) {
		v = &verdict{err: err, after: -1}
	}
	switch {
	case v.terminal:
		return Ruling{Action: Bury, Reason: err}
	case attempt >= attempts:
		return Ruling{Action: Bury, Reason: fmt.Errorf("gave up after %d attempts: %w", attempt, err)}
	case v.after >= 0:
		return Ruling{Action: Redeliver, Delay: v.after, Reason: err}
	}
	return Ruling{Action: Redeliver, Delay: backoff(attempt), Reason: err}
}

func backoff(attempt int) time.Duration {
	return min(firstBackoff<<min(max(attempt-1, 0), 16), maxBackoff)
}
