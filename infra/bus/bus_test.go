package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/natsserver/natstest"
)

const patience = 20 * time.Second

func start(t *testing.T) jetstream.JetStream {
	t.Helper()
	js := natstest.JetStream(t)
	require.NoError(t, bus.EnsureStreams(t.Context(), js, 1))
	return js
}

func fact(i int) events.Fact {
	return events.Fact{
		ID: events.DeriveID("test", fmt.Sprint(i)), Type: events.SegmentAcceptedType, Source: "/tidemill/validation",
		Subject: "flights", Time: time.Unix(int64(i), 0).UTC(), Data: []byte(fmt.Sprintf(`{"ordinal":%d}`, i)),
	}
}

// hear runs handlers and returns how to stop them; the test fails if that takes long or goes wrong.
func hear(t *testing.T, b *bus.Bus, subscriptions ...bus.Subscription) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- b.Handlers(subscriptions...).Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		require.NoError(t, err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			assert.NoError(t, err)
		case <-time.After(patience):
			assert.Fail(t, "handlers don't stop")
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

func TestStreamsFollowTheTable(t *testing.T) {
	t.Parallel()
	js := start(t)
	require.NoError(t, bus.EnsureStreams(t.Context(), js, 1), "twice is safe")
	for _, want := range events.Streams() {
		s, err := js.Stream(t.Context(), want.Name)
		require.NoError(t, err)
		c := s.CachedInfo().Config
		assert.Equal(t, want.Subjects, c.Subjects)
		assert.Equal(t, want.MaxAge, c.MaxAge)
		assert.Equal(t, want.AtomicPublish, c.AllowAtomicPublish)
		assert.Equal(t, want.WorkQueue, c.Retention == jetstream.WorkQueuePolicy)
		assert.Equal(t, want.DiscardNew, c.Discard == jetstream.DiscardNew)
		assert.Equal(t, jetstream.FileStorage, c.Storage)
	}
}

func TestSayStoresOnceAndReadsBack(t *testing.T) {
	t.Parallel()
	js := start(t)
	b, ledger := bus.New(js, bus.Options{}), bus.NewLedger(js)
	one, err := b.Say(t.Context(), fact(1))
	require.NoError(t, err)
	again, err := b.Say(t.Context(), fact(1))
	require.NoError(t, err)
	assert.Equal(t, one, again)
	two, err := b.Say(t.Context(), fact(2))
	require.NoError(t, err)

	want := fact(2)
	want.Seq = two
	got, err := ledger.Get(t.Context(), two)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	for _, subject := range []string{want.Where(), events.FactFilter(want.Type), events.FactsOf("segment", "flights")} {
		got, err = ledger.Last(t.Context(), subject)
		require.NoError(t, err, subject)
		assert.Equal(t, want, got)
	}
	_, err = ledger.Get(t.Context(), 99)
	require.ErrorIs(t, err, bus.ErrNoFact)
	_, err = ledger.Last(t.Context(), events.FactFilter(events.ModelReadyType))
	require.ErrorIs(t, err, bus.ErrNoFact)
	last, err := ledger.LastSeq(t.Context())
	require.NoError(t, err)
	assert.Equal(t, two, last)
}

func TestFollowFromASequence(t *testing.T) {
	t.Parallel()
	js := start(t)
	b := bus.New(js, bus.Options{})
	for i := range 5 {
		_, err := b.Say(t.Context(), fact(i))
		require.NoError(t, err)
	}
	enough := errors.New("enough")
	var seqs []uint64
	var caughtUpAt, end uint64
	err := bus.NewLedger(js).Follow(t.Context(), bus.FollowOptions{
		From: 3, Subjects: []string{events.FactFilter(events.SegmentAcceptedType)},
		CaughtUp: func(last uint64) {
			caughtUpAt, end = seqs[len(seqs)-1], last
			_, err := b.Say(t.Context(), fact(5))
			assert.NoError(t, err)
		},
	}, func(f events.Fact) error {
		seqs = append(seqs, f.Seq)
		if f.ID == fact(5).ID {
			return enough
		}
		return nil
	})
	require.ErrorIs(t, err, enough)
	assert.Equal(t, []uint64{3, 4, 5, 6}, seqs)
	assert.EqualValues(t, 5, caughtUpAt)
	assert.EqualValues(t, 5, end)
}

func TestHandlersHearInOrderAndGoOnAfterARestart(t *testing.T) {
	t.Parallel()
	js := start(t)
	b := bus.New(js, bus.Options{})
	heard := make(chan events.Fact, 100)
	sub := bus.Subscription{
		Name: "monitoring", Subjects: events.FactFilters(events.SegmentAcceptedType, events.SegmentQuarantinedType),
		Handler: func(_ context.Context, f events.Fact) error { heard <- f; return nil },
	}
	for round := range 2 {
		stop := hear(t, b, sub)
		for i := range 20 {
			_, err := b.Say(t.Context(), fact(round*20+i))
			require.NoError(t, err)
		}
		for i := range 20 {
			assert.Equal(t, fact(round*20+i).ID, receive(t, heard).ID)
		}
		stop()
	}
}

func TestRetriesKeepTheOrderAndPanicsAreErrors(t *testing.T) {
	t.Parallel()
	js := start(t)
	b := bus.New(js, bus.Options{Logger: zap.NewNop()})
	var heard []string
	done := make(chan struct{})
	for i := range 3 {
		_, err := b.Say(t.Context(), fact(i))
		require.NoError(t, err)
	}
	stop := hear(t, b, bus.Subscription{
		Name: "monitoring", Subjects: []string{events.FactFilter(events.SegmentAcceptedType)},
		Handler: func(ctx context.Context, f events.Fact) error {
			d, ok := bus.DeliveryOf(ctx)
			assert.True(t, ok)
			heard = append(heard, fmt.Sprintf("%d try %d", f.Seq, d.Attempt))
			switch {
			case f.Seq == 1 && d.Attempt == 1:
				return errors.New("not now")
			case f.Seq == 1 && d.Attempt == 2:
				panic("not now")
			case f.Seq == 2 && d.Attempt == 1:
				return bus.RetryAfter(errors.New("soon"), time.Millisecond)
			case f.Seq == 3:
				close(done)
			}
			return nil
		},
	})
	receive(t, done)
	stop()
	assert.Equal(t, []string{"1 try 1", "1 try 2", "1 try 3", "2 try 1", "2 try 2", "3 try 1"}, heard)
}

func TestStoppingGivesTheFactBack(t *testing.T) {
	t.Parallel()
	js := start(t)
	b := bus.New(js, bus.Options{AckWait: time.Hour})
	_, err := b.Say(t.Context(), fact(1))
	require.NoError(t, err)
	began, attempts := make(chan struct{}, 1), make(chan int, 1)
	sub := bus.Subscription{
		Name: "monitoring", Subjects: []string{events.FactFilter(events.SegmentAcceptedType)}, Attempts: 1,
		Handler: func(ctx context.Context, _ events.Fact) error {
			began <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		},
	}
	stop := hear(t, b, sub)
	receive(t, began)
	stop()
	letters, err := bus.NewDead(js).List(t.Context(), "")
	require.NoError(t, err)
	assert.Empty(t, letters, "stopping is not held against the fact, though it was its only attempt")
	sub.Handler = func(ctx context.Context, _ events.Fact) error {
		d, _ := bus.DeliveryOf(ctx)
		attempts <- d.Attempt
		return nil
	}
	hear(t, b, sub)
	assert.Equal(t, 2, receive(t, attempts), "without waiting for AckWait")
}

func TestLongHandlersKeepTheirFact(t *testing.T) {
	t.Parallel()
	js := start(t)
	b := bus.New(js, bus.Options{AckWait: 300 * time.Millisecond})
	_, err := b.Say(t.Context(), fact(1))
	require.NoError(t, err)
	attempts := make(chan int, 10)
	sub := bus.Subscription{
		Name: "monitoring", Subjects: []string{events.FactFilter(events.SegmentAcceptedType)},
		Handler: func(ctx context.Context, _ events.Fact) error {
			d, _ := bus.DeliveryOf(ctx)
			attempts <- d.Attempt
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
				return nil
			}
		},
	}
	hear(t, b, sub)
	hear(t, b, sub) // a standby on the same consumer would get it
	require.Equal(t, 1, receive(t, attempts))
	select {
	case again := <-attempts:
		require.Failf(t, "heard twice", "attempt %d", again)
	case <-time.After(900 * time.Millisecond):
	}
}

func TestCauseAndTraceReachWhatAHandlerSays(t *testing.T) {
	t.Parallel()
	js := start(t)
	provider := sdktrace.NewTracerProvider()
	b := bus.New(js, bus.Options{Tracer: provider})
	ctx, root := provider.Tracer("test").Start(t.Context(), "root")
	first := fact(1).InCycle("cycle-7")
	seq, err := b.Say(ctx, first)
	require.NoError(t, err)
	said := make(chan uint64, 1)
	hear(t, b, bus.Subscription{
		Name: "retraining", Subjects: []string{events.FactFilter(events.SegmentAcceptedType)},
		Handler: func(ctx context.Context, f events.Fact) error {
			cause, ok := bus.Cause(ctx)
			assert.True(t, ok)
			assert.Equal(t, f, cause)
			effect, err := events.NewFact(events.DeriveID(f.ID, "effect"), events.CycleRequestedType, "retraining", "m", f.Time, struct{}{})
			assert.NoError(t, err)
			seq, err := b.Say(ctx, bus.Caused(ctx, effect))
			said <- seq
			return err
		},
	})
	effect, err := bus.NewLedger(js).Get(t.Context(), receive(t, said))
	require.NoError(t, err)
	assert.Equal(t, first.ID, effect.CausationID)
	assert.Equal(t, seq, effect.CausationSeq)
	assert.Equal(t, "cycle-7", effect.CycleID)
	assert.Contains(t, effect.TraceParent, root.SpanContext().TraceID().String())
	assert.NotContains(t, effect.TraceParent, root.SpanContext().SpanID().String(), "the handler has a span of its own")
	assert.True(t, trace.SpanContextFromContext(ctx).IsValid())
}

func TestHandlersRefuseWrongWiring(t *testing.T) {
	t.Parallel()
	b := bus.New(start(t), bus.Options{})
	handler := func(context.Context, events.Fact) error { return nil }
	ok := bus.Subscription{Name: "a", Subjects: []string{"facts.>"}, Handler: handler}
	for want, subs := range map[string][]bus.Subscription{
		"must be 1 to 63":   {{Name: "A.b", Subjects: ok.Subjects, Handler: handler}},
		"the name is taken": {ok, ok},
		"needs subjects":    {{Name: "a", Handler: handler}},
		"filter":            {{Name: "a", Subjects: []string{"facts.>", "facts.a"}, Handler: handler}},
	} {
		err := b.Handlers(subs...).Run(t.Context(), func() { assert.Fail(t, "ready", want) })
		require.ErrorContains(t, err, want)
	}
}
