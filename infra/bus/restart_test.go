package bus_test

import (
	"context"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/natsserver"
	"github.com/tidemill/tidemill/infra/natsserver/natstest"
)

// TestHandlersGoOnAfterTheServerWasAway restarts the server under a handler: nothing said is lost, and order is kept.
func TestHandlersGoOnAfterTheServerWasAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := natsserver.Start(natsserver.Options{DataDir: dir, Port: -1})
	require.NoError(t, err)
	u, err := url.Parse(first.URL())
	require.NoError(t, err)
	port, err := strconv.Atoi(u.Port())
	require.NoError(t, err)
	nc, err := natsserver.Connect(t.Context(), u.String(), "")
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js := natstest.OpenJetStream(t, nc)
	require.NoError(t, bus.EnsureStreams(t.Context(), js, 1))
	b := bus.New(js, bus.Options{})
	heard := make(chan string, 100)
	hear(t, b, bus.Subscription{
		Name: "monitoring", Subjects: []string{events.FactFilter(events.SegmentAcceptedType)},
		Handler: func(_ context.Context, f events.Fact) error { heard <- f.ID; return nil },
	})
	say := func(i int) {
		require.Eventually(t, func() bool {
			_, err := b.Say(t.Context(), fact(i))
			return err == nil
		}, patience, 20*time.Millisecond)
	}
	say(1)
	assert.Equal(t, fact(1).ID, receive(t, heard))
	require.NoError(t, first.Shutdown())
	natstest.StartWith(t, natsserver.Options{DataDir: dir, Port: port})
	var got []string
	for i := 2; i <= 5; i++ {
		say(i)
	}
	for len(got) == 0 || got[len(got)-1] != fact(5).ID {
		if id := receive(t, heard); len(got) == 0 || got[len(got)-1] != id { // at least once
			got = append(got, id)
		}
	}
	want := []string{fact(2).ID, fact(3).ID, fact(4).ID, fact(5).ID}
	if got[0] == fact(1).ID { // its ack may have gone down with the server
		got = got[1:]
	}
	assert.Equal(t, want, got)
}
