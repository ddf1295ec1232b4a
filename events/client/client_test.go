package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/events/client"
)

// broker starts a real server with the streams that the client needs.
func broker(t *testing.T, maxBytes ...int64) (*client.Client, jetstream.JetStream) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(10*time.Second))
	nc, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	for _, st := range events.Streams() {
		if st.Name != events.StreamRows && st.Name != events.StreamFacts {
			continue
		}
		config := jetstream.StreamConfig{Name: st.Name, Subjects: st.Subjects, AllowAtomicPublish: st.AtomicPublish}
		if st.DiscardNew && len(maxBytes) > 0 {
			config.Discard, config.MaxBytes = jetstream.DiscardNew, maxBytes[0]
		}
		_, err = js.CreateStream(t.Context(), config)
		require.NoError(t, err)
	}
	c, err := client.New(nc)
	require.NoError(t, err)
	return c, js
}

func TestPublishKeepsOrderAcrossBatches(t *testing.T) {
	t.Parallel()
	c, js := broker(t)
	rows := make([]any, 2*client.MaxBatch+1)
	for i := range rows {
		rows[i] = map[string]int{"i": i}
	}
	done, err := c.Publish(t.Context(), "numbers", rows...)
	require.NoError(t, err)
	require.Equal(t, client.Published{Rows: len(rows), Sequence: 3}, done, "a message per batch, since rows are small")
	lines := stored(t, js)
	require.Len(t, lines, len(rows))
	for i, line := range lines {
		require.JSONEq(t, fmt.Sprintf(`{"i":%d}`, i), line)
	}
}

// stored reads all rows of ROWS as a subscriber that knows NDJSON does.
func stored(t *testing.T, js jetstream.JetStream) []string {
	t.Helper()
	stream, err := js.Stream(t.Context(), events.StreamRows)
	require.NoError(t, err)
	var out []string
	for seq := range stream.CachedInfo().State.LastSeq {
		msg, err := stream.GetMsg(t.Context(), seq+1)
		require.NoError(t, err)
		if msg.Header.Get(events.HeaderContent) != events.ContentNDJSON {
			out = append(out, string(msg.Data))
			continue
		}
		out = append(out, strings.Split(string(msg.Data), "\n")...)
	}
	return out
}

// Whatever rows are, as many come out as went in, in their order: also those that are no lines.
func TestRowsArePackedWithoutLoss(t *testing.T) {
	t.Parallel()
	_, js := broker(t)
	long := `{"text":"` + strings.Repeat("x", 40<<10) + `"}`
	rows := []string{`{}`, "", ` `, `{"a":1}`, "{\n\"b\": 2\n}", long, long, `nonsense`, `{"c":3}`, long}
	encoded := make([][]byte, len(rows))
	for i, row := range rows {
		encoded[i] = []byte(row)
	}
	_, err := client.PublishBatch(t.Context(), js, "numbers", encoded, "")
	require.NoError(t, err)
	require.Equal(t, rows, stored(t, js))
}

func TestSameBatchIsStoredOnce(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3, 2000} {
		_, js := broker(t)
		rows := make([][]byte, n)
		for i := range rows {
			rows[i] = []byte(`{"text":"` + strings.Repeat("x", 100) + `"}`)
		}
		first, err := client.PublishBatch(t.Context(), js, "numbers", rows, "mine")
		require.NoError(t, err)
		require.NotZero(t, first)
		again, err := client.PublishBatch(t.Context(), js, "numbers", rows, "mine")
		require.NoError(t, err)
		require.Zero(t, again)
		stream, err := js.Stream(t.Context(), events.StreamRows)
		require.NoError(t, err)
		require.Equal(t, first, stream.CachedInfo().State.Msgs)
		require.Len(t, stored(t, js), n)
	}
}

func TestPublishRefusesWhatIsNoRow(t *testing.T) {
	t.Parallel()
	c, _ := broker(t)
	_, err := c.Publish(t.Context(), "numbers", 7)
	require.ErrorContains(t, err, "row 1: a row is a JSON object")
	_, err = c.Publish(t.Context(), "No Name", map[string]int{})
	require.ErrorContains(t, err, "lower-case")
}

func TestFullBacklogSaysSo(t *testing.T) {
	t.Parallel()
	c, _ := broker(t, 200_000)
	row := map[string]string{"text": string(make([]byte, 10_000))}
	for range 100 {
		if _, err := c.Publish(t.Context(), "numbers", row); err != nil {
			require.ErrorIs(t, err, client.ErrFull)
			return
		}
	}
	t.Fatal("the stream never filled")
}

func say(t *testing.T, js jetstream.JetStream, version string) {
	t.Helper()
	f, err := events.NewFact(events.DeriveID(version), events.ModelReadyType, "deployment", "m", time.Now(),
		events.ModelReady{Version: events.Version{Model: "m", Version: version}})
	require.NoError(t, err)
	b, err := json.Marshal(f)
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), f.Where(), b)
	require.NoError(t, err)
}

func TestDurableFollowerSeesEachVersionUntilItIsHandled(t *testing.T) {
	t.Parallel()
	c, js := broker(t)
	say(t, js, "1")
	follow := func(since uint64, want int, fail int) (got []string) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		err := c.OnModelReady(ctx, client.Follow{Name: "m", Durable: "ci", Since: since}, func(_ context.Context, r events.ModelReady) error {
			got = append(got, r.Version.Version)
			if len(got) <= fail {
				return errors.New("not now")
			}
			if len(got) == want {
				cancel()
			}
			return nil
		})
		require.NoError(t, err)
		return got
	}
	require.Equal(t, []string{"1", "1"}, follow(1, 2, 1), "a failed one comes again")
	say(t, js, "2")
	require.Equal(t, []string{"2"}, follow(1, 1, 0), "what was handled stays handled")
}
