package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	plain := errors.New("plain")
	wrapped := func(err error) error { return errors.Join(errors.New("while deciding"), err) }
	for _, tt := range []struct {
		name    string
		err     error
		attempt int
		want    bus.Action
		delay   time.Duration
	}{
		{"done", nil, 1, bus.Ack, 0},
		{"plain, first", plain, 1, bus.Redeliver, 100 * time.Millisecond},
		{"plain, fourth", plain, 4, bus.Redeliver, 800 * time.Millisecond},
		{"plain, late", plain, 9, bus.Redeliver, 5 * time.Second},
		{"plain, last", plain, 10, bus.Bury, 0},
		{"retry", bus.Retry(plain), 2, bus.Redeliver, 200 * time.Millisecond},
		{"retry after", bus.RetryAfter(plain, time.Minute), 1, bus.Redeliver, time.Minute},
		{"retry after, wrapped", wrapped(bus.RetryAfter(plain, time.Minute)), 1, bus.Redeliver, time.Minute},
		{"retry after, last", bus.RetryAfter(plain, time.Minute), 10, bus.Bury, 0},
		{"terminal", bus.Terminal(plain), 1, bus.Bury, 0},
		{"terminal, wrapped", wrapped(bus.Terminal(plain)), 1, bus.Bury, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := bus.Judge(tt.err, tt.attempt, 0)
			assert.Equal(t, tt.want, got.Action)
			assert.Equal(t, tt.delay, got.Delay)
			if tt.err == nil {
				assert.NoError(t, got.Reason)
			} else {
				assert.ErrorIs(t, got.Reason, plain)
			}
		})
	}
}

func TestDeadLettersAreListedShownAndReplayedToTheirHandlerAlone(t *testing.T) {
	t.Parallel()
	js := start(t)
	b, dead := bus.New(js, bus.Options{}), bus.NewDead(js)
	type heard struct {
		by string
		f  events.Fact
	}
	all, broken := make(chan heard, 10), make(chan bool, 1)
	broken <- true
	subscription := func(name string, handler func() error) bus.Subscription {
		return bus.Subscription{
			Name: name, Subjects: []string{events.FactFilter(events.SegmentAcceptedType)},
			Handler: func(_ context.Context, f events.Fact) error {
				err := handler()
				all <- heard{name, f}
				return err
			},
		}
	}
	hear(t, b, subscription("sick", func() error {
		select {
		case <-broken:
			return bus.Terminal(errors.New("no such column\nline two " + strings.Repeat("x", 5000)))
		default:
			return nil
		}
	}), subscription("well", func() error { return nil }))
	seq, err := b.Say(t.Context(), fact(1))
	require.NoError(t, err)
	receive(t, all)
	receive(t, all)

	var letters []bus.Letter
	require.Eventually(t, func() bool {
		letters, err = dead.List(t.Context(), "sick")
		require.NoError(t, err)
		return len(letters) == 1
	}, patience, 10*time.Millisecond)
	l := letters[0]
	requireLetter(t, dead, l, seq)
	others, err := dead.List(t.Context(), "well")
	require.NoError(t, err)
	assert.Empty(t, others)

	require.NoError(t, dead.Replay(t.Context(), l.ID))
	_, err = b.Say(t.Context(), fact(2)) // comes after the replay, so that a replay for "well" would be seen before it
	require.NoError(t, err)
	got := map[string][]string{}
	for range 3 {
		h := receive(t, all)
		got[h.by] = append(got[h.by], h.f.ID)
	}
	assert.Equal(t, map[string][]string{"sick": {fact(1).ID, fact(2).ID}, "well": {fact(2).ID}}, got)
	_, err = dead.Show(t.Context(), l.ID)
	require.ErrorIs(t, err, bus.ErrNoLetter)
	require.ErrorIs(t, dead.Replay(t.Context(), l.ID), bus.ErrNoLetter)

	assert.Equal(t, []string{fact(1).ID, fact(2).ID}, followedUntil(t, js, fact(2).ID), "a follower doesn't see the replay")
}

// followedUntil lists the ids that a follower sees, up to last.
func followedUntil(t *testing.T, js jetstream.JetStream, last string) (followed []string) {
	t.Helper()
	enough := errors.New("enough")
	err := bus.NewLedger(js).Follow(t.Context(), bus.FollowOptions{}, func(f events.Fact) error {
		followed = append(followed, f.ID)
		if f.ID == last {
			return enough
		}
		return nil
	})
	require.ErrorIs(t, err, enough)
	return followed
}

func requireLetter(t *testing.T, dead *bus.Dead, l bus.Letter, seq uint64) {
	t.Helper()
	assert.Equal(t, "sick", l.Handler)
	assert.Equal(t, fact(1).Where(), l.Subject)
	assert.Equal(t, events.StreamFacts, l.Stream)
	assert.Equal(t, seq, l.Seq)
	assert.Equal(t, 1, l.Attempts)
	assert.Contains(t, l.Error, "no such column | line two")
	assert.WithinDuration(t, time.Now(), l.Time, time.Minute)
	shown, err := dead.Show(t.Context(), l.ID)
	require.NoError(t, err)
	assert.Contains(t, string(shown.Data), fact(1).ID)
	assert.Equal(t, events.ContentType, shown.ContentType)
}

func TestWhatIsNoFactIsADeadLetter(t *testing.T) {
	t.Parallel()
	js := start(t)
	b, dead := bus.New(js, bus.Options{}), bus.NewDead(js)
	hear(t, b, bus.Subscription{
		Name: "monitoring", Subjects: []string{events.FactFilter(events.SegmentAcceptedType)},
		Handler: func(context.Context, events.Fact) error { assert.Fail(t, "heard"); return nil },
	})
	_, err := js.Publish(t.Context(), fact(1).Where(), []byte("{"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		letters, err := dead.List(t.Context(), "")
		require.NoError(t, err)
		return len(letters) == 1 && strings.Contains(letters[0].Error, "not a fact")
	}, patience, 10*time.Millisecond)
	letters, err := dead.List(t.Context(), "")
	require.NoError(t, err)
	require.NoError(t, dead.Drop(t.Context(), letters[0].ID))
	require.ErrorIs(t, dead.Drop(t.Context(), letters[0].ID), bus.ErrNoLetter)
}
