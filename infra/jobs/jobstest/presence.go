package jobstest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/infra/lifecycle"
)

// start runs a component until stop is called or the test ends, and waits until it is ready.
func start(t *testing.T, c lifecycle.Component) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- c.Run(ctx, func() { close(ready) }) }()
	stop = func() {
		if cancel == nil {
			return
		}
		cancel()
		cancel = nil
		assert.NoError(t, receive(t, ended))
	}
	t.Cleanup(stop)
	receive(t, ready)
	return stop
}

func testPresence(t *testing.T, b bench) {
	o := jobs.PresenceOptions{TTL: 2 * time.Second}
	crew := jobs.NewCrew(b.js, o)
	start(t, crew)
	assert.Empty(t, crew.Workers())
	nobody, err := jobs.Workers(t.Context(), b.js)
	require.NoError(t, err)
	assert.Empty(t, nobody)
	until := func(what string, is func() bool) {
		t.Helper()
		require.Eventually(t, is, patience, 10*time.Millisecond, what)
	}

	changed := crew.Changed()
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	first := jobs.NewBadge(b.js, jobs.Presence{Name: "one", Pool: "gpu", Slots: 2, Since: since, Host: "h", Version: "v"}, o)
	leave := start(t, first)
	receive(t, changed)
	start(t, jobs.NewBadge(b.js, jobs.Presence{Name: "two", Pool: "gpu", Slots: 3}, o))
	until("both are seen", func() bool { return crew.Slots("gpu") == 5 })
	assert.Zero(t, crew.Slots("default"))
	assert.Equal(t, jobs.Presence{Name: "one", Pool: "gpu", Slots: 2, Since: since, Host: "h", Version: "v"}, crew.Workers()[0])

	listed, err := jobs.Workers(t.Context(), b.js)
	require.NoError(t, err)
	assert.Equal(t, crew.Workers(), listed)

	late := jobs.NewCrew(open(t, b.connect(t)), o)
	start(t, late)
	assert.Equal(t, 5, late.Slots("gpu"), "a crew is ready when it knows who is there")

	first.Set(func(p *jobs.Presence) { p.Busy, p.Draining = 1, true })
	until("one that drains has no slots", func() bool { return crew.Slots("gpu") == 3 })
	assert.Equal(t, 1, crew.Workers()[0].Busy)
	leave()
	until("one that stopped is gone at once", func() bool { return len(crew.Workers()) == 1 })

	// One that dies says nothing.
	kv, err := b.js.KeyValue(t.Context(), events.BucketWorkers)
	require.NoError(t, err)
	_, err = kv.PutString(t.Context(), "dead", `{"name":"three","pool":"gpu","slots":7}`)
	require.NoError(t, err)
	until("it is seen", func() bool { return crew.Slots("gpu") == 10 })
	until("it is missed", func() bool { return crew.Slots("gpu") == 3 })
	until("the broker forgets it", func() bool {
		_, err := kv.Get(t.Context(), "dead")
		return errors.Is(err, jetstream.ErrKeyNotFound)
	})
	until("everybody misses it", func() bool { return len(late.Workers()) == 1 })
	assert.Equal(t, 3, late.Slots("gpu"), "the other one was renewed all the while")
}
