package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

// TestAModelOfYourOwn walks the README's five minutes and the days after with the command line alone, in the order of a person.
func TestAModelOfYourOwn(t *testing.T) {
	t.Parallel()
	m := harness.Up(t, harness.Dir(t), nil)
	declareByInit(t, m)

	hook := startHook(t, m)
	first := writeRows(t, m, "first.ndjson", 0, 3000)
	out := m.Must("publish", "visits", first)
	require.Contains(t, out, "3,000", "rows that were accepted")
	waitForVersion(t, m, "1")
	require.Contains(t, m.Must("get", "models"), "visits")
	require.Contains(t, m.Must("get", "model", "visits", "-o", "yaml"), "champion")
	watchShowsTheCycle(t, m)

	predictAFile(t, m)
	why := m.Must("why", "visits")
	require.Contains(t, why, "visits-1", "why names the cycle")
	require.Contains(t, m.Must("why-not", "visits"), "new", "why-not says what the policy waits for")

	swapWhileServing(t, m)
	durableHook(t, m, hook)
	quarantineByHand(t, m)
	var dead api.List[api.Dead]
	require.NoError(t, json.Unmarshal([]byte(m.Must("dead", "list", "-o", "json")), &dead))
	require.Empty(t, dead.Items)
	deleteAll(t, m)

	began := time.Now()
	require.Zero(t, m.Stop(), "exit code of a clean stop:\n%s", m.Log())
	require.Less(t, time.Since(began), 10*time.Second)
	require.NoFileExists(t, filepath.Join(m.Dir, "endpoint.json"), "a stopped platform is not found")
}

// declareByInit infers the declarations from a file, as a person edits them, and applies them twice.
func declareByInit(t *testing.T, m *harness.Tidemill) {
	t.Helper()
	sample := writeRows(t, m, "visits.ndjson", 0, 3000)
	yaml := m.Must("init", sample, "--time", "at", "--label", "spent > 0")
	require.Contains(t, yaml, "nonInferiority: 0.002")
	// Few rows judge in a story: a wider margin keeps the gate conclusive.
	yaml = strings.Replace(yaml, "nonInferiority: 0.002", "nonInferiority: 0.2", 1)
	file := filepath.Join(m.Home, "visits.yaml")
	require.NoError(t, os.WriteFile(file, []byte(yaml), 0o600))
	require.Contains(t, m.Must("diff", "-f", file), "visits")
	require.Equal(t, 3, strings.Count(m.Must("apply", "-f", file), "created"))
	require.Equal(t, 3, strings.Count(m.Must("apply", "-f", file), "unchanged"))
	require.Len(t, m.Facts(events.ResourceAppliedType), 3, "applying twice changes nothing")
}

func writeRows(t *testing.T, m *harness.Tidemill, name string, from, to int) string {
	t.Helper()
	path := filepath.Join(m.Home, name)
	require.NoError(t, os.WriteFile(path, []byte(harness.VisitsNDJSON(from, to, false)), 0o600))
	return path
}

func waitForVersion(t *testing.T, m *harness.Tidemill, version string) {
	t.Helper()
	harness.Eventually(t, 40*time.Second, "version "+version+" is champion", func() error {
		model := m.Model("visits")
		if model.Champion == nil || model.Champion.Version.Version != version || model.Cycle != nil {
			return fmt.Errorf("champion %+v, cycles %v, open cycle %+v", model.Champion, model.Cycles, model.Cycle)
		}
		return nil
	})
}

// watchShowsTheCycle reads what watch shows and leaves.
func watchShowsTheCycle(t *testing.T, m *harness.Tidemill) {
	t.Helper()
	p := harness.Start(t, harness.Env(m.Home, "TIDEMILL_DATA_DIR="+m.Dir), "watch", "visits")
	harness.Until(t, 15*time.Second, "watch shows the cycle", func() bool { return strings.Contains(p.Log(), "visits-1") })
	p.Signal(os.Interrupt)
	harness.Until(t, 10*time.Second, "watch ends on interrupt", func() bool {
		select {
		case <-p.Done():
			return true
		default:
			return false
		}
	})
}

// predictAFile scores a file in each format of output.
func predictAFile(t *testing.T, m *harness.Tidemill) {
	t.Helper()
	rows := writeRows(t, m, "new.ndjson", 5000, 5100)
	out := filepath.Join(m.Home, "scored.csv")
	m.Must("predict", "visits", rows, "-o", out)
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	require.Len(t, lines, 101, "a header and 100 rows:\n%s", b)
	m.Must("predict", "visits", rows, "-o", filepath.Join(m.Home, "scored.parquet"))
	b, err = os.ReadFile(filepath.Join(m.Home, "scored.parquet"))
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(b, []byte("PAR1")), "no Parquet")
}

const oneVisit = `{"parameters":{"input":"columns"},"inputs":[{"name":"at","datatype":"BYTES","shape":[1],"data":["2024-03-02T07:00:00Z"]},` +
	`{"name":"id","datatype":"INT64","shape":[1],"data":[1]},{"name":"pages","datatype":"FP64","shape":[1],"data":[12]},` +
	`{"name":"source","datatype":"BYTES","shape":[1],"data":["ad"]}]}`

// swapWhileServing retrains and rolls back under load: not one request may fail.
func swapWhileServing(t *testing.T, m *harness.Tidemill) {
	t.Helper()
	stop, ended := make(chan struct{}), make(chan error, 1)
	var asked atomic.Int64
	versions := map[string]int{}
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			version, err := infer(m.Endpoint.HTTP)
			if err != nil {
				ended <- fmt.Errorf("request %d: %w", asked.Load(), err)
				return
			}
			versions[version]++
			asked.Add(1)
		}
	}()
	harness.Until(t, 20*time.Second, "requests are answered", func() bool { return asked.Load() > 100 })
	m.Must("publish", "visits", writeRows(t, m, "second.ndjson", 3000, 3700))
	require.Contains(t, m.Must("retrain", "visits", "--wait"), "promoted")
	waitForVersion(t, m, "2")
	at := asked.Load()
	harness.Until(t, 20*time.Second, "requests are answered by the new version", func() bool { return asked.Load() > at+500 })
	m.Must("rollback", "visits", "--to", "1")
	waitForVersion(t, m, "1")
	at = asked.Load()
	harness.Until(t, 20*time.Second, "requests are answered after the rollback", func() bool { return asked.Load() > at+500 })
	close(stop)
	require.NoError(t, <-ended, "a request failed while versions changed")
	require.Positive(t, versions["1"])
	require.Positive(t, versions["2"], "the new version has answered nothing: %v", versions)
	require.Contains(t, m.Must("why", "visits"), "roll", "why tells of the rollback")
}

// infer asks for one row and returns the version that answered.
func infer(base string) (string, error) {
	resp, err := http.Post(base+"/v2/models/visits/infer", "application/json", strings.NewReader(oneVisit))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var out struct {
		Version string `json:"model_version"`
		Error   string `json:"error"`
		Outputs []struct {
			Data []any `json:"data"`
		} `json:"outputs"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK || len(out.Outputs) == 0 || len(out.Outputs[0].Data) == 0 {
		return "", fmt.Errorf("%s: %s", resp.Status, out.Error)
	}
	return out.Version, nil
}

// hook is a command that runs for each model.ready.
type hook struct {
	process *harness.Process
	file    string
	args    []string
}

func startHook(t *testing.T, m *harness.Tidemill) *hook {
	t.Helper()
	h := &hook{file: filepath.Join(m.Home, "ready.jsonl")}
	script := filepath.Join(m.Home, "on-ready.sh")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\ncat >>"+h.file+"\n"), 0o700))
	h.args = []string{"subscribe", "model.ready", "--model", "visits", "--durable", "hook", "--since", "1", "--exec", script}
	h.process = harness.Start(t, harness.Env(m.Home, "TIDEMILL_DATA_DIR="+m.Dir), h.args...)
	return h
}

// heard are the versions that the hook was run for, with the reason, in order.
func (h *hook) heard(t *testing.T) (out []string) {
	t.Helper()
	b, err := os.ReadFile(h.file)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		var f events.Fact
		require.NoError(t, json.Unmarshal(lines.Bytes(), &f), lines.Text())
		ready, err := events.PayloadOf[events.ModelReady](f)
		require.NoError(t, err)
		out = append(out, ready.Version.Version+" "+ready.Reason)
	}
	return out
}

// durableHook stops the hook, lets a version become ready without it, and starts it again: it misses none and sees none twice.
func durableHook(t *testing.T, m *harness.Tidemill, h *hook) {
	t.Helper()
	want := []string{"1 promoted", "2 promoted", "1 rolledBack"}
	harness.Until(t, 20*time.Second, "the hook has run for each champion", func() bool { return len(h.heard(t)) == len(want) })
	require.Equal(t, want, h.heard(t))
	require.Zero(t, h.process.Stop())
	// 1,400 rows are new since the version that was put back: the policy retrains by itself.
	m.Must("publish", "visits", writeRows(t, m, "third.ndjson", 3700, 4400))
	waitForVersion(t, m, "3")
	h.process = harness.Start(t, harness.Env(m.Home, "TIDEMILL_DATA_DIR="+m.Dir), h.args...)
	harness.Until(t, 20*time.Second, "the hook has run for what it missed", func() bool { return len(h.heard(t)) > len(want) })
	require.Equal(t, append(want, "3 promoted"), h.heard(t))
}

// quarantineByHand lets one refused row in and drops another.
func quarantineByHand(t *testing.T, m *harness.Tidemill) {
	t.Helper()
	before := m.Dataset("visits")
	for i, id := range []int{9001, 9002} {
		row := fmt.Sprintf(`{"at":"2024-03-04T12:0%d:00Z","id":%d,"pages":-1,"source":"ad","spent":0}`, i, id)
		file := filepath.Join(m.Home, fmt.Sprintf("bad-%d.ndjson", i))
		require.NoError(t, os.WriteFile(file, []byte(row+"\n"), 0o600))
		out := m.Run("publish", "visits", file)
		require.Zero(t, out.Code, out.Stderr)
	}
	var held api.List[api.Quarantine]
	require.NoError(t, json.Unmarshal([]byte(m.Must("quarantine", "list", "visits", "-o", "json")), &held))
	require.Len(t, held.Items, 2)
	require.Contains(t, m.Must("quarantine", "list", "visits"), "belowMin")
	release, drop := fmt.Sprint(held.Items[0].Ordinal), fmt.Sprint(held.Items[1].Ordinal)
	m.Must("quarantine", "release", "visits", release)
	m.Must("quarantine", "drop", "visits", drop)
	harness.Eventually(t, 20*time.Second, "the released row is accepted", func() error {
		if d := m.Dataset("visits"); d.Accepted != before.Accepted+1 {
			return fmt.Errorf("%d accepted before, %d now", before.Accepted, d.Accepted)
		}
		return nil
	})
	again := m.Run("quarantine", "release", "visits", release)
	require.Equal(t, failed, again.Code, "released twice: %s", again.Stdout)
	states := map[string]int{}
	for _, q := range harness.Get[api.List[api.Quarantine]](m, "/api/v1/datasets/visits/quarantine", nil).Items {
		states[q.State]++
	}
	require.Equal(t, map[string]int{"released": 1, "dropped": 1}, states)
}

func deleteAll(t *testing.T, m *harness.Tidemill) {
	t.Helper()
	refused(t, m.Run("delete", "dataset", "visits"), failed, "visits")
	m.Must("delete", "policy", "visits")
	m.Must("delete", "model", "visits")
	m.Must("delete", "dataset", "visits")
	refused(t, m.Run("get", "model", "visits"), failed, "visits")
	_, err := infer(m.Endpoint.HTTP)
	harness.Until(t, 10*time.Second, "a deleted model is not served", func() bool {
		_, err = infer(m.Endpoint.HTTP)
		return err != nil
	})
}
