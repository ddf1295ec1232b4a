package resource_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

var update = flag.Bool("update", false, "rewrite the golden files: go test ./core/resource -update")

const flights = "../../examples/flights/tidemill.yaml"

// TestWrongFilesAreExplained compares the errors of each wrong file with the golden text beside it.
func TestWrongFilesAreExplained(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/wrong/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 20)
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".yaml"), func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(f)
			require.NoError(t, err)
			rs, err := resource.Parse(src, filepath.Base(f))
			require.Error(t, err)
			require.Empty(t, rs)
			var all resource.Errors
			require.ErrorAs(t, err, &all)
			for _, e := range all {
				require.Positive(t, e.Line, e)
				require.Positive(t, e.Column, e)
				require.LessOrEqual(t, e.Line, strings.Count(string(src), "\n")+1, e)
			}
			golden(t, strings.TrimSuffix(f, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "if this is better, run: go test ./core/resource -update")
}

func load(t testing.TB, file string) []resource.Resource {
	t.Helper()
	rs, err := resource.Load(file)
	require.NoError(t, err)
	return rs
}

func TestFlights(t *testing.T) {
	t.Parallel()
	rs := load(t, flights)
	require.Len(t, rs, 3)
	require.NoError(t, resource.CrossCheck(rs))

	d := rs[0].Dataset
	require.Equal(t, "date", d.EventTime())
	require.True(t, d.Columns[0].Required, "the event time is always required")
	require.Equal(t, -120.0, *d.Columns[1].Min)

	m := rs[1].Model
	require.Equal(t, resource.TaskBinary, m.Task)
	require.Equal(t, 7*24*time.Hour, m.Split.Test.Std())
	require.Equal(t, resource.Duration(0), m.Split.Gap)
	require.Equal(t, map[string]any{"l2": 1.0}, m.Candidates[0].Params)
	require.Equal(t, "default", m.Candidates[0].Pool)
	require.Empty(t, m.Candidates[0].Format, "the format is for processes")
	require.Equal(t, time.Hour, m.Candidates[0].Resources.Time.Std())
	require.Equal(t, int64(200), m.Evaluation.MinRows)

	p := rs[2].Policy
	require.Equal(t, resource.ModeAuto, p.Mode)
	require.Equal(t, resource.ClockEvent, p.Clock)
	require.True(t, p.Window.Expanding())
	require.Len(t, p.When.Any, 4)
	require.Equal(t, "3%", p.When.Any[1].Performance.WorseBy)
	require.Equal(t, int64(500), p.When.Any[1].Performance.MinRows)
	require.Equal(t, 2*time.Hour, p.Guardrails.Deadline.Std())
}

const minimal = `
apiVersion: tidemill.dev/v1
kind: Dataset
metadata: {name: d}
spec:
  columns: [{name: t, type: timestamp, eventTime: true}]
---
apiVersion: tidemill.dev/v1
kind: Model
metadata: {name: m}
spec:
  dataset: d
  task: regression
  features: &f x
  label: *f
  split: {validation: 1d, test: 2d}
  candidates:
    - &c {name: a, trainer: process, command: [./train]}
    - {<<: *c, name: b}
  evaluation: {gates: [{metric: rmse, versus: champion}]}
---
apiVersion: tidemill.dev/v1
kind: RetrainingPolicy
metadata: {name: m}
spec:
  model: m
  when: {any: [{performance: {metric: rmse, worseBy: 0.02}}, {drift: {}}]}
`

func TestDefaults(t *testing.T) {
	t.Parallel()
	rs, err := resource.Parse([]byte(minimal), "minimal.yaml")
	require.NoError(t, err)
	d := rs[0].Dataset
	require.Equal(t, resource.Clock{Lateness: 0, MaxFuture: dur(10 * time.Minute)}, d.Clock)
	require.Equal(t, resource.SegmentSpec{MaxRows: 50000, MaxAge: dur(time.Minute)}, d.Segment)
	require.Equal(t, "quarantine", d.OnViolation)
	m := rs[1].Model
	require.Equal(t, "x", m.Label, "aliases work")
	require.Equal(t, []string{"./train"}, m.Candidates[1].Command, "merged mappings work")
	require.Equal(t, "b", m.Candidates[1].Name)
	require.Equal(t, "parquet", m.Candidates[0].Format)
	require.Equal(t, "rmse", m.Evaluation.Primary)
	require.Equal(t, 0.95, m.Evaluation.Gates[0].Confidence)
	require.Equal(t, "direct", m.Rollout.Strategy)
	require.Equal(t, "time", m.Split.By)
	p := rs[2].Policy
	require.Equal(t, resource.PerformanceTrigger{Metric: "rmse", WorseBy: "0.02", Window: dur(7 * 24 * time.Hour), Than: "atPromotion", MinRows: 500}, *p.When.Any[0].Performance)
	require.Equal(t, resource.DriftTrigger{Window: dur(7 * 24 * time.Hour), MinRows: 1000}, *p.When.Any[1].Drift)
	require.Equal(t, resource.Guardrails{MaxConcurrent: 1, Deadline: dur(2 * time.Hour)}, p.Guardrails)
	require.True(t, p.Window.Expanding())
}

func dur(d time.Duration) resource.Duration { return resource.Duration(d) }

func TestWindows(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"{expanding: {}}": "expanding", "{sliding: {duration: 7d}}": "sliding 7d",
		"{sliding: {rows: 5000}}": "sliding 5000rows", "{sliding: {segments: 12}}": "sliding 12segments",
	} {
		rs, err := resource.Parse([]byte(strings.Replace(policy, "WINDOW", yaml, 1)), "p.yaml")
		require.NoError(t, err, yaml)
		require.Equal(t, want, rs[0].Policy.Window.String())
	}
}

const policy = `
apiVersion: tidemill.dev/v1
kind: RetrainingPolicy
metadata: {name: m}
spec: {model: m, when: {maxAge: 1d}, window: WINDOW}
`

func TestLoadFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	_, err := resource.Load(dir)
	require.ErrorContains(t, err, "no .yaml file")
	_, err = resource.Load(filepath.Join(dir, "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)

	write("a.yaml", minimal)
	write("README.md", "not: [yaml")
	require.Len(t, load(t, dir), 3)

	write("b.yml", strings.Replace(policy, "WINDOW", "{expanding: {}}", 1))
	_, err = resource.Load(dir)
	var all resource.Errors
	require.ErrorAs(t, err, &all)
	require.Len(t, all, 1)
	require.Contains(t, all[0].Error(), "b.yml:4:18: RetrainingPolicy m is declared twice")
	require.Contains(t, all[0].Hint, "a.yaml:24:18")
}

func TestErrorsOfAPIRequestsHavePaths(t *testing.T) {
	t.Parallel()
	r := load(t, flights)[1]
	broken := strings.Replace(string(r.Canonical), `"metric":"auc"`, `"metric":"acu"`, 1)
	_, err := resource.FromJSON([]byte(broken))
	var all resource.Errors
	require.ErrorAs(t, err, &all)
	require.Equal(t, resource.Errors{{Path: "spec.evaluation.gates[0].metric",
		Message: `spec.evaluation.gates[0].metric: "acu" is not a metric`, Hint: `did you mean "auc"?`}}, all)
	for _, s := range []string{"", "{", "[]", "1", "{} {}", `{"kind":"Model"}`, `{"kind":1e99999999}`} {
		_, err := resource.FromJSON([]byte(s))
		require.Error(t, err, s)
		require.True(t, errors.As(err, &all), s)
	}
}

func TestAtPlacesOtherRoomsFindings(t *testing.T) {
	t.Parallel()
	rs := load(t, flights)
	e := rs[1].At("spec.label", "no such column", "")
	require.Equal(t, flights, e.File)
	require.Equal(t, 32, e.Line)
	again, err := resource.FromJSON(rs[1].Canonical)
	require.NoError(t, err)
	require.Equal(t, "spec.label: x", again.At("spec.label", "x", "").Error())
}

func TestParseWorseBy(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]float64{"3%": 0.03, " 12.5 %": 0.125, "0.02": 0.02, "1e-3": 0.001} {
		by, relative, err := resource.ParseWorseBy(s)
		require.NoError(t, err, s)
		require.InDelta(t, want, by, 1e-12)
		require.Equal(t, strings.Contains(s, "%"), relative)
	}
	for _, s := range []string{"", "%", "x", "-1%", "0", "NaN", "Inf", "3%%"} {
		_, _, err := resource.ParseWorseBy(s)
		require.Error(t, err, s)
	}
}

func TestNamesAreTheVocabularys(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "A", "a_b", "a-1", strings.Repeat("x", 63), strings.Repeat("x", 64), "a.b", "ä"} {
		_, err := resource.Parse([]byte(strings.Replace(minimal, "{name: d}", "{name: "+name+"}", 1)), "f")
		require.Equal(t, events.ValidName(name) == nil, err == nil, name)
	}
}
