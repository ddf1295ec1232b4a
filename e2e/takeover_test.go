package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/events/client"
	"github.com/tidemill/tidemill/services/api"
)

// takeoverWithin is how soon a standby must have the lease of a holder that was killed: the lease's own time to live of 3 s, a
// second for the broker to notice, and what a busy machine takes.
const takeoverWithin = 8 * time.Second

// apart is a platform of which one service runs twice, in processes of its own.
type apart struct {
	*harness.Tidemill
	service string
	twins   map[string]*harness.Process // by process id, as leases name them
}

// startApart starts everything but one service in one process, and that service in two more.
func startApart(t *testing.T, service string) *apart {
	t.Helper()
	targets := []string{"gateway", "ingestion", "validation", "monitoring", "retraining", "training", "worker", "evaluation", "deployment", "serving"}
	targets = slices.DeleteFunc(targets, func(s string) bool { return s == service })
	m := harness.Up(t, harness.Dir(t), nil, "--target", strings.Join(targets, ","))
	a := &apart{Tidemill: m, service: service, twins: map[string]*harness.Process{}}
	for i := range 2 {
		p := harness.Start(t, harness.Env(m.Home), "up", "--target", service,
			"--nats-url", m.Endpoint.NATS, "--nats-token", m.Endpoint.NATSToken, "--blob-url", "file://"+filepath.Join(m.Dir, "blobs"),
			"--data-dir", filepath.Join(m.Home, fmt.Sprintf("twin-%d", i)))
		a.twins[fmt.Sprint(p.PID())] = p
	}
	return a
}

// holder is the twin that has the lease now, "" when nobody has it.
func (a *apart) holder() string {
	lease := harness.Get[api.Status](a.Tidemill, "/api/v1/status", nil).Leases[a.service]
	return lease[strings.LastIndexByte(lease, '-')+1:]
}

// killHolder kills the working twin as a power cut would and returns how long the other took to take over.
func (a *apart) killHolder(t *testing.T) time.Duration {
	t.Helper()
	first := a.holder()
	require.Contains(t, a.twins, first, "the lease of %s is not one of the twins'", a.service)
	killed := time.Now()
	a.twins[first].Signal(syscall.SIGKILL)
	harness.Until(t, takeoverWithin, "the standby has the lease of "+a.service, func() bool {
		now := a.holder()
		return now != "" && now != first
	})
	took := time.Since(killed)
	require.Contains(t, a.twins, a.holder())
	t.Logf("%s: taken over after %s", a.service, took.Round(10*time.Millisecond))
	return took
}

// TestRetrainingIsTakenOver kills the deciding one of two retraining processes in the middle of a cycle.
func TestRetrainingIsTakenOver(t *testing.T) {
	t.Parallel()
	a := startApart(t, "retraining")
	harness.Until(t, 20*time.Second, "one twin holds the lease", func() bool { return a.holder() != "" })
	a.Apply(harness.Declared{}.YAML())
	js := a.Broker()
	publish := func(from, to int) {
		for ; from < to; from += 500 {
			_, err := client.PublishBatch(t.Context(), js, "visits", harness.VisitRows(from, from+500, false), fmt.Sprint(from))
			require.NoError(t, err)
		}
	}
	publish(0, 2000)
	harness.Until(t, 30*time.Second, "the first cycle is requested", func() bool { return len(a.Facts(events.CycleRequestedType)) > 0 })
	a.killHolder(t)
	publish(2000, 4000)
	d, model := a.Settled("visits", "buyers", 4000, 60*time.Second)
	require.EqualValues(t, 4000, d.Accepted)
	everyCycleEndedOnce(t, a.Tidemill, model)
	require.GreaterOrEqual(t, len(a.Facts(events.CycleRequestedType)), 2, "the second process has decided nothing")
}

// TestIngestionIsTakenOver kills the working one of two ingestion processes while rows stream in.
func TestIngestionIsTakenOver(t *testing.T) {
	t.Parallel()
	a := startApart(t, "ingestion")
	harness.Until(t, 20*time.Second, "one twin holds the lease", func() bool { return a.holder() != "" })
	a.Apply(harness.Declared{SegmentRows: 400}.YAML())
	js := a.Broker()
	sent := make(chan error, 1)
	halfway := make(chan struct{})
	go func() {
		for from := 0; from < killRows; from += 50 {
			if from == killRows/3/50*50 {
				close(halfway)
			}
			if _, err := client.PublishBatch(t.Context(), js, "visits", harness.VisitRows(from, from+50, true), fmt.Sprint(from)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	<-halfway
	harness.Until(t, 20*time.Second, "the first segments are written", func() bool { return a.Dataset("visits").Segments > 0 })
	a.killHolder(t)
	require.NoError(t, <-sent)
	d, _ := a.Settled("visits", "buyers", killRows, 60*time.Second)
	nothingLostOrDoubled(t, a.Tidemill, d)
}
