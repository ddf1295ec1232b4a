package search_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/core/search"
)

type landscape struct {
	name   string
	space  map[string]resource.Range
	height func(params map[string]any) float64 // lower is better
}

func landscapes() []landscape {
	return []landscape{
		{"sphere", map[string]resource.Range{"x": float(-5, 5), "y": float(-5, 5), "z": float(-5, 5)},
			func(p map[string]any) float64 {
				x, y, z := num(p["x"])-1, num(p["y"])+2, num(p["z"])
				return x*x + y*y + z*z
			}},
		{"branin", map[string]resource.Range{"x": float(-5, 10), "y": float(0, 15)},
			func(p map[string]any) float64 {
				x, y := num(p["x"]), num(p["y"])
				a := y - 5.1/(4*math.Pi*math.Pi)*x*x + 5/math.Pi*x - 6
				return a*a + 10*(1-1/(8*math.Pi))*math.Cos(x) + 10
			}},
		{"boosting", map[string]resource.Range{"leaves": logInt(2, 256), "rate": logs(0.001, 1), "share": stepped(float(0.5, 1), 0.1),
			"booster": choice("gbdt", "dart", "goss"), "depth": whole(2, 16)},
			func(p map[string]any) float64 {
				a, b := math.Log(num(p["leaves"])/31), math.Log(num(p["rate"])/0.05)
				loss := 0.5 + 0.02*a*a + 0.03*b*b + 0.2*math.Abs(num(p["share"])-0.8) + 0.002*math.Abs(num(p["depth"])-8)
				if p["booster"] != "gbdt" {
					loss += 0.05
				}
				return loss
			}},
	}
}

// TestTPEBeatsRandom compares the best figures after equally many trials, over seeds: how often TPE's is better, and the
// geometric mean of their ratios.
func TestTPEBeatsRandom(t *testing.T) {
	t.Parallel()
	const seeds = 50
	for _, l := range landscapes() {
		for _, budget := range []struct {
			trials     int
			wins, mean float64 // at least so often, and so much lower
		}{{12, 0.45, 1.1}, {24, 0.6, 0.99}, {48, 0.7, 0.98}} {
			t.Run(fmt.Sprintf("%s/%d", l.name, budget.trials), func(t *testing.T) {
				t.Parallel()
				wins, sum := 0.0, 0.0
				for seed := range int64(seeds) {
					tpe, random := l.best(t, resource.SearchTPE, budget.trials, seed), l.best(t, resource.SearchRandom, budget.trials, seed)
					sum += math.Log(tpe / random)
					if tpe < random {
						wins++
					} else if tpe == random {
						wins += 0.5
					}
				}
				t.Logf("better in %.0f%% of the searches, by a factor of %.3f", wins*100/seeds, math.Exp(sum/seeds))
				require.GreaterOrEqual(t, wins/seeds, budget.wins)
				require.LessOrEqual(t, math.Exp(sum/seeds), budget.mean)
			})
		}
	}
}

func (l landscape) best(t *testing.T, method string, trials int, seed int64) float64 {
	t.Helper()
	s := &resource.Search{Method: method, Trials: trials, Parallel: 4, Space: l.space}
	_, done := run(t, s, seed, evaluation.LowerIsBetter, scored(l.height))
	require.Len(t, done, trials)
	best := math.Inf(1)
	for _, r := range done {
		best = min(best, r.Value)
	}
	return best
}

// TestTPEFollowsTheDirection holds the same search against a figure and its negative.
func TestTPEFollowsTheDirection(t *testing.T) {
	t.Parallel()
	l := landscapes()[0]
	s := &resource.Search{Method: resource.SearchTPE, Trials: 24, Parallel: 4, Space: l.space}
	down, _ := run(t, s, 1, evaluation.LowerIsBetter, scored(l.height))
	up, _ := run(t, s, 1, evaluation.HigherIsBetter, scored(func(p map[string]any) float64 { return -l.height(p) }))
	require.Equal(t, down, up)
}

// TestTPEAvoidsWhatFails counts the trials in a half of the space where every trial fails.
func TestTPEAvoidsWhatFails(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]search.Result{"failed": {}, "stopped": {OK: true, Stopped: true}, "NaN": {OK: true, Value: math.NaN()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failed := 0
			for seed := range int64(10) {
				s := &resource.Search{Method: resource.SearchTPE, Trials: 60, Parallel: 4, Space: map[string]resource.Range{"x": float(0, 1)}}
				_, done := run(t, s, seed, evaluation.HigherIsBetter, func(p search.Proposal) search.Result {
					// It gets better right up to the edge.
					if x := num(p.Params["x"]); x <= 0.5 {
						return search.Result{Number: p.Number, Params: p.Params, Value: x, OK: true}
					}
					r := bad
					r.Number, r.Params = p.Number, p.Params
					return r
				})
				for _, r := range done[20:] {
					if num(r.Params["x"]) > 0.5 {
						failed++
					}
				}
			}
			t.Logf("%d of 400 trials", failed)
			require.Less(t, failed, 140, "half of them would be no avoidance")
		})
	}
}
