package jobstest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/infra/state"
)

// testNotes: what an attempt notes reaches the next one, and only attempts that nobody handed back are lost.
func testNotes(t *testing.T, b bench) {
	ctx := t.Context()
	a, err := jobs.OpenAttempts(ctx, b.js, events.BucketTrials, state.Options{})
	require.NoError(t, err)
	begin := func(number, lost int, note string) jobs.Attempt {
		t.Helper()
		attempt, err := a.Begin(ctx, "j")
		require.NoError(t, err)
		assert.Equal(t, number, attempt.Number)
		assert.Equal(t, lost, attempt.Lost)
		assert.Equal(t, note, string(attempt.Note))
		return attempt
	}
	first := begin(1, 0, "")
	require.NoError(t, a.Note(ctx, first, []byte("one")))
	require.NoError(t, a.Note(ctx, first, []byte("two")))
	second := begin(2, 1, "two")
	require.ErrorIs(t, a.Note(ctx, first, []byte("stale")), jobs.ErrStale)
	require.ErrorIs(t, a.Release(ctx, first), jobs.ErrStale)
	third := begin(3, 2, "two") // the second had nothing to note
	require.NoError(t, a.Note(ctx, third, []byte("three")))
	require.NoError(t, a.Release(ctx, third))
	require.ErrorIs(t, a.Note(ctx, third, []byte("stale")), jobs.ErrStale, "what was handed back is over")
	require.ErrorIs(t, a.Finish(ctx, third, nil), jobs.ErrStale)
	require.ErrorIs(t, a.Release(ctx, third), jobs.ErrStale)
	current, err := a.Current(ctx, third)
	require.NoError(t, err)
	assert.False(t, current)
	fourth := begin(4, 2, "three")
	require.ErrorIs(t, a.Finish(ctx, second, nil), jobs.ErrStale)
	require.NoError(t, a.Finish(ctx, fourth, []byte("result")))
	require.NoError(t, a.Note(ctx, fourth, []byte("late")), "a note after the result is nothing")
	require.NoError(t, a.Release(ctx, fourth))
	over, err := a.Begin(ctx, "j")
	require.ErrorIs(t, err, jobs.ErrFinished)
	assert.Equal(t, "result", string(over.Result))
	assert.Empty(t, over.Note)
}

// testDraining: a worker that is asked to stop takes nothing new, what it does may go on for a while, and what isn't done by
// then is handed back.
func testDraining(t *testing.T, b bench) {
	type call struct {
		ctx  context.Context
		id   string
		done chan error
	}
	calls := make(chan call, 10)
	handler := func(ctx context.Context, d jobs.Delivery) error {
		c := call{ctx, d.ID, make(chan error)}
		calls <- c
		return <-c.done
	}
	c := jobs.Consumer{Slots: 2, AckWait: time.Hour, Attempts: 1, Drain: time.Second, Handler: handler}
	stop := work(t, b.queue, c)
	require.NoError(t, b.queue.Publish(t.Context(), job(1)))
	require.NoError(t, b.queue.Publish(t.Context(), job(2)))
	first, second := receive(t, calls), receive(t, calls)
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()

	first.done <- nil // a slot is free, but not for the next job
	require.Eventually(t, func() bool {
		n, err := b.queue.Waiting(t.Context(), "train", "default")
		return err == nil && n == 1
	}, patience, 10*time.Millisecond, "what ends while draining is done")
	require.NoError(t, second.ctx.Err(), "it may go on")
	require.NoError(t, b.queue.Publish(t.Context(), job(3)))
	receive(t, second.ctx.Done())
	assert.Empty(t, calls)
	second.done <- second.ctx.Err()
	receive(t, stopped)

	work(t, b.queue, jobs.Consumer{Slots: 2, AckWait: time.Hour, Handler: handler})
	again := map[string]bool{}
	for range 2 {
		next := receive(t, calls)
		again[next.id] = true
		next.done <- nil
	}
	assert.Equal(t, map[string]bool{second.id: true, "job-3": true}, again, "at once, not after AckWait")
	b.waitForEmpty(t)

	// An idle worker has nothing to wait for.
	c.Kind, c.Pool, c.Drain = "train", "default", time.Hour
	start(t, b.queue.Component(c))()
}

// testLeft: a handler that finds its job in other hands leaves it there; if those let it go too, it comes back after AckWait.
func testLeft(t *testing.T, b bench) {
	const ackWait = time.Second
	require.NoError(t, b.queue.Publish(t.Context(), job(1)))
	attempts := make(chan int, 10)
	began := time.Now()
	work(t, b.queue, jobs.Consumer{AckWait: ackWait, Attempts: 1, Handler: func(_ context.Context, d jobs.Delivery) error {
		attempts <- d.Attempt
		if d.Attempt == 1 {
			return errors.Join(errors.New("too late"), jobs.ErrStale)
		}
		return nil
	}})
	assert.Equal(t, 1, receive(t, attempts))
	assert.Equal(t, 2, receive(t, attempts))
	assert.GreaterOrEqual(t, time.Since(began), ackWait)
	b.waitForEmpty(t)
}
