package follow_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/infra/internal/follow"
	"github.com/tidemill/tidemill/infra/natsserver"
	"github.com/tidemill/tidemill/infra/natsserver/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func publish(t *testing.T, js jetstream.JetStream, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		require.Eventually(t, func() bool {
			_, err := js.Publish(t.Context(), "s.a", []byte(strconv.Itoa(i)), jetstream.WithMsgID(strconv.Itoa(i)))
			return err == nil
		}, 10*time.Second, 20*time.Millisecond)
	}
}

func TestRunSaysWhenItHasCaughtUp(t *testing.T) {
	t.Parallel()
	js := natstest.JetStream(t)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	require.NoError(t, err)
	publish(t, js, 1, 20)
	_, err = js.Publish(t.Context(), "s.other", nil)
	require.NoError(t, err)

	stop := errors.New("enough")
	for _, tt := range []struct {
		name    string
		options follow.Options
		want    int
	}{
		{"everything", follow.Options{}, 21},
		{"one subject, whose last is not the stream's last", follow.Options{Subjects: []string{"s.a"}}, 20},
		{"from a sequence", follow.Options{From: 15, Subjects: []string{"s.a"}}, 6},
		{"last per subject", follow.Options{LastPerSubject: true}, 2},
		{"nothing matches", follow.Options{Subjects: []string{"s.none"}}, 0},
		{"from beyond the end", follow.Options{From: 22}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := 0
			tt.options.Stream = "S"
			tt.options.CaughtUp = func(last uint64) error {
				assert.EqualValues(t, 21, last)
				return stop
			}
			err := follow.Run(t.Context(), js, tt.options, func(jetstream.Msg, *jetstream.MsgMetadata) error {
				got++
				return nil
			})
			require.ErrorIs(t, err, stop)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestRunGoesOnAfterTheServerWasAway(t *testing.T) {
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
	defer nc.Close()
	js := natstest.OpenJetStream(t, nc)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	require.NoError(t, err)
	publish(t, js, 1, 5)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	half, done := make(chan struct{}), make(chan error, 1)
	var got []string
	enough := errors.New("enough")
	go func() {
		done <- follow.Run(ctx, js, follow.Options{Stream: "S"}, func(m jetstream.Msg, _ *jetstream.MsgMetadata) error {
			got = append(got, string(m.Data()))
			switch len(got) {
			case 5:
				close(half)
			case 10:
				return enough
			}
			return nil
		})
	}()
	<-half
	require.NoError(t, first.Shutdown())
	natstest.StartWith(t, natsserver.Options{DataDir: dir, Port: port})
	publish(t, js, 6, 10)
	require.ErrorIs(t, <-done, enough)
	var want []string
	for i := 1; i <= 10; i++ {
		want = append(want, fmt.Sprint(i))
	}
	assert.Equal(t, want, got)
}

func TestRunNeedsItsStream(t *testing.T) {
	t.Parallel()
	err := follow.Run(t.Context(), natstest.JetStream(t), follow.Options{Stream: "NONE"}, nil)
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
}
