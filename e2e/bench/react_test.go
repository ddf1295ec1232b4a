package bench

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/model/onnxgraph"
	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/events/client"
)

const (
	reactCycles  = 60
	reactSegment = 500
	reactInitial = 2000
)

// BenchmarkReact lets a policy retrain on each new segment with a trainer that takes no time: a shell that writes down when it
// started and leaves a ready model. What is left is the platform's own time, from the segment that decides to the process that
// trains, and from the request of the cycle to the model that is ready.
func BenchmarkReact(b *testing.B) {
	m := harness.Up(b, harness.Dir(b), nil)
	ready := filepath.Join(m.Home, "ready.onnx")
	require.NoError(b, os.WriteFile(ready, readyModel(), 0o600))
	starts := filepath.Join(m.Home, "starts")
	d := harness.Declared{SegmentRows: reactSegment, SegmentAge: time.Minute, Initial: reactInitial, NewRows: reactSegment, Window: "sliding: {duration: 34h}",
		Gates: "{metric: auc, min: 0.5}",
		Candidates: fmt.Sprintf(`    - {name: none, trainer: process, command: [sh, -c, 'date +%%s%%N >>%s; cp %s "$SM_MODEL_DIR/model.onnx"']}`,
			starts, ready)}
	m.Apply(d.YAML())
	js := m.Broker()
	var react, overhead []float64
	for b.Loop() {
		sent := 0
		send := func(n int) {
			for to := sent + n; sent < to; sent += reactSegment {
				_, err := client.PublishBatch(context.Background(), js, "visits", harness.VisitRows(sent, sent+reactSegment, false), "")
				require.NoError(b, err)
			}
		}
		send(reactInitial)
		for i := range reactCycles {
			if i > 0 {
				send(reactSegment)
			}
			harness.Eventually(b, 30*time.Second, "the cycle ends", func() error {
				if model := m.Model("buyers"); model.Cycle != nil || model.Cycles[events.OutcomePromoted] < int64(i+1) {
					return fmt.Errorf("cycle %d: %v", i+1, model.Cycles)
				}
				return nil
			})
		}
		r, o := reactions(b, m, js, readStarts(b, starts))
		react, overhead = append(react, r...), append(overhead, o...)
	}
	note(b, figure{Name: "reaction: segment accepted → training process, p50", Value: quantile(react, 0.5), Unit: "p50-ms", Aim: "≤ 20"})
	note(b, figure{Name: "reaction: segment accepted → training process, p99", Value: quantile(react, 0.99), Unit: "p99-ms", Aim: "≤ 100"})
	note(b, figure{Name: "cycle: requested → model ready, without the trial", Value: median(overhead), Unit: "cycle-ms", Aim: "≤ 300"})
}

// readStarts are the times at which training processes started, in order.
func readStarts(b *testing.B, path string) []time.Time {
	b.Helper()
	f, err := os.Open(path)
	require.NoError(b, err)
	defer f.Close()
	var out []time.Time
	for lines := bufio.NewScanner(f); lines.Scan(); {
		n, err := strconv.ParseInt(strings.TrimSpace(lines.Text()), 10, 64)
		require.NoError(b, err)
		out = append(out, time.Unix(0, n))
	}
	return out
}

// reactions are, per cycle in milliseconds, the time from the broker having the accepted segment to the training process, and the
// time from the broker having cycle.requested to its having model.ready, less the trial's own.
func reactions(b *testing.B, m *harness.Tidemill, js jetstream.JetStream, starts []time.Time) (react, overhead []float64) {
	b.Helper()
	stream, err := js.Stream(b.Context(), events.StreamFacts)
	require.NoError(b, err)
	stored := func(f events.Fact) time.Time {
		msg, err := stream.GetMsg(b.Context(), f.Seq)
		require.NoError(b, err)
		return msg.Time
	}
	accepted, requested, trial := map[uint64]time.Time{}, map[string]time.Time{}, map[string]float64{}
	n := 0
	steps := map[string][]float64{} // where the time goes, for the log
	var last time.Time
	for _, f := range m.Facts() {
		at := stored(f)
		switch f.Type {
		case events.SegmentAcceptedType:
			p, err := events.PayloadOf[events.SegmentAccepted](f)
			require.NoError(b, err)
			accepted[p.Ordinal] = at
		case events.CycleRequestedType:
			p, err := events.PayloadOf[events.CycleRequested](f)
			require.NoError(b, err)
			require.Less(b, n, len(starts))
			react = append(react, milliseconds(starts[n].Sub(accepted[p.Snapshot.Through])))
			requested[p.Cycle] = at
			n++
		case events.TrialFinishedType:
			p, err := events.PayloadOf[events.TrialFinished](f)
			require.NoError(b, err)
			trial[p.Cycle] = p.Seconds * 1000
		case events.ModelReadyType:
			p, err := events.PayloadOf[events.ModelReady](f)
			require.NoError(b, err)
			overhead = append(overhead, milliseconds(at.Sub(requested[p.Cycle]))-trial[p.Cycle])
		}
		if !last.IsZero() {
			steps[f.Type.Short()] = append(steps[f.Type.Short()], milliseconds(at.Sub(last)))
		}
		last = at
	}
	for step, took := range steps {
		b.Logf("%-22s %7.1f ms after the fact before it (median of %d)", step, median(took), len(took))
	}
	return react, overhead
}

// readyModel is σ(0.4(pages − 10)): what a trainer would find.
func readyModel() []byte {
	g := onnxgraph.New("ready")
	g.Input("pages", onnxgraph.Float, onnxgraph.Rows, 1)
	g.Input("source", onnxgraph.String, onnxgraph.Rows, 1)
	g.Floats("slope", []float32{0.4}, 1)
	g.Floats("shift", []float32{-4}, 1)
	g.Node("Mul", []string{"pages", "slope"}, []string{"a"})
	g.Node("Add", []string{"a", "shift"}, []string{"z"})
	g.Node("Neg", []string{"z"}, []string{"nz"})
	g.Node("Concat", []string{"nz", "z"}, []string{"both"}, onnxgraph.AttrInt("axis", 1))
	g.Node("Sigmoid", []string{"both"}, []string{"probabilities"})
	g.Output("probabilities", onnxgraph.Float, onnxgraph.Rows, 2)
	return g.Marshal()
}
