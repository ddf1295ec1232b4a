package e2e

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/events/client"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

// crashPoints are all places where a process can be told to kill itself; TestCrashPointsAreComplete compares them with the code.
// After a colon stands at which passing: the decisions that begin and end a cycle come after those about the first segments.
var crashPoints = []string{
	"state.resources.decided", "state.resources.said:2", "gateway.stored",
	"ingestion.parquet", "ingestion.entry:3",
	"validation.profiled", "state.validation.decided", "state.validation.said:2",
	"monitoring.scored", "state.monitoring.decided", "state.monitoring.said:2",
	"state.retraining.decided", "state.retraining.decided:6", "state.retraining.decided:8", "state.retraining.decided:9", "state.retraining.said:6",
	"training.published", "training.packaged", "state.training.decided", "state.training.decided:2", "state.training.decided:3", "state.training.said",
	"worker.claimed", "worker.trained", "worker.landed",
	"evaluation.judged", "state.evaluation.decided", "state.evaluation.said",
	"state.deployments.decided", "state.deployments.said",
}

// TestKilledAtAnyPointTheCycleEndsOnce kills a real process at its worst moments while rows stream in, starts it again, and looks
// for anything lost or done twice.
func TestKilledAtAnyPointTheCycleEndsOnce(t *testing.T) {
	t.Parallel()
	for _, point := range crashPoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			killAndGoOn(t, point)
		})
	}
}

const (
	killRows  = 3300 // the first model at 2000 and a second one at 3000 or so
	killBatch = 150
)

func killAndGoOn(t *testing.T, point string) {
	dir := harness.Dir(t)
	m := harness.Up(t, dir, []string{"TIDEMILL_CRASH_AT=" + point})
	done := 0
	if declare(t, m) {
		done = publishUntilDeath(t, m, 0)
	}
	select {
	case <-m.Done():
		require.Equal(t, -1, m.ExitCode(), "it ended by itself:\n%s", m.Log())
	case <-time.After(20 * time.Second):
		t.Fatalf("the process never passed %s: the story does not reach it, or the point is gone", point)
	}

	again := harness.Up(t, dir, nil)
	require.True(t, declare(t, again))
	require.Len(t, harness.Said[events.ResourceApplied](again, events.ResourceAppliedType), 3, "declaring again what was declared is no news")
	for done < killRows {
		next := publishUntilDeath(t, again, done)
		require.Greater(t, next, done, "nothing is taken after the restart")
		done = next
	}
	d, model := again.Settled("visits", "buyers", killRows, 40*time.Second)
	nothingLostOrDoubled(t, again, d)
	everyCycleEndedOnce(t, again, model)
}

// declare declares the resources; false when the process died of it.
func declare(t *testing.T, m *harness.Tidemill) bool {
	t.Helper()
	_, err := m.TryApply(harness.Declared{}.YAML())
	if err == nil {
		return true
	}
	select {
	case <-m.Done():
	case <-time.After(5 * time.Second):
		require.NoError(t, err)
	}
	return false
}

// publishUntilDeath publishes visits in batches from number done on, until all are out or the process is gone. It returns how
// many are surely stored: a batch whose fate is unknown comes again with its old id. The first batch is a file.
func publishUntilDeath(t *testing.T, m *harness.Tidemill, done int) int {
	nc, err := nats.Connect(m.Endpoint.NATS, nats.Token(m.Endpoint.NATSToken), nats.NoReconnect())
	if err != nil {
		return done // it died already
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go func() {
		<-m.Done()
		cancel()
	}()
	if done == 0 {
		body := harness.VisitsNDJSON(0, killBatch, true)
		_, err := call.PostBody[api.Published](ctx, m.API, "/api/v1/datasets/visits/files", url.Values{"name": {"first.ndjson"}},
			call.Body{Type: events.ContentNDJSON, Reader: strings.NewReader(body), Length: int64(len(body))})
		if err != nil {
			return 0
		}
		done = killBatch
	}
	for done < killRows {
		end := min(done+killBatch, killRows)
		_, err := client.PublishBatch(ctx, js, "visits", harness.VisitRows(done, end, true), fmt.Sprintf("batch-%d", done))
		if err != nil {
			return done
		}
		done = end
	}
	return done
}

func nothingLostOrDoubled(t *testing.T, m *harness.Tidemill, d api.Dataset) {
	t.Helper()
	bad := 0
	for i := range killRows {
		if harness.BadVisit(i) {
			bad++
		}
	}
	require.EqualValues(t, bad, d.Quarantined)
	require.EqualValues(t, killRows-bad, d.Accepted)
	ids, refused := m.IDs("visits"), m.RefusedIDs("visits")
	for i := range killRows {
		want, where := ids, "segments"
		if harness.BadVisit(i) {
			want, where = refused, "quarantine"
		}
		require.Equal(t, 1, want[int64(i)], "visit %d in %s", i, where)
	}
	require.Len(t, ids, killRows-bad)
	require.Len(t, refused, bad)
	for i, s := range m.Segments("visits") {
		require.EqualValues(t, i+1, s.Ordinal)
		require.NotEqual(t, "written", s.State, "segment %d was never judged", s.Ordinal)
	}
	perOrdinal(t, m, events.SegmentWrittenType, d.Segments, func(f events.Fact) (uint64, error) {
		p, err := events.PayloadOf[events.SegmentWritten](f)
		return p.Ordinal, err
	})
	perOrdinal(t, m, events.SegmentAcceptedType, d.Segments, func(f events.Fact) (uint64, error) {
		p, err := events.PayloadOf[events.SegmentAccepted](f)
		return p.Ordinal, err
	})
	perOrdinal(t, m, events.SegmentObservedType, d.Segments, func(f events.Fact) (uint64, error) {
		p, err := events.PayloadOf[events.SegmentObserved](f)
		return p.Ordinal, err
	})
}

// perOrdinal: each segment has exactly one such fact. It may stand in the ledger twice after a crash, with one id and one content.
func perOrdinal(t *testing.T, m *harness.Tidemill, ty events.Type, segments uint64, ordinal func(events.Fact) (uint64, error)) {
	t.Helper()
	ids := map[uint64]string{}
	content := map[string]string{}
	for _, f := range m.Facts(ty) {
		o, err := ordinal(f)
		require.NoError(t, err)
		if id, ok := ids[o]; ok {
			require.Equal(t, id, f.ID, "two %s of segment %d", ty.Short(), o)
			require.JSONEq(t, content[id], string(f.Data), "one %s of segment %d, said in two ways", ty.Short(), o)
		}
		ids[o], content[f.ID] = f.ID, string(f.Data)
	}
	require.Len(t, ids, int(segments), "segments with %s", ty.Short())
}

func everyCycleEndedOnce(t *testing.T, m *harness.Tidemill, model api.Model) {
	t.Helper()
	requested := harness.Said[events.CycleRequested](m, events.CycleRequestedType)
	ended := map[string][]string{}
	for _, e := range harness.Said[events.CycleEnded](m, events.CycleEndedType) {
		ended[e.Cycle] = append(ended[e.Cycle], e.Outcome+": "+e.Reason)
	}
	require.NotEmpty(t, requested)
	seen := map[string]bool{}
	for i, c := range requested {
		require.False(t, seen[c.Cycle], "%s was requested twice", c.Cycle)
		seen[c.Cycle] = true
		require.EqualValues(t, i+1, c.Number)
		require.Len(t, ended[c.Cycle], 1, "ends of %s: %v", c.Cycle, ended[c.Cycle])
		require.Contains(t, ended[c.Cycle][0], events.OutcomePromoted)
	}
	require.Len(t, ended, len(requested))
	require.NotNil(t, model.Champion, "there is no champion")
	ready := map[string]int{}
	for _, r := range harness.Said[events.ModelReady](m, events.ModelReadyType) {
		ready[r.Version.Version]++
	}
	require.Len(t, ready, len(requested))
	for version, n := range ready {
		require.Equal(t, 1, n, "version %s became ready", version)
	}
	require.Equal(t, fmt.Sprint(len(requested)), model.Champion.Version.Version)
	trials := map[string]int{}
	for _, f := range harness.Said[events.TrialFinished](m, events.TrialFinishedType) {
		require.True(t, f.Succeeded, f.Reason)
		trials[f.Trial]++
	}
	for trial, n := range trials {
		require.Equal(t, 1, n, "results of %s", trial)
	}
	require.Empty(t, harness.Get[api.List[api.Dead]](m, "/api/v1/dead", nil).Items, "dead letters")
}
