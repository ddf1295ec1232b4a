package state

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrLeaseLost is the cause of the context of work under a lease that could not be renewed in time: somebody else may have it.
var ErrLeaseLost = errors.New("lease lost")

// DefaultTTL is how long a lease outlives a holder that died, unless LeaseOptions say otherwise. The broker notices within a
// second more.
const DefaultTTL = 3 * time.Second

// LeaseOptions of one holder.
type LeaseOptions struct {
	// TTL is a whole number of seconds, at least 1; 0 means DefaultTTL.
	TTL time.Duration
	// Holder names this process in the document, for people; "" means a random id.
	Holder string
	// Reclaim takes over at once a lease whose holder has the same name. Only for holders that something else keeps from running
	// twice, as the lock on the data directory does.
	Reclaim bool
	// Replicas of the bucket; 0 means 1.
	Replicas int
}

// Lease lets one process at a time do something: it is a key that disappears by itself unless its holder renews it.
type Lease struct {
	js     jetstream.JetStream
	bucket string
	key    string
	o      LeaseOptions
}

// leaseValue is what lies under the key; Grant tells one holding from another of the same holder.
type leaseValue struct {
	Holder string `json:"holder"`
	Grant  string `json:"grant"`
}

// NewLease describes a lease; nothing happens before Hold.
func NewLease(js jetstream.JetStream, bucket, key string, o LeaseOptions) *Lease {
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	o.TTL = max(o.TTL.Round(time.Second), time.Second)
	if o.Holder == "" {
		o.Holder = uuid.NewString()
	}
	return &Lease{js: js, bucket: bucket, key: key, o: o}
}

// Hold waits until the lease is free, takes it, and calls fn with a context that lives while it is held. epoch grows with every
// holding, in every process: write it beside what the holder does and refuse lower ones, and a holder that was only thought dead
// can't do harm. When the lease can't be renewed in time the context ends with the cause ErrLeaseLost, and Hold returns an error
// that is ErrLeaseLost as soon as fn has returned. Otherwise Hold returns what fn returned, and the lease is free at once.
// When ctx ends while waiting, Hold returns its cause.
func (l *Lease) Hold(ctx context.Context, fn func(ctx context.Context, epoch uint64) error) error {
	kv, err := l.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: l.bucket, History: 1, Storage: jetstream.FileStorage, Replicas: max(l.o.Replicas, 1), LimitMarkerTTL: time.Second,
	})
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", l.bucket, err)
	}
	stream, err := l.js.Stream(ctx, streamOf(l.bucket))
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", l.bucket, err)
	}
	h := &holding{lease: l, kv: kv, stream: stream, mine: leaseValue{Holder: l.o.Holder, Grant: uuid.NewString()}}
	if err := h.acquire(ctx); err != nil {
		return fmt.Errorf("acquire lease %s/%s: %w", l.bucket, l.key, err)
	}
	held, cancel := context.WithCancelCause(ctx)
	var renewal sync.WaitGroup
	renewal.Go(func() {
		if err := h.keep(held); err != nil {
			cancel(fmt.Errorf("%w: %s/%s: %w", ErrLeaseLost, l.bucket, l.key, err))
		}
	})
	result := l.protect(held, h, cancel, &renewal, fn)
	if cause := context.Cause(held); errors.Is(cause, ErrLeaseLost) {
		if result == nil || errors.Is(result, context.Canceled) || errors.Is(result, ErrLeaseLost) {
			return cause
		}
		return errors.Join(cause, result)
	}
	return result
}

var errReleased = errors.New("lease released")

// protect runs fn and frees the lease, also when fn panics.
func (l *Lease) protect(held context.Context, h *holding, cancel context.CancelCauseFunc, renewal *sync.WaitGroup,
	fn func(context.Context, uint64) error,
) error {
	defer func() {
		cancel(errReleased) // the first cause stays
		renewal.Wait()
		if !errors.Is(context.Cause(held), ErrLeaseLost) {
			h.release(context.WithoutCancel(held))
		}
	}()
	return fn(held, h.epoch)
}

// Keep is Hold, again and again while the lease gets lost. It returns when ctx ends, or fn returns for another reason.
func (l *Lease) Keep(ctx context.Context, fn func(ctx context.Context, epoch uint64) error) error {
	for {
		err := l.Hold(ctx, fn)
		if ctx.Err() != nil || !errors.Is(err, ErrLeaseLost) {
			return err
		}
	}
}
