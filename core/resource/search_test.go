package resource_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
)

const searched = `
apiVersion: tidemill.dev/v1
kind: Model
metadata: {name: m}
spec:
  dataset: d
  task: regression
  features: x
  label: y
  split: {validation: 1d, test: 2d}
  candidates: [{name: a, trainer: process, command: [./train], search: SEARCH}]
`

func searchOf(t *testing.T, yaml string) *resource.Search {
	t.Helper()
	rs, err := resource.Parse([]byte(strings.Replace(searched, "SEARCH", yaml, 1)), "search.yaml")
	require.NoError(t, err)
	again, err := resource.FromJSON(rs[0].Canonical)
	require.NoError(t, err)
	require.Equal(t, rs[0].Digest, again.Digest)
	require.Equal(t, rs[0].Model, again.Model)
	back, err := resource.ToYAML(rs[0])
	require.NoError(t, err)
	parsed, err := resource.Parse(back, "back.yaml")
	require.NoError(t, err, string(back))
	require.Equal(t, rs[0].Digest, parsed[0].Digest, string(back))
	return rs[0].Model.Candidates[0].Search
}

func TestSearch(t *testing.T) {
	t.Parallel()
	s := searchOf(t, `{method: tpe, trials: 12, time: 30m, space: {a: {int: [15.0, 127]}, b: {log: [0.01, 3e-1]},
		c: {float: [0.5, 1], step: 0.1}, d: {logInt: [1, 64]}, e: {choice: [gbdt, 1, 0.5, true]}, f: {int: [0, 10], step: 5}},
		earlyStop: {metric: auc, goal: maximize}}`)
	tiny := searchOf(t, `{method: tpe, trials: 3, space: {a: {log: [1e-5, 1.5E+1]}, b: {choice: ["1e-5", 1e-5, 'x']}}}`)
	require.Equal(t, &[2]float64{1e-5, 15}, tiny.Space["a"].Log)
	require.Equal(t, []any{"1e-5", 1e-5, "x"}, tiny.Space["b"].Choice)
	half := resource.Duration(30 * time.Minute)
	require.Equal(t, &resource.Search{
		Method: resource.SearchTPE, Trials: 12, Time: &half, Parallel: 4,
		Space: map[string]resource.Range{
			"a": {Int: &[2]int64{15, 127}}, "b": {Log: &[2]float64{0.01, 0.3}}, "c": {Float: &[2]float64{0.5, 1}, Step: 0.1},
			"d": {LogInt: &[2]int64{1, 64}}, "e": {Choice: []any{"gbdt", 1.0, 0.5, true}}, "f": {Int: &[2]int64{0, 10}, Step: 5},
		},
		EarlyStop: &resource.EarlyStop{Metric: "auc", Goal: resource.GoalMaximize, After: 3},
	}, s)
	for name, want := range map[string]int64{"a": 113, "b": 0, "c": 6, "d": 64, "e": 4, "f": 3} {
		require.Equal(t, want, s.Space[name].Size(), name)
	}
	grid := searchOf(t, `{method: grid, space: {a: {int: [1, 3], steps: 9}, b: {log: [1, 2], steps: 9}, c: {logInt: [1, 100], steps: 9}}}`)
	for name, want := range map[string]int64{"a": 3, "b": 9, "c": 9} {
		require.Equal(t, want, grid.Space[name].Size(), name)
	}
}

func TestSearchGenerationsByDefault(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]int{
		"{method: random, trials: 9, space: {a: {int: [1, 9]}}}":                                                 0,
		"{method: random, trials: 9, parallel: 2, space: {a: {int: [1, 9]}}}":                                    2,
		"{method: random, time: 1h, space: {a: {int: [1, 9]}}}":                                                  4,
		"{method: grid, space: {a: {int: [1, 9]}}, earlyStop: {metric: l, goal: minimize}}":                      4,
		"{method: grid, space: {a: {int: [1, 9]}}}":                                                              0,
		"{method: tpe, time: 1h, space: {a: {int: [1, 9]}}}":                                                     4,
		"{method: halving, trials: 4, time: 1h, space: {a: {int: [1, 9]}}, halving: {param: n, min: 1, max: 3}}": 0,
	} {
		require.Equal(t, want, searchOf(t, yaml).Parallel, yaml)
	}
}
