package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemill/tidemill/infra/internal/follow"
)

const (
	renewRetry     = 50 * time.Millisecond
	releaseTimeout = 2 * time.Second
)

// holding is one turn of one holder. Hold's goroutine uses it before and after the renewals, never beside them.
type holding struct {
	lease    *Lease
	kv       jetstream.KeyValue
	stream   jetstream.Stream
	mine     leaseValue
	epoch    uint64
	revision uint64    // of our newest write
	until    time.Time // from then on the lease may belong to somebody else
}

// write puts our value over the version revision (0: there must be none) and starts its time to live anew. KeyValue.Update
// would drop the time to live.
func (h *holding) write(ctx context.Context, revision uint64) error {
	l := h.lease
	value, err := json.Marshal(h.mine)
	if err != nil {
		return err
	}
	start := time.Now()
	msg := nats.NewMsg(subjectOf(l.bucket, l.key))
	msg.Data = value
	ack, err := l.js.PublishMsg(ctx, msg, jetstream.WithMsgTTL(l.o.TTL), jetstream.WithExpectLastSequencePerSubject(revision))
	if err != nil {
		return conflict(err)
	}
	h.revision, h.until = ack.Sequence, start.Add(l.o.TTL)
	return nil
}

// current reads who holds the lease; the zero value is nobody. revision is the key's newest, 0 when it has none.
func (h *holding) current(ctx context.Context) (holder leaseValue, revision uint64, err error) {
	msg, err := h.stream.GetLastMsgForSubject(ctx, subjectOf(h.lease.bucket, h.lease.key))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return holder, 0, nil
	case err != nil:
		return holder, 0, err
	case deleted(msg.Header):
		return holder, msg.Sequence, nil
	}
	if err := json.Unmarshal(msg.Data, &holder); err != nil {
		return holder, 0, fmt.Errorf("not a lease: %w", err)
	}
	return holder, msg.Sequence, nil
}

// acquire waits for the lease to be free. News of the key wakes it at once; it also looks by itself, for news can get lost.
func (h *holding) acquire(ctx context.Context) error {
	l := h.lease
	if taken, err := h.try(ctx); taken || err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	news, ended := make(chan struct{}, 1), make(chan struct{})
	defer func() { stop(); <-ended }()
	go func() {
		defer close(ended)
		_ = follow.Run(watching, l.js, follow.Options{
			Stream: streamOf(l.bucket), Subjects: []string{subjectOf(l.bucket, l.key)}, LastPerSubject: true,
		}, func(m jetstream.Msg, _ *jetstream.MsgMetadata) error {
			if deleted(m.Headers()) {
				select {
				case news <- struct{}{}:
				default:
				}
			}
			return nil
		})
	}()
	look := time.NewTicker(l.o.TTL / 3)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-news:
		case <-look.C:
		}
		// A broker that is away for a moment is no reason to give up waiting.
		if taken, _ := h.try(ctx); taken {
			return nil
		}
	}
}

// try takes the lease if it is free.
func (h *holding) try(ctx context.Context) (taken bool, err error) {
	holder, revision, err := h.current(ctx)
	if err != nil {
		return false, err
	}
	free := holder == leaseValue{} || h.lease.o.Reclaim && holder.Holder == h.mine.Holder
	if !free {
		return false, nil
	}
	err = h.write(ctx, revision)
	if errors.Is(err, ErrConflict) {
		return false, nil
	}
	h.epoch = h.revision
	return err == nil, err
}

// keep renews the lease every third of its time to live. It returns nil when ctx ends, and an error as soon as the lease is
// lost or can no longer be known to be ours.
func (h *holding) keep(ctx context.Context) error {
	ttl := h.lease.o.TTL
	next := ttl / 3
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(next):
		}
		deadline := h.until.Add(-ttl / 10)
		renewing, cancel := context.WithDeadline(ctx, deadline)
		err := h.write(renewing, h.revision)
		if errors.Is(err, ErrConflict) {
			err = h.recognise(renewing)
		}
		cancel()
		switch {
		case err == nil:
			next = ttl / 3
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrConflict):
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("not renewed within %s: %w", ttl, err)
		default:
			next = renewRetry
		}
	}
}

// recognise resolves a conflict with a renewal of our own whose answer got lost.
func (h *holding) recognise(ctx context.Context) error {
	holder, revision, err := h.current(ctx)
	switch {
	case err != nil:
		return err
	case holder == leaseValue{}:
		return fmt.Errorf("%w: it has expired", ErrConflict)
	case holder != h.mine:
		return fmt.Errorf("%w: %s has taken it", ErrConflict, holder.Holder)
	}
	h.revision = revision
	return h.write(ctx, revision)
}

// release frees the lease if it is still ours, so that a standby need not wait. When the broker is away the lease expires.
func (h *holding) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	holder, revision, err := h.current(ctx)
	if err == nil && holder == h.mine {
		_ = h.kv.Purge(ctx, h.lease.key, jetstream.LastRevision(revision), jetstream.PurgeTTL(time.Second))
	}
}
