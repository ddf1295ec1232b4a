package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/events/client"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/workers/runtime"
)

const (
	trialRows   = 5000
	trialAlone  = 40
	trialQueued = 60
)

// BenchmarkTrials queues trials with a trainer that takes no time: one after the other, for the time from the queue to the
// process, and many at once, for how many a slot gets done.
func BenchmarkTrials(b *testing.B) {
	m := harness.Up(b, harness.Dir(b), nil, "--slots", "1")
	q := openTrials(b, m)
	q.visits()
	var starts, rates, busy []float64
	for b.Loop() {
		for range trialAlone {
			id, queued := q.publish()
			p := q.finished(id)
			require.True(b, p.Succeeded, p.Reason)
			starts = append(starts, milliseconds(q.started(id).Sub(queued)))
		}
		var last string
		began, worked := time.Now(), processorTime(b, m.PID())
		for range trialQueued {
			last, _ = q.publish()
		}
		q.finished(last)
		rates = append(rates, trialQueued/time.Since(began).Seconds())
		busy = append(busy, milliseconds(processorTime(b, m.PID())-worked)/trialQueued)
	}
	note(b, figure{Name: "trial: queued → trainer's process, p50", Value: quantile(starts, 0.5), Unit: "queued-p50-ms", Aim: "≤ 10"})
	note(b, figure{Name: "trial: queued → trainer's process, p99", Value: quantile(starts, 0.99), Unit: "queued-p99-ms"})
	note(b, figure{Name: "trial: with a trainer that does nothing, one slot", Value: median(rates), Unit: "trials/s"})
	note(b, figure{Name: "trial: the platform's own processor time", Value: median(busy), Unit: "cpu-ms/trial"})
}

// processorTime is what a process has computed so far, without its children.
func processorTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(b, err, "processor time is read from /proc: run the benchmarks on Linux")
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])) // from the third on
	var user, system int64
	_, err = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	require.NoError(b, err)
	return time.Duration(user+system) * 10 * time.Millisecond // Linux tells hundredths of a second
}

// trials puts trials into the queue of a platform, past the service that plans them.
type trials struct {
	b    *testing.B
	m    *harness.Tidemill
	js   jetstream.JetStream
	spec runtime.Spec
	dir  string // where trainers write down when they started
	n    int
	done chan events.TrialFinished
}

// openTrials prepares a trainer that does nothing but leave a model.
func openTrials(b *testing.B, m *harness.Tidemill) *trials {
	b.Helper()
	q := &trials{b: b, m: m, js: m.Broker(), dir: b.TempDir(), done: make(chan events.TrialFinished, 2*trialQueued)}
	require.NoError(b, os.WriteFile(filepath.Join(q.dir, "model.onnx"), readyModel(), 0o600))
	q.follow()
	return q
}

// visits has trials read a few rows.
func (q *trials) visits() {
	q.b.Helper()
	q.m.Apply(harness.Declared{SegmentRows: 1000, SegmentAge: time.Minute}.DatasetYAML())
	for from := 0; from < trialRows; from += 1000 {
		_, err := client.PublishBatch(q.b.Context(), q.js, "visits", harness.VisitRows(from, from+1000, false), "")
		require.NoError(q.b, err)
	}
	at := func(row int) time.Time { return harness.VisitAt(row, false).At }
	q.spec = runtime.Spec{Cycle: "buyers-1", Model: "buyers", Dataset: "visits", Task: resource.TaskBinary,
		Columns: []resource.Column{{Name: "at", Type: resource.TypeTimestamp, EventTime: true}, {Name: "id", Type: resource.TypeInt64},
			{Name: "pages", Type: resource.TypeFloat64}, {Name: "source", Type: resource.TypeString}, {Name: "spent", Type: resource.TypeFloat64}},
		Features: "pages, source", Label: "spent > 0",
		Train: runtime.Range{To: at(4300)}, Validation: runtime.Range{From: at(4300), To: at(4600)}, Test: runtime.Range{From: at(4600)}}
	harness.Until(q.b, 30*time.Second, "the rows are accepted", func() bool {
		q.spec.Segments = nil
		rows := int64(0)
		for _, s := range harness.Said[events.SegmentAccepted](q.m, events.SegmentAcceptedType) {
			q.spec.Segments = append(q.spec.Segments, s.Segment)
			rows += s.Rows
		}
		return rows == trialRows
	})
}

// follow hears of trials that finish.
func (q *trials) follow() {
	consumer, err := q.js.OrderedConsumer(q.b.Context(), events.StreamFacts, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{events.FactSubject(events.TrialFinishedType, "buyers")}})
	require.NoError(q.b, err)
	hearing, err := consumer.Consume(func(msg jetstream.Msg) {
		var f events.Fact
		if json.Unmarshal(msg.Data(), &f) != nil {
			return
		}
		if p, err := events.PayloadOf[events.TrialFinished](f); err == nil {
			q.done <- p
		}
	})
	require.NoError(q.b, err)
	q.b.Cleanup(hearing.Stop)
}

// publish queues a trial and tells when the broker had it.
func (q *trials) publish() (id string, queued time.Time) {
	q.b.Helper()
	q.n++
	s := q.spec
	s.Trial = fmt.Sprintf("buyers-1-none-%d", q.n)
	// What the shell writes down is a little later than its start: it has to be loaded first.
	script := fmt.Sprintf(`echo $EPOCHREALTIME >%s; cp %s "$SM_MODEL_DIR/model.onnx"`, filepath.Join(q.dir, s.Trial), filepath.Join(q.dir, "model.onnx"))
	s.Candidate = resource.Candidate{Name: "none", Trainer: runtime.TrainerProcess, Command: []string{"bash", "-c", script}, Pool: "default"}
	body, err := json.Marshal(s)
	require.NoError(q.b, err)
	msg := nats.NewMsg(events.JobsSubject(runtime.JobKind, s.Candidate.Pool))
	msg.Data = body
	msg.Header.Set(bus.HeaderJob, s.Trial)
	ack, err := q.js.PublishMsg(q.b.Context(), msg)
	require.NoError(q.b, err)
	stream, err := q.js.Stream(q.b.Context(), events.StreamJobs)
	require.NoError(q.b, err)
	stored, err := stream.GetMsg(q.b.Context(), ack.Sequence)
	if err != nil { // it is done already
		return s.Trial, time.Now()
	}
	return s.Trial, stored.Time
}

// finished waits for a trial's end.
func (q *trials) finished(id string) events.TrialFinished {
	q.b.Helper()
	ctx, cancel := context.WithTimeout(q.b.Context(), time.Minute)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			q.b.Fatalf("the trial %s did not finish", id)
		case p := <-q.done:
			if p.Trial == id {
				return p
			}
		}
	}
}

// started is when the trainer of a trial began.
func (q *trials) started(id string) time.Time {
	q.b.Helper()
	text, err := os.ReadFile(filepath.Join(q.dir, id))
	require.NoError(q.b, err)
	var s, us int64
	_, err = fmt.Sscanf(strings.TrimSpace(string(text)), "%d.%d", &s, &us)
	require.NoError(q.b, err)
	return time.Unix(s, us*1000)
}
