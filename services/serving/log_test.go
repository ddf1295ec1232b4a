package serving_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/hosttest"
	"github.com/tidemill/tidemill/services/serving"
)

// logged are the predictions of a model, read back from the broker.
func (p *place) logged(name string) (out []serving.Prediction, messages int) {
	p.t.Helper()
	stream, err := p.JS.Stream(p.t.Context(), events.StreamPredictions)
	require.NoError(p.t, err)
	info, err := stream.Info(p.t.Context())
	require.NoError(p.t, err)
	for seq := uint64(1); seq <= info.State.LastSeq; seq++ {
		m, err := stream.GetMsg(p.t.Context(), seq)
		require.NoError(p.t, err)
		if m.Subject != events.PredictionsSubject(name) {
			continue
		}
		messages++
		require.Equal(p.t, events.ContentNDJSON, m.Header.Get(events.HeaderContent))
		for line := range bytes.Lines(m.Data) {
			var x serving.Prediction
			d := json.NewDecoder(bytes.NewReader(line))
			d.DisallowUnknownFields()
			require.NoError(p.t, d.Decode(&x), "%s", line)
			out = append(out, x)
		}
	}
	return out, messages
}

func TestPredictionsAreLogged(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "7", 1))
	p.promote(regression(t, "z", "1"))
	before := p.host.Clock()
	_, a := p.infer("late", map[string]any{"id": "a", "inputs": featureTensors()})
	_, _ = p.infer("late", map[string]any{"id": "b", "inputs": columnTensors()})
	_, _ = p.infer("late", one("nothing", "FP64", "[1]", "[1]"))
	_, z := p.infer("z", one("date", "BYTES", "[1]", `["2001-01-01T05:00:00.5Z"]`))
	n := len(flightRows)
	var lines []serving.Prediction
	hosttest.Await(t, "all is logged", func() bool { lines, _ = p.logged("late"); return len(lines) == 2*n })
	answers := a.numbers(t, "probabilities")
	far, hour, size, origin := features()
	for i := range n {
		features, columns := lines[i], lines[n+i]
		require.Equal(t, []string{"late", "7", "a", fmt.Sprint(i)}, []string{features.Model, features.Version, features.ID, fmt.Sprint(features.Row)})
		require.Equal(t, []string{"b", fmt.Sprint(i)}, []string{columns.ID, fmt.Sprint(columns.Row)})
		require.Equal(t, map[string]any{"far": far[i], "hour": hour[i], "size": size[i], "origin": origin[i]}, features.Features)
		require.Nil(t, features.Columns)
		require.Nil(t, columns.Features)
		require.WithinRange(t, features.Time, before, p.host.Clock())
		for _, x := range []serving.Prediction{features, columns} {
			require.InDelta(t, answers[2*i+1], x.Probabilities[1], 1e-6)
		}
	}
	require.Equal(t, map[string]any{"date": "2001-01-01T07:30:00Z", "distance": 250.5, "origin": "SFO", "seats": 100.0, "weekend": true}, lines[n].Columns)
	require.Equal(t, map[string]any{"date": "2001-06-30T12:00:00Z", "distance": nil, "origin": "", "seats": nil, "weekend": nil}, lines[2*n-1].Columns)
	hosttest.Await(t, "the regression is logged", func() bool { lines, _ = p.logged("z"); return len(lines) == 1 })
	require.InDelta(t, z.numbers(t, "prediction")[0], *lines[0].Prediction, 1e-6)
	require.Equal(t, "2001-01-01T05:00:00.5Z", lines[0].Columns["date"])
	require.Zero(t, p.metric("tidemill_serving_dropped_predictions_total"))
}

func TestStoppingLogsWhatWasAnswered(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "1", 1))
	const n = 1000
	for i := range n {
		status, _ := p.infer("late", map[string]any{"id": fmt.Sprint(i), "inputs": featureTensors()})
		require.Equal(t, http.StatusOK, status)
	}
	p.stop()
	lines, messages := p.logged("late")
	require.Len(t, lines, n*len(flightRows))
	require.Less(t, messages, len(lines)/5, "many predictions share a message")
	seen := map[string]int{}
	for _, x := range lines {
		seen[x.ID]++
	}
	require.Len(t, seen, n)
}

func TestLargeRequestsFitMessages(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "1", 1))
	const n = 5000
	distance, origin := make([]int, n), make([]string, n)
	for i := range distance {
		distance[i], origin[i] = i, fmt.Sprintf("%0300d", i)
	}
	status, a := p.infer("late", map[string]any{"inputs": []tensor{{"distance", "INT64", []int{n}, distance}, {"origin", "BYTES", []int{n}, origin}}})
	require.Equal(t, http.StatusOK, status, a.Error)
	hosttest.Await(t, "all rows are logged", func() bool { lines, _ := p.logged("late"); return len(lines) == n })
	require.Zero(t, p.metric("tidemill_serving_dropped_predictions_total"))
}

func TestAFractionIsLogged(t *testing.T) {
	t.Parallel()
	p := open(t, func(o *serving.Options) { o.LogFraction = 0.25 })
	p.promote(binary(t, "late", "1", 1))
	for range 500 {
		_, _ = p.infer("late", map[string]any{"inputs": featureTensors()})
	}
	p.stop()
	lines, _ := p.logged("late")
	require.InDelta(t, 500, len(lines), 150) // 2000 rows: σ = 19
	none := open(t, func(o *serving.Options) { o.LogFraction = -1 })
	none.promote(binary(t, "late", "1", 1))
	_, _ = none.infer("late", map[string]any{"inputs": featureTensors()})
	none.stop()
	lines, _ = none.logged("late")
	require.Empty(t, lines)
}

// TestALostLogHoldsUpNoRequest takes the stream away: answers go on, the predictions are counted as dropped.
func TestALostLogHoldsUpNoRequest(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "1", 1))
	require.NoError(t, p.JS.DeleteStream(context.Background(), events.StreamPredictions))
	_, err := p.JS.Stream(t.Context(), events.StreamPredictions)
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	for range 20 {
		status, _ := p.infer("late", map[string]any{"inputs": featureTensors()})
		require.Equal(t, http.StatusOK, status)
	}
	hosttest.Await(t, "what is lost is counted", func() bool {
		return p.metric("tidemill_serving_dropped_predictions_total") == float64(20*len(flightRows))
	})
}

// TestWhatDoesNotFitTheLogIsDropped sends more rows at once than may wait.
func TestWhatDoesNotFitTheLogIsDropped(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(regression(t, "z", "1"))
	const n = 50_001
	status, a := p.infer("z", map[string]any{"inputs": []tensor{{"distance", "INT64", []int{n}, make([]int, n)}}})
	require.Equal(t, http.StatusOK, status, a.Error)
	require.Len(t, a.numbers(t, "prediction"), n)
	// An answer is there before its log.
	hosttest.Await(t, "they are counted", func() bool { return p.metric("tidemill_serving_dropped_predictions_total") == n })
	_, _ = p.infer("z", one("distance", "INT64", "[1]", "[1]"))
	hosttest.Await(t, "the next one is logged", func() bool { lines, _ := p.logged("z"); return len(lines) == 1 })
}
