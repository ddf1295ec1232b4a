package state

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemill/tidemill/infra/internal/follow"
)

// Change is one document as it now is, or the news that it is gone.
type Change[T any] struct {
	Key     string
	Deleted bool
	Doc     Document[T] // the zero document when Deleted
}

// WatchOptions tune Watch.
type WatchOptions struct {
	// CaughtUp is called once, after every document that existed at the start has been handed out.
	CaughtUp func()
	// Disconnected is told when the broker is away; Watch goes on by itself.
	Disconnected func(error)
}

// Watch hands out every document, then every change, in the order of writing, until ctx ends (nil) or fn fails (its error).
// Intermediate versions may be skipped, the newest never is. It survives disconnects. A document that can't be decoded ends it.
func (s *Store[T]) Watch(ctx context.Context, o WatchOptions, fn func(Change[T]) error) error {
	err := follow.Run(ctx, s.js, follow.Options{
		Stream: streamOf(s.bucket), LastPerSubject: true, Disconnected: o.Disconnected,
		CaughtUp: func(uint64) error {
			if o.CaughtUp != nil {
				o.CaughtUp()
			}
			return nil
		},
	}, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		key := keyOf(s.bucket, m.Subject())
		if deleted(m.Headers()) {
			return fn(Change[T]{Key: key, Deleted: true})
		}
		doc, err := s.decode(key, m.Data(), meta.Sequence.Stream)
		if err != nil {
			return err
		}
		return fn(Change[T]{Key: key, Doc: doc})
	})
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.bucket, err)
	}
	return nil
}
