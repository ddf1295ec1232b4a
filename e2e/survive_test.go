package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
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

// setting reads a number of the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

const (
	survivors      = 3 // models, and so cycles at once
	survivorTrials = 2 // of each cycle
	survivorSteps  = 6
	survivorRows   = 600 // that call for the next cycle
)

// TestKilledAgainAndAgainEveryTrialEndsOnce kills trainers, workers and the platform at random while cycles run. 'make soak' does
// so at length. TIDEMILL_SEED repeats a run as well as time allows.
func TestKilledAgainAndAgainEveryTrialEndsOnce(t *testing.T) {
	t.Parallel()
	seed := setting(t, "TIDEMILL_SEED", int(time.Now().UnixNano()%1_000_000))
	cycles, kills := setting(t, "TIDEMILL_CYCLES", 6), setting(t, "TIDEMILL_KILLS", 18)
	t.Logf("seed %d: %d kills over %d cycles (repeat it with TIDEMILL_SEED=%d)", seed, kills, cycles, seed)
	began := time.Now()
	k := &killer{mill: newMill(t, "--drain", "300ms"), random: rand.New(rand.NewPCG(uint64(seed), 0)), kills: map[string]int{}}
	for range 3 {
		k.workers = append(k.workers, k.worker())
	}
	rounds := cycles / survivors
	declared := harness.Declared{Initial: 2 * survivorRows, NewRows: survivorRows, SegmentRows: survivorRows, Gates: "{metric: auc, min: 0.5}",
		Candidates: k.candidates(survivorTrials, survivorSteps, "open")}
	yaml := declared.DatasetYAML()
	for i := range survivors {
		declared.Model = fmt.Sprintf("mill-%d", i+1)
		yaml += "---\n" + declared.ModelYAML() + "---\n" + declared.PolicyYAML()
	}
	k.platform.Apply(yaml)
	// The first cycle needs more rows: those of the hold-out lie before its training rows.
	for round := range rounds {
		from, to := survivorRows*(round+1), survivorRows*(round+2)
		if round == 0 {
			from = 0
		}
		_, err := client.PublishBatch(t.Context(), k.platform.Broker(), "visits", harness.VisitRows(from, to, false), fmt.Sprint("round-", round))
		require.NoError(t, err)
		k.round(t, round+1, kills*(round+1)/rounds)
	}
	k.check(t, rounds)
	k.close()
	t.Logf("seed %d: %d cycles, %d kills (%v) in %s", seed, cycles, k.total(), k.kills, time.Since(began).Round(time.Second))
}

// round kills until that many were killed, and waits until each model has ended so many cycles.
func (k *killer) round(t *testing.T, cycles, kills int) {
	t.Helper()
	end := time.Now().Add(3 * time.Minute)
	for {
		require.True(t, time.Now().Before(end), "round %d doesn't end; %v", cycles, k.kills)
		for i, w := range k.workers {
			select {
			case <-w.Done():
				// One that starts when the broker goes away ends, and says so.
				require.NotContains(t, w.Log(), `"msg":"ready"`, "a worker ended by itself (exit code %d)", w.ExitCode())
				k.workers[i] = k.worker()
			default:
			}
		}
		ended := 0
		for i := range survivors {
			all := k.platform.Cycles(fmt.Sprintf("mill-%d", i+1))
			if len(all) >= cycles && all[0].State == "ended" {
				ended++
			}
		}
		switch {
		case k.total() < kills && ended < survivors:
			k.kill()
		case k.total() < kills && len(k.trainers()) == 0:
			k.kill() // of a platform at rest: it must not do anything again
		case ended == survivors:
			return
		}
		<-time.After(time.Duration(100+k.random.IntN(500)) * time.Millisecond)
	}
}

var resumedFrom = regexp.MustCompile(`^tidemill: resumed from checkpoint \d+ of attempt \d+\nbegin after step (\d+)\n`)

// check looks for anything lost or done twice.
func (k *killer) check(t *testing.T, rounds int) {
	t.Helper()
	m := k.platform
	cycles := survivors * rounds
	requested := harness.Said[events.CycleRequested](m, events.CycleRequestedType)
	require.Len(t, requested, cycles)
	ends := map[string]string{}
	for _, e := range harness.Said[events.CycleEnded](m, events.CycleEndedType) {
		require.Empty(t, ends[e.Cycle], "%s ended twice", e.Cycle)
		ends[e.Cycle] = e.Outcome
		require.Equal(t, events.OutcomePromoted, e.Outcome, "%s: %s", e.Cycle, e.Reason)
	}
	require.Len(t, ends, cycles)

	said := map[string]events.Fact{} // by trial
	attempts, resumed := 0, 0
	for _, f := range m.Facts(events.TrialFinishedType) {
		p, err := events.PayloadOf[events.TrialFinished](f)
		require.NoError(t, err)
		if before, ok := said[p.Trial]; ok {
			require.Equal(t, before.ID, f.ID, "two results of %s", p.Trial)
			require.JSONEq(t, string(before.Data), string(f.Data), "one result of %s, said in two ways", p.Trial)
			continue
		}
		said[p.Trial] = f
		require.True(t, p.Succeeded, "%s: %s", p.Trial, p.Reason)
		attempts += p.Attempt
		begin, steps := 0, k.log(p)
		if found := resumedFrom.FindStringSubmatch(steps); found != nil {
			begin, err = strconv.Atoi(found[1])
			require.NoError(t, err)
			require.Positive(t, begin, "%s was resumed from nothing", p.Trial)
			resumed++
		} else {
			require.True(t, strings.HasPrefix(steps, "begin after step 0\n"), steps)
		}
		require.Equal(t, survivorSteps-begin, strings.Count(steps, "\nstep "), "%s begins where it was:\n%s", p.Trial, steps)
	}
	require.Len(t, said, cycles*survivorTrials, "trials with a result")
	require.Positive(t, resumed, "no trial was resumed: nothing was tried")
	require.Greater(t, attempts, len(said))
	require.Empty(t, harness.Get[api.List[api.Dead]](m, "/api/v1/dead", nil).Items, "dead letters")
	harness.Until(t, 20*time.Second, "no checkpoint is left", func() bool { return len(k.checkpoints()) == 0 })
	t.Logf("%d trials took %d attempts, %d ended in one that was resumed", len(said), attempts, resumed)
}

// TestTrialIsHandedOn: a worker that drains hands its trial to the next, one that falls silent loses it to a third, and can't
// take it back.
func TestTrialIsHandedOn(t *testing.T) {
	t.Parallel()
	m := newMill(t)
	gate := t.TempDir() + "/gate"
	first := m.worker("--drain", "200ms")
	m.platform.Apply(harness.Declared{Gates: "{metric: auc, min: 0.5}", Candidates: m.candidates(1, 2, gate)}.YAML())
	_, err := client.PublishBatch(t.Context(), m.platform.Broker(), "visits", harness.VisitRows(0, 2000, false), "rows")
	require.NoError(t, err)
	stored := func(attempt int) {
		t.Helper()
		harness.Until(t, 30*time.Second, fmt.Sprint("attempt ", attempt, " runs and has a checkpoint"), func() bool {
			running := m.trainers()
			return len(running) > 0 && running[0].attempt == attempt && len(m.checkpoints()) == 1
		})
	}
	stored(1)
	second := m.worker()
	workers := func() map[string]api.Worker {
		out := map[string]api.Worker{}
		for _, w := range harness.Get[api.List[api.Worker]](m.platform, "/api/v1/workers", nil).Items {
			out[w.Name[strings.LastIndexByte(w.Name, '-')+1:]] = w
		}
		return out
	}
	harness.Until(t, 20*time.Second, "both workers are seen", func() bool { return len(workers()) == 2 })
	require.Equal(t, 1, workers()[fmt.Sprint(first.PID())].Busy)
	require.Contains(t, m.platform.Must("get", "workers"), "working")
	require.Zero(t, first.Stop(), first.Log())
	stored(2)
	harness.Until(t, 5*time.Second, "one worker is left", func() bool { return len(workers()) == 1 })

	second.Signal(syscall.SIGSTOP)
	silent := time.Now()
	third := m.worker()
	harness.Until(t, 30*time.Second, "the third worker has the trial", func() bool { return len(m.platform.Facts(events.TrialStartedType)) == 3 })
	t.Logf("replaced %s after it fell silent", time.Since(silent).Round(10*time.Millisecond))
	require.NoError(t, os.WriteFile(gate, nil, 0o600)) // the trainer of the stopped worker ends too
	second.Signal(syscall.SIGCONT)
	harness.Until(t, 30*time.Second, "the cycle has ended", func() bool {
		all := m.platform.Cycles("buyers")
		return len(all) == 1 && all[0].State == "ended"
	})
	finished := harness.Said[events.TrialFinished](m.platform, events.TrialFinishedType)
	require.Len(t, finished, 1)
	require.True(t, finished[0].Succeeded, finished[0].Reason)
	require.Equal(t, 3, finished[0].Attempt)
	require.True(t, strings.HasSuffix(finished[0].Worker, fmt.Sprint("-", third.PID())), "%s, not the one that fell silent", finished[0].Worker)
	require.Regexp(t, resumedFrom, m.log(finished[0]))
	harness.Until(t, 20*time.Second, "the stopped worker has given up", func() bool {
		now := workers()
		return now[fmt.Sprint(second.PID())].Busy == 0 && len(now) == 2
	})
	m.workers = []*harness.Process{second, third}
	m.close()
}
