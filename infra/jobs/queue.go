// Package jobs is the queue of long work: who publishes a job need not know who does it. A job goes to one worker at a time, which
// holds it with heartbeats; when the worker dies, another gets it. Attempts make sure that a worker which was only thought dead
// can't put its result over its successor's.
package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/propagation"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
)

// ErrFull says that the queue takes no more jobs until some are done. Ask again later.
var ErrFull = errors.New("the job queue is full")

// errCodeStoreFailed is how the broker refuses a message that a full stream won't take.
const errCodeStoreFailed jetstream.ErrorCode = 10077

// Job is a piece of work.
type Job struct {
	// ID names the work: publishing it twice within two minutes queues it once, and Attempts go by it. It is a KV key.
	ID string
	// Kind of work and the pool of workers that may do it; both satisfy events.ValidName.
	Kind, Pool string
	// Payload is the worker's to read.
	Payload []byte
}

// Queue publishes and works off jobs. It is safe for concurrent use.
type Queue struct{ js jetstream.JetStream }

// NewQueue opens the queue, the stream JOBS; bus.EnsureStreams must have run.
func NewQueue(js jetstream.JetStream) *Queue { return &Queue{js: js} }

// Publish queues a job and returns once it is on disk; ErrFull when the queue is full. The trace context of ctx travels along.
func (q *Queue) Publish(ctx context.Context, j Job) error {
	for _, name := range []string{j.Kind, j.Pool} {
		if err := events.ValidName(name); err != nil {
			return fmt.Errorf("publish job %s: %w", j.ID, err)
		}
	}
	if j.ID == "" {
		return errors.New("publish job: it has no id")
	}
	msg := nats.NewMsg(events.JobsSubject(j.Kind, j.Pool))
	msg.Data = j.Payload
	msg.Header.Set(jetstream.MsgIDHeader, msg.Subject+"/"+j.ID)
	msg.Header.Set(bus.HeaderJob, j.ID)
	propagation.TraceContext{}.Inject(ctx, carrier(msg.Header))
	if _, err := q.js.PublishMsg(ctx, msg); err != nil {
		var api *jetstream.APIError
		if errors.As(err, &api) && api.ErrorCode == errCodeStoreFailed {
			err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		return fmt.Errorf("publish job %s: %w", j.ID, err)
	}
	return nil
}

// Waiting counts the jobs of a kind and pool that are queued or being worked on.
func (q *Queue) Waiting(ctx context.Context, kind, pool string) (int, error) {
	stream, err := q.js.Stream(ctx, events.StreamJobs)
	if err != nil {
		return 0, fmt.Errorf("count jobs: %w", err)
	}
	subject := events.JobsSubject(kind, pool)
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return 0, fmt.Errorf("count jobs: %w", err)
	}
	return int(info.State.Subjects[subject]), nil
}

// carrier lets trace context travel in message headers.
type carrier nats.Header

func (c carrier) Get(key string) string { return nats.Header(c).Get(key) }
func (c carrier) Set(key, value string) { nats.Header(c).Set(key, value) }
func (c carrier) Keys() []string        { return nil } // the propagator asks by name
