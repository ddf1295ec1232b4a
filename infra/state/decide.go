package state

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tidemill/tidemill/events"
)

// A Sayer puts a fact into the ledger and returns its sequence. Saying a fact twice is harmless: readers know it by its id.
type Sayer interface {
	Say(ctx context.Context, fact events.Fact) (seq uint64, err error)
}

// Decision turns a value into the next one and the facts to be said about it. exists is false for the first decision under a
// key; value is then the zero T. It may run several times for one cause and must not do anything but decide. Returning
// ErrUnchanged leaves the document alone.
type Decision[T any] func(value T, exists bool) (T, []events.Fact, error)

// Decide applies cause to the document under key. In one write it stores the new value, the facts and the cause's id; then it
// says the facts, in order and after any an earlier run left, and empties the outbox. If the cause was applied before, it only
// says what is left. A cause without an id (a person's request, a clock) is applied on every call.
//
// Facts without a causation get the cause as theirs. When Decide fails, run it again with the same cause. The document returned
// is the one after the decision, also when saying failed.
func (s *Store[T]) Decide(ctx context.Context, key string, cause events.Fact, sayer Sayer, decide Decision[T]) (Document[T], error) {
	doc, err := s.decided(ctx, key, cause, decide)
	if err != nil {
		return doc, fmt.Errorf("decide %s/%s: %w", s.bucket, key, err)
	}
	return s.flush(ctx, doc, sayer)
}

// decided writes the decision, unless it was written before, and returns the document that holds it.
func (s *Store[T]) decided(ctx context.Context, key string, cause events.Fact, decide Decision[T]) (Document[T], error) {
	for attempt := 0; ; attempt++ {
		doc, err := s.Get(ctx, key)
		exists := err == nil
		if errors.Is(err, ErrNotFound) {
			doc = Document[T]{Key: key}
		} else if err != nil {
			return doc, err
		}
		if doc.Applied.Has(cause.ID) {
			return doc, nil
		}
		value, facts, err := decide(doc.Value, exists)
		if errors.Is(err, ErrUnchanged) {
			return doc, nil
		}
		if err != nil {
			return doc, err
		}
		next := doc
		next.Value, next.Outbox, next.Applied = value, slices.Clone(doc.Outbox), doc.Applied.with(cause)
		for _, fact := range facts {
			if fact.CausationID == "" && cause.ID != "" {
				fact = fact.Caused(cause)
			}
			next.Outbox = append(next.Outbox, fact)
		}
		written, err := s.write(ctx, next)
		if err == nil {
			s.o.Crash("state." + s.bucket + ".decided")
			return written, nil
		}
		if !errors.Is(err, ErrConflict) || attempt >= s.o.MaxConflicts {
			return doc, err
		}
		if err := pause(ctx, attempt); err != nil {
			return doc, err
		}
	}
}

// flush says everything in the outbox of doc and takes it out of the document.
func (s *Store[T]) flush(ctx context.Context, doc Document[T], sayer Sayer) (Document[T], error) {
	if len(doc.Outbox) == 0 {
		return doc, nil
	}
	said := make(map[string]bool, len(doc.Outbox))
	for _, fact := range doc.Outbox {
		if _, err := sayer.Say(ctx, fact); err != nil {
			return doc, fmt.Errorf("say %s of %s/%s: %w", fact.Type.Short(), s.bucket, doc.Key, err)
		}
		said[fact.ID] = true
	}
	s.o.Crash("state." + s.bucket + ".said")
	for attempt := 0; ; attempt++ {
		next := doc
		next.Outbox = slices.DeleteFunc(slices.Clone(doc.Outbox), func(f events.Fact) bool { return said[f.ID] })
		if len(next.Outbox) == len(doc.Outbox) {
			return doc, nil // another run has emptied it
		}
		written, err := s.write(ctx, next)
		if err == nil {
			return written, nil
		}
		if !errors.Is(err, ErrConflict) || attempt >= s.o.MaxConflicts {
			return doc, fmt.Errorf("empty the outbox: %w", err)
		}
		if err := pause(ctx, attempt); err != nil {
			return doc, err
		}
		fresh, err := s.Get(ctx, doc.Key)
		if errors.Is(err, ErrNotFound) {
			return doc, nil // deleted, and all was said
		}
		if err != nil {
			return doc, err
		}
		doc = fresh
	}
}

// Sweep says what crashed decisions left in any outbox, and returns how many documents had something left. The holder of the
// service's lease runs it at start and every now and then.
func (s *Store[T]) Sweep(ctx context.Context, sayer Sayer) (int, error) {
	docs, err := s.List(ctx)
	if err != nil {
		return 0, fmt.Errorf("sweep %s: %w", s.bucket, err)
	}
	swept := 0
	for _, doc := range docs {
		if len(doc.Outbox) == 0 {
			continue
		}
		if _, err := s.flush(ctx, doc, sayer); err != nil {
			return swept, fmt.Errorf("sweep %s: %w", s.bucket, err)
		}
		swept++
	}
	return swept, nil
}

// pause lets the other writer finish: up to 1, 2, 4 … 32 ms, by chance, so that writers don't stay in step.
func pause(ctx context.Context, attempt int) error {
	limit := time.Millisecond << min(attempt, 5)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(rand.N(limit)):
		return nil
	}
}
