package statetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/state"
)

func testDecideOnce(t *testing.T, connect func(*testing.T) *nats.Conn) {
	ctx := t.Context()
	s, err := state.Open[tally](ctx, open(t, connect(t)), "decide", state.Options{})
	require.NoError(t, err)
	var l ledger
	for range 2 {
		doc, err := s.Decide(ctx, "k", cause(1), &l, count(cause(1)))
		require.NoError(t, err)
		assert.Equal(t, []string{cause(1).ID}, doc.Value.Counted)
		assert.Empty(t, doc.Outbox)
		assert.True(t, doc.Applied.Has(cause(1).ID))
		assert.EqualValues(t, 2, doc.Applied.Seq)
	}
	require.Len(t, l.said, 1)
	said := l.said[0]
	assert.Equal(t, effect(cause(1)).Caused(cause(1)), said, "linked to its cause, otherwise as decided")

	before, err := s.Get(ctx, "k")
	require.NoError(t, err)
	doc, err := s.Decide(ctx, "k", cause(2), &l, func(v tally, exists bool) (tally, []events.Fact, error) {
		assert.True(t, exists)
		return v, nil, state.ErrUnchanged
	})
	require.NoError(t, err)
	assert.Equal(t, before.Revision, doc.Revision)
	assert.False(t, doc.Applied.Has(cause(2).ID))

	for range 2 { // a cause without an id applies every time
		doc, err = s.Decide(ctx, "k", events.Fact{}, &l, func(v tally, _ bool) (tally, []events.Fact, error) {
			v.Counted = append(slices.Clone(v.Counted), "person")
			return v, nil, nil
		})
		require.NoError(t, err)
	}
	assert.Equal(t, []string{cause(1).ID, "person", "person"}, doc.Value.Counted)
}

func testDecideFailures(t *testing.T, connect func(*testing.T) *nats.Conn) {
	ctx := t.Context()
	s, err := state.Open[tally](ctx, open(t, connect(t)), "failures", state.Options{})
	require.NoError(t, err)
	var l ledger

	refused := errors.New("refused")
	_, err = s.Decide(ctx, "k", cause(1), &l, func(v tally, _ bool) (tally, []events.Fact, error) { return v, nil, refused })
	require.ErrorIs(t, err, refused)
	_, err = s.Get(ctx, "k")
	require.ErrorIs(t, err, state.ErrNotFound, "a failed decision leaves nothing")

	l.setFailure(errAway)
	doc, err := s.Decide(ctx, "k", cause(1), &l, count(cause(1)))
	require.ErrorIs(t, err, errAway)
	assert.Len(t, doc.Outbox, 1)
	_, err = s.Sweep(ctx, &l)
	require.ErrorIs(t, err, errAway)

	l.setFailure(nil)
	doc, err = s.Decide(ctx, "k", cause(2), &l, count(cause(2)))
	require.NoError(t, err)
	assert.Empty(t, doc.Outbox)
	assert.Equal(t, []string{effect(cause(1)).ID, effect(cause(2)).ID}, l.distinct(), "what was left is said first")
	swept, err := s.Sweep(ctx, &l)
	require.NoError(t, err)
	assert.Zero(t, swept)
}

// testConcurrentDeciders gives every cause to every decider, each in its own order: each counts once, each effect is said.
func testConcurrentDeciders(t *testing.T, connect func(*testing.T) *nats.Conn) {
	const deciders, causes = 6, 20
	var l ledger
	var all sync.WaitGroup
	for range deciders {
		s, err := state.Open[tally](t.Context(), open(t, connect(t)), "concurrent", state.Options{MaxConflicts: 1000})
		require.NoError(t, err)
		all.Go(func() {
			for _, i := range rand.Perm(causes) {
				_, err := s.Decide(t.Context(), "k", cause(i), &l, count(cause(i)))
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
	s, err := state.Open[tally](t.Context(), open(t, connect(t)), "concurrent", state.Options{})
	require.NoError(t, err)
	doc, err := s.Get(t.Context(), "k")
	require.NoError(t, err)
	assert.Empty(t, doc.Outbox)
	var want, effects []string
	for i := range causes {
		want, effects = append(want, cause(i).ID), append(effects, effect(cause(i)).ID)
	}
	assert.ElementsMatch(t, want, doc.Value.Counted)
	assert.ElementsMatch(t, effects, l.distinct())
}

type crashed struct{ point string }

// testCrashes delivers causes at least once in any order, to a process that dies at any named point of any run.
func testCrashes(t *testing.T, connect func(*testing.T) *nats.Conn) {
	js := open(t, connect(t))
	points := []string{"", "state.crashes.decided", "state.crashes.said"}
	round, deaths := 0, map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.Background()
		round++
		key := "k" + events.DeriveID("round", strconv.Itoa(round))
		var l ledger
		var dieAt string
		s, err := state.Open[tally](ctx, js, "crashes", state.Options{Crash: func(point string) {
			if point == dieAt {
				panic(crashed{point})
			}
		}})
		require.NoError(rt, err)
		var order []string
		for range rapid.IntRange(1, 6).Draw(rt, "deliveries") {
			c := cause(rapid.IntRange(0, 2).Draw(rt, "cause"))
			dieAt = rapid.SampledFrom(points).Draw(rt, "die at")
			if !slices.Contains(order, c.ID) {
				order = append(order, c.ID)
			}
			if dies(func() {
				_, err := s.Decide(ctx, key, c, &l, count(c))
				require.NoError(rt, err)
			}) {
				deaths[dieAt]++
			}
		}
		dieAt = ""
		_, err = s.Sweep(ctx, &l)
		require.NoError(rt, err)
		doc, err := s.Get(ctx, key)
		require.NoError(rt, err)
		require.Equal(rt, order, doc.Value.Counted, "each cause counts once, in the order of first delivery")
		require.Empty(rt, doc.Outbox)
		var effects []string
		for _, id := range order {
			effects = append(effects, events.DeriveID(id, "effect"))
		}
		require.Equal(rt, effects, l.distinct(), "each effect is said, in order")
	})
	assert.Len(t, deaths, 2, "it died at both points")
}

// dies runs f and tells whether it crashed.
func dies(f func()) (died bool) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(crashed); !ok {
				panic(p)
			}
			died = true
		}
	}()
	f()
	return false
}
