package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemill/tidemill/events"
)

// DuplicateWindow is how long the broker itself recognises a message id it has seen.
const DuplicateWindow = 2 * time.Minute

// EnsureStreams creates every stream of events.Streams, or brings its limits up to date, with the given number of replicas (0
// means 1), on disk. Any number of processes may do so at the same time.
func EnsureStreams(ctx context.Context, js jetstream.JetStream, replicas int) error {
	for _, s := range events.Streams() {
		if _, err := js.CreateOrUpdateStream(ctx, streamConfig(s, replicas)); err != nil {
			return fmt.Errorf("create stream %s: %w", s.Name, err)
		}
	}
	return nil
}

func streamConfig(s events.Stream, replicas int) jetstream.StreamConfig {
	unlimited := func(n int64) int64 {
		if n == 0 {
			return -1
		}
		return n
	}
	c := jetstream.StreamConfig{
		Name: s.Name, Subjects: s.Subjects, Description: s.Description,
		Storage: jetstream.FileStorage, Replicas: max(replicas, 1), Duplicates: DuplicateWindow, AllowDirect: true,
		MaxMsgs: -1, MaxAge: s.MaxAge, MaxBytes: unlimited(s.MaxBytes), MaxMsgsPerSubject: unlimited(s.MaxPerSubject),
		AllowAtomicPublish: s.AtomicPublish,
	}
	if s.MaxAge > 0 {
		c.Duplicates = min(c.Duplicates, s.MaxAge)
	}
	if s.WorkQueue {
		c.Retention = jetstream.WorkQueuePolicy
	}
	if s.DiscardNew {
		c.Discard = jetstream.DiscardNew
	}
	return c
}
