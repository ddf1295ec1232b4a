package statetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/infra/state"
)

// slack is what the broker may take beyond the time to live to notice that a lease has expired.
const slack = 3 * time.Second

type turn struct {
	who   string
	epoch uint64
}

// stand lets one holder wait for the lease and keep it until its context ends.
func stand(ctx context.Context, l *state.Lease, who string, turns chan<- turn) <-chan error {
	ended := make(chan error, 1)
	go func() {
		ended <- l.Hold(ctx, func(ctx context.Context, epoch uint64) error {
			turns <- turn{who, epoch}
			<-ctx.Done()
			return context.Cause(ctx)
		})
	}()
	return ended
}

func testLeaseExcludes(t *testing.T, connect func(*testing.T) *nats.Conn) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	options := state.LeaseOptions{TTL: 2 * time.Second}
	turns := make(chan turn, 4)
	stop := errors.New("stop")
	firstCtx, stopFirst := context.WithCancelCause(ctx)
	first := stand(firstCtx, state.NewLease(open(t, connect(t)), "leases", "retraining", options), "first", turns)
	one := <-turns
	secondCtx, stopSecond := context.WithCancelCause(ctx)
	second := stand(secondCtx, state.NewLease(open(t, connect(t)), "leases", "retraining", options), "second", turns)
	other := stand(secondCtx, state.NewLease(open(t, connect(t)), "leases", "training", options), "other", turns)
	assert.Equal(t, "other", (<-turns).who, "leases of different keys are free of each other")

	select { // longer than the time to live: renewals hold it
	case early := <-turns:
		require.Failf(t, "two holders", "%v", early)
	case err := <-first:
		require.NoError(t, err, "lost the lease")
	case <-time.After(options.TTL + slack):
	}
	stopped := time.Now()
	stopFirst(stop)
	two := <-turns
	assert.Less(t, time.Since(stopped), options.TTL/2, "a released lease is free at once")
	require.ErrorIs(t, <-first, stop)
	assert.Equal(t, "second", two.who)
	assert.Greater(t, two.epoch, one.epoch)
	stopSecond(stop)
	require.ErrorIs(t, <-second, stop)
	require.ErrorIs(t, <-other, stop)
}

func testLeaseKill(t *testing.T, connect func(*testing.T) *nats.Conn) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	options := state.LeaseOptions{TTL: 2 * time.Second}
	turns := make(chan turn, 4)
	doomed := connect(t)
	first := stand(ctx, state.NewLease(open(t, doomed), "leases", "k", options), "first", turns)
	one := <-turns
	second := stand(ctx, state.NewLease(open(t, connect(t)), "leases", "k", options), "second", turns)

	killed := time.Now()
	doomed.Close()
	require.ErrorIs(t, <-first, state.ErrLeaseLost)
	assert.LessOrEqual(t, time.Since(killed), options.TTL, "the holder knows before anybody else can hold it")
	two := <-turns
	assert.Less(t, time.Since(killed), options.TTL+slack)
	assert.Equal(t, "second", two.who)
	assert.Greater(t, two.epoch, one.epoch)
	cancel()
	require.ErrorIs(t, <-second, context.Canceled)
}

func testLeaseReclaim(t *testing.T, connect func(*testing.T) *nats.Conn) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	options := state.LeaseOptions{TTL: 10 * time.Second, Holder: "embedded", Reclaim: true}
	turns := make(chan turn, 4)
	first := stand(ctx, state.NewLease(open(t, connect(t)), "leases", "k", options), "first", turns)
	one := <-turns
	started := time.Now()
	second := stand(ctx, state.NewLease(open(t, connect(t)), "leases", "k", options), "second", turns)
	two := <-turns
	assert.Less(t, time.Since(started), options.TTL/3)
	assert.Greater(t, two.epoch, one.epoch)
	require.ErrorIs(t, <-first, state.ErrLeaseLost, "the earlier holder notices at its next renewal")
	cancel()
	require.ErrorIs(t, <-second, context.Canceled)
}
