package bus_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/natsserver"
	"github.com/tidemill/tidemill/infra/natsserver/natstest"
)

// TestWatermillSuite is Watermill's own conformance suite against a real server. The server doesn't sync each write here: the
// suite publishes tens of thousands of messages one by one.
func TestWatermillSuite(t *testing.T) {
	t.Parallel()
	server := natstest.StartWith(t, natsserver.Options{DataDir: t.TempDir(), Unsynced: true})
	js := natstest.OpenJetStream(t, natstest.Conn(t, server))
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SUITE", Subjects: []string{"suite.>"}})
	require.NoError(t, err)

	inGroup := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		s := bus.NewSubscriber(js, bus.SubscriberOptions{Stream: "SUITE", Group: group, CloseGrace: 200 * time.Millisecond})
		t.Cleanup(func() { require.NoError(t, s.Close()) }) // the suite forgets some
		return bus.NewPublisher(js), s
	}
	tests.TestPubSub(t, tests.Features{
		ConsumerGroups: true, GuaranteedOrder: true, Persistent: true,
		GenerateTopicFunc: func(c tests.TestContext) string { return "suite." + c.TestID.String() },
	}, func(t *testing.T) (message.Publisher, message.Subscriber) { return inGroup(t, "") }, inGroup)
}

// TestNextMessageNeverWaitsForAHeartbeat guards a trap of the client library, see next. It shows most often under -race.
func TestNextMessageNeverWaitsForAHeartbeat(t *testing.T) {
	t.Parallel()
	const count = 3000
	server := natstest.StartWith(t, natsserver.Options{DataDir: t.TempDir(), Unsynced: true})
	js := natstest.OpenJetStream(t, natstest.Conn(t, server))
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	require.NoError(t, err)
	messages := make([]*message.Message, count)
	for i := range messages {
		messages[i] = message.NewMessage(strconv.Itoa(i), nil)
	}
	require.NoError(t, bus.NewPublisher(js).Publish("s.a", messages...))
	s := bus.NewSubscriber(js, bus.SubscriberOptions{Stream: "S"})
	defer s.Close()
	received, err := s.Subscribe(t.Context(), "s.a")
	require.NoError(t, err)
	for i := range count {
		select {
		case m := <-received:
			require.Equal(t, strconv.Itoa(i), m.UUID)
			m.Ack()
		case <-time.After(2 * time.Second):
			require.Failf(t, "stalled", "at message %d", i)
		}
	}
}
