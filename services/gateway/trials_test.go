package gateway_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/workers/runtime"
)

// untar reads a tar.
func untar(t *testing.T, from io.Reader) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for r := tar.NewReader(from); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		out[header.Name], err = io.ReadAll(r)
		require.NoError(t, err)
	}
}

// snapshot asks for what a trainer would see.
func (p *place) snapshot(query url.Values) (map[string][]byte, error) {
	p.t.Helper()
	resp, err := p.api.Do(p.t.Context(), http.MethodGet, modelPath+"/snapshot", query, nil, "")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	require.EqualValues(p.t, resp.ContentLength, len(b), "how much comes is known before")
	return untar(p.t, bytes.NewReader(b)), nil
}

func TestSnapshotIsWhatATrainerSees(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	_, err := p.snapshot(nil)
	refused(t, err, http.StatusConflict, "no accepted rows yet")
	p.segment(1, 0, 240)
	second := p.segment(2, 240, 240)

	files, err := p.snapshot(nil)
	require.NoError(t, err)
	require.Len(t, files, 6)
	schema := func(channel string) (out runtime.Schema) {
		require.NoError(t, json.Unmarshal(files[channel+"/schema.json"], &out))
		return out
	}
	// 480 hours, of which the newest ten days are held out.
	require.Equal(t, 240, schema("train").Rows)
	require.Equal(t, 72, schema("validation").Rows)
	require.Equal(t, []string{"hour", "distance", "origin"}, names(schema("train").Features))
	require.Equal(t, "PAR1", string(files["train/train.parquet"][:4]))
	var spec runtime.Spec
	require.NoError(t, json.Unmarshal(files["trial.json"], &spec))
	require.Equal(t, "logistic", spec.Candidate.Name)

	plan := get[api.Plan](p, modelPath+"/trial", nil)
	require.JSONEq(t, string(files["trial.json"]), string(plan.Spec))
	require.Contains(t, plan.Keys, "PUBLIC KEY")

	files, err = p.snapshot(url.Values{"window": {"sliding 100rows"}})
	require.NoError(t, err)
	require.Equal(t, 100, schema("train").Rows)
	_, err = p.snapshot(url.Values{"window": {"7 moons"}})
	refused(t, err, http.StatusUnprocessableEntity, "7 moons")
	_, err = p.snapshot(url.Values{"candidate": {"logistik"}})
	refused(t, err, http.StatusNotFound, `did you mean "logistic"?`)
	_, err = p.snapshot(url.Values{"version": {"9"}})
	refused(t, err, http.StatusNotFound, "no version")
	_, err = p.snapshot(url.Values{"cycle": {"flight-delay-9"}})
	refused(t, err, http.StatusNotFound, "no cycle")

	require.NoError(t, p.Blobs.Delete(t.Context(), second.Parquet.Key))
	_, err = p.snapshot(nil)
	refused(t, err, http.StatusGone, "no longer stored")
	left, err := os.ReadDir(p.Blobs.Scratch())
	require.NoError(t, err)
	require.Empty(t, left)
}

func names(features []events.Feature) (out []string) {
	for _, f := range features {
		out = append(out, f.Name)
	}
	return out
}

const cycle3, trial3 = "flight-delay-3", "flight-delay-3-logistic-1"

// begun says that a trial runs.
func (p *place) begun() events.Fact {
	p.t.Helper()
	requested := p.say(events.Fact{}, events.CycleRequestedType, "flight-delay", cycle3,
		payload(p.t, events.CycleRequestedType, func(c *events.CycleRequested) { c.Cycle, c.Model, c.Number = cycle3, "flight-delay", 3 }))
	started := p.say(requested, events.TrialStartedType, "flight-delay", cycle3,
		events.TrialStarted{Trial: trial3, Cycle: cycle3, Model: "flight-delay", Candidate: "logistic", Attempt: 1, Worker: "w"})
	p.settle(started)
	return requested
}

func (p *place) printed(requested events.Fact, attempt int, lines ...string) {
	p.t.Helper()
	p.say(requested, events.TrialProgressedType, "flight-delay", cycle3,
		events.TrialProgressed{Trial: trial3, Cycle: cycle3, Model: "flight-delay", Attempt: attempt, Phase: "training", Log: lines})
}

func TestLogOfARunningTrialIsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	requested := p.begun()
	p.printed(requested, 1, "epoch 1", "epoch 2")
	const path = "/api/v1/trials/" + trial3
	b, err := p.bytes(path + "/log")
	require.NoError(t, err)
	require.Equal(t, "epoch 1\nepoch 2\n", string(b))

	resp, err := p.api.Do(t.Context(), http.MethodGet, path+"/log", url.Values{"follow": {"true"}}, nil, "")
	require.NoError(t, err)
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		require.True(t, lines.Scan(), "the log ended: %v", lines.Err())
		return lines.Text()
	}
	require.Equal(t, "epoch 1", next())
	require.Equal(t, "epoch 2", next())
	p.printed(requested, 2, "epoch 1 again")
	require.Equal(t, "tidemill: attempt 2", next())
	require.Equal(t, "epoch 1 again", next())
	p.printed(requested, 2, "the end")
	p.say(requested, events.TrialFinishedType, "flight-delay", cycle3, events.TrialFinished{Trial: trial3, Cycle: cycle3, Model: "flight-delay",
		Candidate: "logistic", Attempt: 2, Reason: "exit code 3", LogTail: []string{"the end"}})
	require.Equal(t, "the end", next())
	require.False(t, lines.Scan(), "the trial has ended")
	require.NoError(t, lines.Err())

	d := get[api.TrialDetail](p, path, nil)
	require.Equal(t, "failed", d.State)
	require.Equal(t, "flight-delay", d.Model)
	require.Equal(t, "exit code 3", d.Result.Reason)
	b, err = p.bytes(path + "/log") // nobody kept more than the last lines
	require.NoError(t, err)
	require.Equal(t, "the end\n", string(b))
}

func TestKeptLogIsSentWhole(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	requested := p.begun()
	text := strings.Repeat("a line\n", 10_000)
	log, err := p.Blobs.PutBytes(t.Context(), "trials/"+trial3+"/1/log.txt", []byte(text))
	require.NoError(t, err)
	p.settle(p.say(requested, events.TrialFinishedType, "flight-delay", cycle3, events.TrialFinished{Trial: trial3, Cycle: cycle3, Model: "flight-delay",
		Candidate: "logistic", Attempt: 1, Succeeded: true, Log: &log, LogTail: []string{"a line"}}))
	b, err := p.bytes("/api/v1/trials/" + trial3 + "/log")
	require.NoError(t, err)
	require.Equal(t, text, string(b))
	for _, name := range []string{"flight-delay", "flight-delay-3", "flight-delay-x-logistic-1", "flight-delay-4-logistic-1", "other-3-logistic-1"} {
		_, err := call.Get[api.TrialDetail](t.Context(), p.api, "/api/v1/trials/"+name, nil)
		refused(t, err, http.StatusNotFound, "there is no trial")
	}
}
