package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/lifecycle"
)

const (
	// DefaultPresence is how long a worker counts as there after it was last heard of.
	DefaultPresence = 15 * time.Second

	presenceGap  = 250 * time.Millisecond // between two writes of one worker
	leaveTimeout = 2 * time.Second
)

// Presence is what a worker tells about itself while it is there.
type Presence struct {
	Name     string    `json:"name"`
	Pool     string    `json:"pool"`
	Slots    int       `json:"slots"` // jobs it does at once
	Busy     int       `json:"busy"`  // jobs it does now
	Since    time.Time `json:"since"`
	Version  string    `json:"version,omitempty"`
	Host     string    `json:"host,omitempty"`
	Draining bool      `json:"draining,omitempty"` // it takes no more jobs
}

// PresenceOptions of workers and of those who count them; all must agree.
type PresenceOptions struct {
	TTL      time.Duration // 0 means DefaultPresence
	Replicas int           // of the bucket; 0 means 1
	Logger   *zap.Logger   // nil hears nothing
}

func (o PresenceOptions) complete() PresenceOptions {
	if o.TTL == 0 {
		o.TTL = DefaultPresence
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return o
}

func (o PresenceOptions) bucket(ctx context.Context, js jetstream.JetStream) (jetstream.KeyValue, error) {
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: events.BucketWorkers, History: 1, TTL: o.TTL, Storage: jetstream.FileStorage, Replicas: max(o.Replicas, 1),
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", events.BucketWorkers, err)
	}
	return kv, nil
}

// Badge shows that a worker is there: a key that disappears by itself unless it is renewed. It is safe for concurrent use.
type Badge struct {
	js  jetstream.JetStream
	o   PresenceOptions
	key string
	kv  jetstream.KeyValue // Run's own; nil until it is open

	mu      sync.Mutex
	now     Presence
	changed chan struct{}
}

var _ lifecycle.Component = (*Badge)(nil)

// NewBadge makes a badge; nothing is shown before Run.
func NewBadge(js jetstream.JetStream, p Presence, o PresenceOptions) *Badge {
	return &Badge{js: js, o: o.complete(), key: uuid.NewString(), now: p, changed: make(chan struct{}, 1)}
}

// Set changes what is shown; everybody sees it within a fraction of a second.
func (b *Badge) Set(change func(*Presence)) {
	b.mu.Lock()
	change(&b.now)
	b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// Run shows the badge until ctx ends, and takes it away then. A broker that is out of reach is only logged: a worker works
// without its badge.
func (b *Badge) Run(ctx context.Context, ready func()) error {
	b.show(ctx)
	ready()
	renew := time.NewTicker(b.o.TTL / 3)
	defer renew.Stop()
	for {
		select {
		case <-ctx.Done():
			b.hide(context.WithoutCancel(ctx))
			return nil
		case <-renew.C:
		case <-b.changed:
			// What changes next is shown with this change.
			if lifecycle.Pause(ctx, presenceGap) != nil {
				continue
			}
		}
		b.show(ctx)
	}
}

func (b *Badge) show(ctx context.Context) {
	b.mu.Lock()
	text, err := json.Marshal(b.now)
	b.mu.Unlock()
	if err == nil && b.kv == nil {
		b.kv, err = b.o.bucket(ctx, b.js)
	}
	if err == nil {
		_, err = b.kv.Put(ctx, b.key, text)
	}
	if err != nil {
		b.kv = nil // it may be gone with a broker that lost its disk
	}
	if err != nil && ctx.Err() == nil {
		b.o.Logger.Warn("the worker can't tell that it is there", zap.Error(err))
	}
}

func (b *Badge) hide(ctx context.Context) {
	if !b.js.Conn().IsConnected() {
		return // it disappears by itself
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	kv, err := b.js.KeyValue(ctx, events.BucketWorkers)
	if err == nil {
		err = kv.Delete(ctx, b.key)
	}
	if err != nil {
		b.o.Logger.Warn("the worker can't tell that it left", zap.Error(err))
	}
}

// Workers are those that are there now, by pool and name. A Crew follows them.
func Workers(ctx context.Context, js jetstream.JetStream) ([]Presence, error) {
	kv, err := js.KeyValue(ctx, events.BucketWorkers)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	keys, err := kv.Keys(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	var out []Presence
	for _, key := range keys {
		entry, err := kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue // it left meanwhile
		}
		var p Presence
		if err == nil {
			err = json.Unmarshal(entry.Value(), &p)
		}
		if err != nil {
			return nil, fmt.Errorf("list workers: %w", err)
		}
		out = append(out, p)
	}
	slices.SortFunc(out, byPool)
	return out, nil
}

func byPool(a, b Presence) int {
	return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Name, b.Name), a.Since.Compare(b.Since))
}
