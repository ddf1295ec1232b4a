package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemill/tidemill/infra/internal/follow"
)

// DefaultMaxBytes is the size a document may have unless Options say otherwise. It fits a NATS server with default settings.
const DefaultMaxBytes = 1<<20 - 8<<10

const headroom = 8 << 10 // of a message, for subject and headers

// Options of a bucket.
type Options struct {
	// Replicas of the bucket; 0 means 1.
	Replicas int
	// MaxBytes of one document as JSON; 0 means DefaultMaxBytes. The server's own limit applies besides.
	MaxBytes int
	// MaxConflicts is how often Decide tries again after somebody else wrote first; 0 means 64.
	MaxConflicts int
	// Crash, when set, is called at named points, where tests kill the process: "state.<bucket>.decided" (the decision is
	// written, nothing is said) and "state.<bucket>.said" (all is said, the outbox is not yet empty).
	Crash func(point string)
}

// Store is a bucket of documents whose values are Ts, stored as JSON. It is safe for concurrent use.
type Store[T any] struct {
	js     jetstream.JetStream
	kv     jetstream.KeyValue
	bucket string
	o      Options
	max    int
}

// Open opens the bucket and creates it when missing.
func Open[T any](ctx context.Context, js jetstream.JetStream, bucket string, o Options) (*Store[T], error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxConflicts == 0 {
		o.MaxConflicts = 64
	}
	if o.Crash == nil {
		o.Crash = func(string) {}
	}
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: bucket, History: 1, Storage: jetstream.FileStorage, Replicas: max(o.Replicas, 1),
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	limit := o.MaxBytes
	if server := int(js.Conn().MaxPayload()) - headroom; server > 0 {
		limit = min(limit, server)
	}
	return &Store[T]{js: js, kv: kv, bucket: bucket, o: o, max: limit}, nil
}

// Bucket is the store's name.
func (s *Store[T]) Bucket() string { return s.bucket }

// Get loads a document; ErrNotFound when there is none. On a cluster it may be a little old: decide by Create and Update.
func (s *Store[T]) Get(ctx context.Context, key string) (Document[T], error) {
	entry, err := s.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		err = ErrNotFound
	}
	if err != nil {
		return Document[T]{}, fmt.Errorf("read %s/%s: %w", s.bucket, key, err)
	}
	return s.decode(key, entry.Value(), entry.Revision())
}

// Create writes the first version of a document; ErrConflict when there is one already.
func (s *Store[T]) Create(ctx context.Context, key string, value T) (Document[T], error) {
	return s.write(ctx, Document[T]{Key: key, Value: value})
}

// Update writes doc over the version it was made from, doc.Revision (0: there must be none); ErrConflict when that is no longer
// the newest. It returns the document with its new revision.
func (s *Store[T]) Update(ctx context.Context, doc Document[T]) (Document[T], error) {
	return s.write(ctx, doc)
}

// Delete removes the version doc.Revision; ErrConflict when that is no longer the newest.
func (s *Store[T]) Delete(ctx context.Context, doc Document[T]) error {
	if err := s.kv.Delete(ctx, doc.Key, jetstream.LastRevision(doc.Revision)); err != nil {
		return fmt.Errorf("delete %s/%s: %w", s.bucket, doc.Key, conflict(err))
	}
	return nil
}

// Keys lists the keys of all documents, sorted.
func (s *Store[T]) Keys(ctx context.Context) ([]string, error) {
	var keys []string
	err := s.scan(ctx, true, func(key string, _ []byte, _ uint64) error {
		keys = append(keys, key)
		return nil
	})
	slices.Sort(keys)
	return keys, err
}

// List loads all documents, sorted by key.
func (s *Store[T]) List(ctx context.Context) ([]Document[T], error) {
	var docs []Document[T]
	err := s.scan(ctx, false, func(key string, value []byte, revision uint64) error {
		doc, err := s.decode(key, value, revision)
		docs = append(docs, doc)
		return err
	})
	slices.SortFunc(docs, func(a, b Document[T]) int { return strings.Compare(a.Key, b.Key) })
	return docs, err
}

var errScanned = errors.New("scanned")

// scan hands out every living document once, in no order.
func (s *Store[T]) scan(ctx context.Context, keysOnly bool, visit func(key string, value []byte, revision uint64) error) error {
	type found struct {
		value    []byte
		revision uint64
	}
	docs := map[string]found{}
	err := follow.Run(ctx, s.js, follow.Options{
		Stream: streamOf(s.bucket), LastPerSubject: true, HeadersOnly: keysOnly,
		CaughtUp: func(uint64) error { return errScanned },
	}, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		key := keyOf(s.bucket, m.Subject())
		if deleted(m.Headers()) {
			delete(docs, key)
		} else {
			docs[key] = found{m.Data(), meta.Sequence.Stream}
		}
		return nil
	})
	if err == nil { // only when ctx ended
		err = context.Cause(ctx)
	}
	if !errors.Is(err, errScanned) {
		return fmt.Errorf("list %s: %w", s.bucket, err)
	}
	for key, d := range docs {
		if err := visit(key, d.value, d.revision); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store[T]) decode(key string, value []byte, revision uint64) (Document[T], error) {
	doc := Document[T]{Key: key, Revision: revision}
	if err := json.Unmarshal(value, &doc); err != nil {
		return doc, fmt.Errorf("read %s/%s: not a document: %w", s.bucket, key, err)
	}
	return doc, nil
}

func (s *Store[T]) write(ctx context.Context, doc Document[T]) (Document[T], error) {
	text, err := json.Marshal(doc)
	if err != nil {
		return doc, fmt.Errorf("write %s/%s: %w", s.bucket, doc.Key, err)
	}
	if len(text) > s.max {
		return doc, fmt.Errorf("write %s/%s: %w: %d bytes, the limit is %d", s.bucket, doc.Key, ErrTooLarge, len(text), s.max)
	}
	var revision uint64
	if doc.Revision == 0 {
		revision, err = s.kv.Create(ctx, doc.Key, text) // knows how to follow a deleted key
	} else {
		revision, err = s.kv.Update(ctx, doc.Key, text, doc.Revision)
	}
	if err != nil {
		return doc, fmt.Errorf("write %s/%s: %w", s.bucket, doc.Key, conflict(err))
	}
	doc.Revision = revision
	return doc, nil
}
