// Package jobstest is the suite that the job queue and its attempts must pass on any NATS deployment.
package jobstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/infra/state"
)

const patience = 20 * time.Second

// Factory prepares an empty server and returns how to connect to it; every call of connect opens a connection of its own, that
// is closed when the test ends.
type Factory func(t *testing.T) (connect func(t *testing.T) *nats.Conn)

type bench struct {
	connect func(*testing.T) *nats.Conn
	js      jetstream.JetStream
	queue   *jobs.Queue
}

// Run runs the suite. Its parts run in parallel, each on a server of its own.
func Run(t *testing.T, factory Factory) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, bench)
	}{
		{"EachJobOnce", testEachJobOnce},
		{"Full", testFull},
		{"SlotsAndHeartbeats", testSlots},
		{"Verdicts", testVerdicts},
		{"StoppingGivesBack", testStopping},
		{"Draining", testDraining},
		{"StaleLeavesTheJobAlone", testLeft},
		{"Notes", testNotes},
		{"Attempts", testAttempts},
		{"WorkerThoughtDead", testThoughtDead},
		{"Presence", testPresence},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			connect := factory(t)
			js := open(t, connect(t))
			require.NoError(t, bus.EnsureStreams(t.Context(), js, 1))
			part.run(t, bench{connect, js, jobs.NewQueue(js)})
		})
	}
}

func open(t *testing.T, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

func job(i int) jobs.Job {
	return jobs.Job{ID: fmt.Sprintf("job-%d", i), Kind: "train", Pool: "default", Payload: []byte(fmt.Sprint(i))}
}

// work runs a worker until stop is called or the test ends.
func work(t *testing.T, q *jobs.Queue, c jobs.Consumer) (stop func()) {
	t.Helper()
	c.Kind, c.Pool = "train", "default"
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Work(ctx, c) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			assert.NoError(t, err)
		case <-time.After(patience):
			assert.Fail(t, "the worker doesn't stop")
		}
	})
	t.Cleanup(stop)
	return stop
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.Fail(t, "nothing came")
		panic("unreachable")
	}
}

func (b bench) waitForEmpty(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		n, err := b.queue.Waiting(t.Context(), "train", "default")
		return err == nil && n == 0
	}, patience, 10*time.Millisecond)
}

func testEachJobOnce(t *testing.T, b bench) {
	const count = 30
	for range 2 { // a publisher that tries again
		for i := range count {
			require.NoError(t, b.queue.Publish(t.Context(), job(i)))
		}
	}
	n, err := b.queue.Waiting(t.Context(), "train", "default")
	require.NoError(t, err)
	assert.Equal(t, count, n)
	require.NoError(t, b.queue.Publish(t.Context(), jobs.Job{ID: "job-0", Kind: "train", Pool: "gpu"}), "an id counts per pool")
	require.Error(t, b.queue.Publish(t.Context(), jobs.Job{ID: "x", Kind: "train", Pool: "a.b"}))
	require.Error(t, b.queue.Publish(t.Context(), jobs.Job{Kind: "train", Pool: "default"}))

	done := make(chan jobs.Delivery, 2*count)
	handler := func(_ context.Context, d jobs.Delivery) error { done <- d; return nil }
	for range 3 {
		work(t, jobs.NewQueue(open(t, b.connect(t))), jobs.Consumer{Slots: 2, Handler: handler})
	}
	seen := map[string]int{}
	for range count {
		d := receive(t, done)
		seen[d.ID]++
		assert.Equal(t, d.ID, "job-"+string(d.Payload))
		assert.Equal(t, 1, d.Attempt)
		assert.WithinDuration(t, time.Now(), d.Queued, time.Minute)
	}
	b.waitForEmpty(t)
	assert.Len(t, seen, count)
	assert.Empty(t, done)
}

func testFull(t *testing.T, b bench) {
	stream, err := b.js.Stream(t.Context(), events.StreamJobs)
	require.NoError(t, err)
	small := stream.CachedInfo().Config
	small.MaxBytes = 2000
	_, err = b.js.UpdateStream(t.Context(), small)
	require.NoError(t, err)
	var published []string
	for i := 0; err == nil; i++ {
		require.Less(t, i, 100)
		j := job(i)
		j.Payload = make([]byte, 500)
		if err = b.queue.Publish(t.Context(), j); err == nil {
			published = append(published, j.ID)
		}
	}
	require.ErrorIs(t, err, jobs.ErrFull)
	require.NotEmpty(t, published)
	done := make(chan string, 10)
	work(t, b.queue, jobs.Consumer{Handler: func(_ context.Context, d jobs.Delivery) error { done <- d.ID; return nil }})
	for _, id := range published {
		assert.Equal(t, id, receive(t, done), "nothing queued was dropped")
	}
	b.waitForEmpty(t)
	require.NoError(t, b.queue.Publish(t.Context(), job(99)), "room again")
}

// testSlots holds two jobs longer than AckWait: nobody else gets them, and a third waits.
func testSlots(t *testing.T, b bench) {
	for i := range 3 {
		require.NoError(t, b.queue.Publish(t.Context(), job(i)))
	}
	const ackWait = 500 * time.Millisecond
	began, free := make(chan jobs.Delivery, 10), make(chan struct{})
	consumer := jobs.Consumer{Slots: 1, AckWait: ackWait, Handler: func(ctx context.Context, d jobs.Delivery) error {
		began <- d
		select {
		case <-free:
		case <-ctx.Done():
		}
		return ctx.Err()
	}}
	for range 2 {
		work(t, b.queue, consumer)
	}
	first, second := receive(t, began), receive(t, began)
	assert.NotEqual(t, first.ID, second.ID)
	select {
	case d := <-began:
		require.Failf(t, "too many", "%s, attempt %d", d.ID, d.Attempt)
	case <-time.After(3 * ackWait):
	}
	close(free)
	third := receive(t, began)
	assert.Equal(t, 1, third.Attempt)
	b.waitForEmpty(t)
}

func testVerdicts(t *testing.T, b bench) {
	require.NoError(t, b.queue.Publish(t.Context(), job(1)))
	require.NoError(t, b.queue.Publish(t.Context(), job(2)))
	attempts := make(chan string, 20)
	work(t, b.queue, jobs.Consumer{Attempts: 3, Handler: func(_ context.Context, d jobs.Delivery) error {
		attempts <- fmt.Sprint(d.ID, " ", d.Attempt)
		switch {
		case d.ID == "job-1":
			return bus.Terminal(errors.New("no such trainer"))
		case d.Attempt == 1:
			panic("out of luck")
		default:
			return bus.RetryAfter(errors.New("still no luck"), time.Millisecond)
		}
	}})
	var got []string
	for range 4 {
		got = append(got, receive(t, attempts))
	}
	assert.ElementsMatch(t, []string{"job-1 1", "job-2 1", "job-2 2", "job-2 3"}, got)
	b.waitForEmpty(t)
	dead := bus.NewDead(b.js)
	letters, err := dead.List(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, letters, 2)
	assert.Equal(t, "job-1", letters[0].Job)
	assert.Contains(t, letters[0].Error, "no such trainer")
	assert.Equal(t, "job-2", letters[1].Job)
	assert.Contains(t, letters[1].Error, "gave up after 3 attempts")
	require.NoError(t, dead.Replay(t.Context(), letters[0].ID))
	assert.Equal(t, "job-1 1", receive(t, attempts), "a replayed job is a job")
}

func testStopping(t *testing.T, b bench) {
	require.NoError(t, b.queue.Publish(t.Context(), job(1)))
	began, again := make(chan struct{}, 1), make(chan int, 1)
	stop := work(t, b.queue, jobs.Consumer{AckWait: time.Hour, Attempts: 1, Handler: func(ctx context.Context, _ jobs.Delivery) error {
		began <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}})
	receive(t, began)
	stop()
	work(t, b.queue, jobs.Consumer{AckWait: time.Hour, Handler: func(_ context.Context, d jobs.Delivery) error {
		again <- d.Attempt
		return nil
	}})
	assert.Equal(t, 2, receive(t, again), "at once, not after AckWait")
	b.waitForEmpty(t)
}

func testAttempts(t *testing.T, b bench) {
	ctx := t.Context()
	a, err := jobs.OpenAttempts(ctx, b.js, events.BucketTrials, state.Options{})
	require.NoError(t, err)
	_, ok, err := a.Result(ctx, "j")
	require.NoError(t, err)
	assert.False(t, ok)
	require.ErrorIs(t, a.Finish(ctx, jobs.Attempt{Job: "j"}, nil), jobs.ErrStale, "an attempt that never began")

	first, err := a.Begin(ctx, "j")
	require.NoError(t, err)
	assert.Equal(t, 1, first.Number)
	second, err := a.Begin(ctx, "j")
	require.NoError(t, err)
	assert.Equal(t, 2, second.Number)
	current, err := a.Current(ctx, first)
	require.NoError(t, err)
	assert.False(t, current)
	require.ErrorIs(t, a.Finish(ctx, first, []byte("stale")), jobs.ErrStale)
	require.NoError(t, a.Finish(ctx, second, []byte("result")))
	require.NoError(t, a.Finish(ctx, second, []byte("other")), "twice is safe")
	require.ErrorIs(t, a.Finish(ctx, first, []byte("stale")), jobs.ErrStale)
	result, ok, err := a.Result(ctx, "j")
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, "result", string(result))
	third, err := a.Begin(ctx, "j")
	require.ErrorIs(t, err, jobs.ErrFinished)
	assert.Equal(t, "result", string(third.Result))

	numbers := make(chan int, 20)
	var all sync.WaitGroup
	for range cap(numbers) {
		all.Go(func() {
			attempt, err := a.Begin(ctx, "contended")
			assert.NoError(t, err)
			numbers <- attempt.Number
		})
	}
	all.Wait()
	seen := map[int]bool{}
	for range cap(numbers) {
		seen[<-numbers] = true
	}
	assert.Len(t, seen, cap(numbers), "no two attempts have one number")
}

// testThoughtDead cuts a worker off in the middle of a job; a second one does the job; then the first comes back with its own
// result, which must not count.
func testThoughtDead(t *testing.T, b bench) {
	ctx := t.Context()
	require.NoError(t, b.queue.Publish(ctx, job(1)))
	a, err := jobs.OpenAttempts(ctx, b.js, events.BucketTrials, state.Options{})
	require.NoError(t, err)
	const ackWait = time.Second
	cutOff := b.connect(t)
	firstBegan, firstMayEnd, firstEnded := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	stopFirst := work(t, jobs.NewQueue(open(t, cutOff)), jobs.Consumer{AckWait: ackWait, Handler: func(_ context.Context, d jobs.Delivery) error {
		attempt, err := a.Begin(context.Background(), d.ID)
		assert.NoError(t, err)
		close(firstBegan)
		<-firstMayEnd
		err = a.Finish(context.Background(), attempt, []byte("first"))
		firstEnded <- err
		return err
	}})
	<-firstBegan
	cutOff.Close() // no more heartbeats
	second := make(chan jobs.Attempt, 1)
	work(t, b.queue, jobs.Consumer{AckWait: ackWait, Handler: func(ctx context.Context, d jobs.Delivery) error {
		attempt, err := a.Begin(ctx, d.ID)
		if err != nil {
			return err
		}
		second <- attempt
		return a.Finish(ctx, attempt, []byte("second"))
	}})
	assert.Equal(t, 2, receive(t, second).Number)
	b.waitForEmpty(t)
	close(firstMayEnd)
	require.ErrorIs(t, receive(t, firstEnded), jobs.ErrStale)
	result, ok, err := a.Result(ctx, "job-1")
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, "second", string(result))
	stopFirst()
}
