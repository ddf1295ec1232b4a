package statetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/infra/state"
)

func testDocuments(t *testing.T, connect func(*testing.T) *nats.Conn) {
	ctx := t.Context()
	s, err := state.Open[tally](ctx, open(t, connect(t)), "documents", state.Options{})
	require.NoError(t, err)

	_, err = s.Get(ctx, "a")
	require.ErrorIs(t, err, state.ErrNotFound)
	keys, err := s.Keys(ctx)
	require.NoError(t, err)
	assert.Empty(t, keys)

	first, err := s.Create(ctx, "a", tally{Counted: []string{"1"}})
	require.NoError(t, err)
	_, err = s.Create(ctx, "a", tally{})
	require.ErrorIs(t, err, state.ErrConflict)

	second := first
	second.Value = tally{Counted: []string{"1", "2"}}
	second, err = s.Update(ctx, second)
	require.NoError(t, err)
	assert.Greater(t, second.Revision, first.Revision)
	_, err = s.Update(ctx, first)
	require.ErrorIs(t, err, state.ErrConflict)
	got, err := s.Get(ctx, "a")
	require.NoError(t, err)
	assert.Equal(t, second, got)

	_, err = s.Create(ctx, "b", tally{})
	require.NoError(t, err)
	docs, err := s.List(ctx)
	require.NoError(t, err)
	require.Len(t, docs, 2)
	assert.Equal(t, second, docs[0])
	assert.Equal(t, "b", docs[1].Key)

	require.ErrorIs(t, s.Delete(ctx, first), state.ErrConflict)
	require.NoError(t, s.Delete(ctx, second))
	_, err = s.Get(ctx, "a")
	require.ErrorIs(t, err, state.ErrNotFound)
	keys, err = s.Keys(ctx)
	require.NoError(t, err)
	assert.Equal(t, []string{"b"}, keys)
	again, err := s.Create(ctx, "a", tally{})
	require.NoError(t, err, "a deleted key can be used again")
	assert.Greater(t, again.Revision, second.Revision)
}

func testTooLarge(t *testing.T, connect func(*testing.T) *nats.Conn) {
	s, err := state.Open[tally](t.Context(), open(t, connect(t)), "large", state.Options{})
	require.NoError(t, err)
	_, err = s.Create(t.Context(), "a", tally{Counted: []string{strings.Repeat("x", state.DefaultMaxBytes)}})
	require.ErrorIs(t, err, state.ErrTooLarge)
	require.ErrorContains(t, err, "large/a")
	_, err = s.Create(t.Context(), "a", tally{Counted: []string{strings.Repeat("x", state.DefaultMaxBytes-1000)}})
	require.NoError(t, err)
}

func testWatch(t *testing.T, connect func(*testing.T) *nats.Conn) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := state.Open[tally](ctx, open(t, connect(t)), "watched", state.Options{})
	require.NoError(t, err)
	a, err := s.Create(ctx, "a", tally{Counted: []string{"old"}})
	require.NoError(t, err)

	type seen struct{ key, value string }
	changes, caughtUp, ended := make(chan seen, 16), make(chan int, 1), make(chan error, 1)
	enough := errors.New("enough")
	go func() {
		ended <- s.Watch(ctx, state.WatchOptions{CaughtUp: func() { caughtUp <- len(changes) }}, func(c state.Change[tally]) error {
			if c.Deleted {
				changes <- seen{c.Key, "deleted"}
				return enough
			}
			changes <- seen{c.Key, c.Doc.Value.Counted[0]}
			return nil
		})
	}()
	assert.Equal(t, 1, <-caughtUp, "caught up after what existed")
	a.Value = tally{Counted: []string{"new"}}
	a, err = s.Update(ctx, a)
	require.NoError(t, err)
	_, err = s.Create(ctx, "b", tally{Counted: []string{"b"}})
	require.NoError(t, err)
	require.NoError(t, s.Delete(ctx, a))
	require.ErrorIs(t, <-ended, enough)
	for _, want := range []seen{{"a", "old"}, {"a", "new"}, {"b", "b"}, {"a", "deleted"}} {
		assert.Equal(t, want, <-changes)
	}
}
