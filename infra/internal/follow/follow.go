// Package follow reads a stream in order and without acknowledgements, and goes on where it was after the connection or the
// server was away. The ledger's followers and the watches on documents stand on it.
package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	heartbeat         = 2 * time.Second
	inactiveThreshold = time.Minute
	minBackoff        = 50 * time.Millisecond
	maxBackoff        = 2 * time.Second
	deleteTimeout     = 2 * time.Second
)

// Options say what to read.
type Options struct {
	Stream string
	// Subjects filters; none means all.
	Subjects []string
	// From is the first stream sequence to read; 0 reads from the start.
	From uint64
	// LastPerSubject starts with the last message of each subject; From is then not used.
	LastPerSubject bool
	// HeadersOnly leaves the payloads out.
	HeadersOnly bool
	// CaughtUp, when set, is called once: when everything that was in the stream at the start has been handed out. It gets the
	// stream's last sequence at the start. An error ends Run.
	CaughtUp func(lastSeq uint64) error
	// Disconnected, when set, is told why reading has to begin anew; Run goes on by itself.
	Disconnected func(error)
}

// handlerError marks what the caller's own functions returned, so that it ends Run instead of being retried.
type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }

// Run calls fn for each message in stream order until ctx ends (it returns nil then), or fn or CaughtUp fails (it returns their
// error). Each message is handed out once. A stream that does not exist is an error at the start, and waited for later.
func Run(ctx context.Context, js jetstream.JetStream, o Options, fn func(jetstream.Msg, *jetstream.MsgMetadata) error) error {
	stream, err := js.Stream(ctx, o.Stream)
	if err != nil {
		return fmt.Errorf("follow %s: %w", o.Stream, err)
	}
	r := &reader{js: js, o: o, fn: fn, end: stream.CachedInfo().State.LastSeq}
	backoff := minBackoff
	for {
		before := r.last
		err := r.read(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if own := (*handlerError)(nil); errors.As(err, &own) {
			return own.err
		}
		if o.Disconnected != nil {
			o.Disconnected(err)
		}
		if r.last > before {
			backoff = minBackoff
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

type reader struct {
	js       jetstream.JetStream
	o        Options
	fn       func(jetstream.Msg, *jetstream.MsgMetadata) error
	end      uint64 // the stream's last sequence at the start
	last     uint64 // the last sequence handed out
	caughtUp bool
}

// read makes one consumer and reads from it until something breaks.
func (r *reader) read(ctx context.Context) error {
	consumer, err := r.js.CreateConsumer(ctx, r.o.Stream, r.config())
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	defer func() {
		forget, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
		defer cancel()
		if !r.js.Conn().IsConnected() {
			return // it disappears by itself after inactiveThreshold
		}
		_ = r.js.DeleteConsumer(forget, r.o.Stream, info.Name)
	}()
	if info.NumPending == 0 {
		if err := r.reached(); err != nil {
			return err
		}
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(heartbeat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for expected := uint64(1); ; expected++ {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != expected {
			return fmt.Errorf("message %d of %s was lost on the way", expected, r.o.Stream)
		}
		if err := r.fn(msg, meta); err != nil {
			return &handlerError{err}
		}
		r.last = meta.Sequence.Stream
		if meta.NumPending == 0 || r.last >= r.end {
			if err := r.reached(); err != nil {
				return err
			}
		}
	}
}

func (r *reader) reached() error {
	if r.caughtUp {
		return nil
	}
	r.caughtUp = true
	if r.o.CaughtUp == nil {
		return nil
	}
	if err := r.o.CaughtUp(r.end); err != nil {
		return &handlerError{err}
	}
	return nil
}

func (r *reader) config() jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: inactiveThreshold,
		HeadersOnly: r.o.HeadersOnly, FilterSubjects: r.o.Subjects,
	}
	switch {
	case r.last > 0:
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, r.last+1
	case r.o.LastPerSubject:
		c.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
		if len(c.FilterSubjects) == 0 {
			c.FilterSubjects = []string{">"}
		}
	case r.o.From > 1:
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, r.o.From
	default:
		c.DeliverPolicy = jetstream.DeliverAllPolicy
	}
	return c
}
