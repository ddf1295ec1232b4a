package lifecycle_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/infra/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal notes in which order components became ready and ended.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) index(t *testing.T, line string) int {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, l := range j.lines {
		if l == line {
			return i
		}
	}
	require.Failf(t, "missing", "%q is not in %v", line, j.lines)
	return -1
}

func (j *journal) component(name string) lifecycle.Component {
	return lifecycle.Func(func(ctx context.Context, ready func()) error {
		j.note("start " + name)
		ready()
		ready() // a second call does no harm
		<-ctx.Done()
		j.note("end " + name + ": " + context.Cause(ctx).Error())
		return ctx.Err()
	})
}

func TestGroupStartsAfterNeedsAndStopsBeforeThem(t *testing.T) {
	t.Parallel()
	var j journal
	var g lifecycle.Group
	g.Add("gateway", j.component("gateway"), "ingestion", "broker")
	g.Add("ingestion", j.component("ingestion"), "broker")
	g.Add("broker", j.component("broker"))
	require.NoError(t, g.Start(t.Context()))
	require.NoError(t, g.Stop(t.Context()))
	require.NoError(t, g.Stop(t.Context()), "stopping twice is safe")
	require.NoError(t, g.Wait())

	assert.Less(t, j.index(t, "start broker"), j.index(t, "start ingestion"))
	assert.Less(t, j.index(t, "start ingestion"), j.index(t, "start gateway"))
	assert.Less(t, j.index(t, "end gateway: stopped"), j.index(t, "end ingestion: stopped"))
	assert.Less(t, j.index(t, "end ingestion: stopped"), j.index(t, "end broker: stopped"))
}

func TestGroupFailureWhileRunning(t *testing.T) {
	t.Parallel()
	boom := errors.New("disk on fire")
	var j journal
	var g lifecycle.Group
	light := make(chan struct{})
	g.Add("good", j.component("good"))
	g.Add("bad", lifecycle.Func(func(_ context.Context, ready func()) error {
		ready()
		<-light
		return boom
	}))
	require.NoError(t, g.Start(t.Context()))
	close(light)
	err := g.Wait()
	var failure *lifecycle.Failure
	require.ErrorAs(t, err, &failure)
	assert.Equal(t, "bad", failure.Component)
	require.ErrorIs(t, g.Stop(t.Context()), boom)
	j.index(t, "end good: bad: disk on fire")
}

func TestGroupStartFailureStopsTheRest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]lifecycle.Func{
		"error": func(context.Context, func()) error { return errors.New("no port") },
		"panic": func(context.Context, func()) error { panic("no port") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var j journal
			var g lifecycle.Group
			g.Add("first", j.component("first"))
			g.Add("second", c, "first")
			g.Add("third", j.component("third"), "second")
			require.ErrorContains(t, g.Start(t.Context()), "no port")
			j.index(t, "start first")
			assert.NotContains(t, j.lines, "start third")
		})
	}
}

func TestGroupEndingByItselfIsAFailure(t *testing.T) {
	t.Parallel()
	var g lifecycle.Group
	g.Add("short", lifecycle.Func(func(_ context.Context, ready func()) error { ready(); return nil }))
	require.NoError(t, g.Start(t.Context()))
	require.ErrorIs(t, g.Wait(), lifecycle.ErrEnded)
	require.ErrorIs(t, g.Stop(t.Context()), lifecycle.ErrEnded)
}

func TestGroupStartHonoursItsContext(t *testing.T) {
	t.Parallel()
	var g lifecycle.Group
	g.Add("slow", lifecycle.Func(func(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := g.Start(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "slow")
}

func TestGroupStopNamesWhoIsStuck(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	var g lifecycle.Group
	g.Add("stuck", lifecycle.Func(func(_ context.Context, ready func()) error { ready(); <-free; return nil }))
	require.NoError(t, g.Start(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, g.Stop(ctx), "still running: stuck")
	close(free)
	require.NoError(t, g.Stop(t.Context()))
}

func TestGroupRefusesWrongWiring(t *testing.T) {
	t.Parallel()
	var j journal
	var unknown, circle, twice lifecycle.Group
	unknown.Add("a", j.component("a"), "ghost")
	require.ErrorContains(t, unknown.Start(t.Context()), `a needs "ghost"`)
	circle.Add("a", j.component("a"), "b")
	circle.Add("b", j.component("b"), "a")
	require.ErrorContains(t, circle.Start(t.Context()), "a -> b -> a")
	twice.Add("a", j.component("a"))
	twice.Add("a", j.component("a"))
	require.ErrorContains(t, twice.Start(t.Context()), "two components")
	require.NoError(t, twice.Stop(t.Context()), "a group that never started stops at once")
}

func TestGroupIsAComponent(t *testing.T) {
	t.Parallel()
	var j journal
	var inner, outer lifecycle.Group
	inner.Add("leaf", j.component("leaf"))
	outer.Add("tree", &inner)
	require.NoError(t, outer.Start(t.Context()))
	require.NoError(t, outer.Stop(t.Context()))
	j.index(t, "end leaf: stopped")
}
