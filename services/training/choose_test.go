package training

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestWhoseTurnItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		demands []demand
		room    int
		want    []string
	}{
		"nobody waits":                           {[]demand{{Model: "a", Out: 3}}, 5, nil},
		"there is no room":                       {[]demand{{Model: "a", Waiting: 3}}, 0, nil},
		"more is out than there is room":         {[]demand{{Model: "a", Waiting: 3}}, -2, nil},
		"all that wait, when there is room":      {[]demand{{Model: "a", Waiting: 1, Since: 2}, {Model: "b", Waiting: 2, Since: 1}}, 9, []string{"b", "a", "b"}},
		"in turns":                               {[]demand{{Model: "a", Waiting: 9, Since: 1}, {Model: "b", Waiting: 9, Since: 2}}, 4, []string{"a", "b", "a", "b"}},
		"fewest out first":                       {[]demand{{Model: "a", Waiting: 9, Out: 3, Since: 1}, {Model: "b", Waiting: 9, Since: 2}}, 3, []string{"b", "b", "b"}},
		"then who was served least":              {[]demand{{Model: "a", Waiting: 9, Served: 5, Since: 1}, {Model: "b", Waiting: 9, Served: 1, Since: 2}}, 1, []string{"b"}},
		"then who waits longest":                 {[]demand{{Model: "a", Waiting: 9, Since: 7}, {Model: "b", Waiting: 9, Since: 3}}, 1, []string{"b"}},
		"a person's cycle before all":            {[]demand{{Model: "a", Waiting: 9, Since: 1}, {Model: "b", Waiting: 2, Out: 8, Served: 8, Since: 9, Manual: true}}, 3, []string{"b", "b", "a"}},
		"persons' cycles share among themselves": {[]demand{{Model: "a", Waiting: 9, Manual: true, Since: 1}, {Model: "b", Waiting: 9, Manual: true, Since: 2}}, 2, []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, choose(c.demands, c.room))
		})
	}
}

// TestLawsOfTheChoice holds for any backlog: nothing is chosen that doesn't wait, no room is left while somebody waits, a
// person's cycle goes first, and whoever was chosen had no more trials out than anybody who is still waiting beside it.
func TestLawsOfTheChoice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "models")
		demands := make([]demand, n)
		waiting := 0
		for i := range demands {
			demands[i] = demand{Model: fmt.Sprint(i), Manual: rapid.Bool().Draw(t, "manual"), Since: uint64(i % 5),
				Out: rapid.IntRange(0, 4).Draw(t, "out"), Served: rapid.IntRange(4, 9).Draw(t, "served"), Waiting: rapid.IntRange(0, 6).Draw(t, "waiting")}
			waiting += demands[i].Waiting
		}
		room := rapid.IntRange(-3, 40).Draw(t, "room")
		before := slices.Clone(demands)
		chosen := choose(demands, room)
		require.Equal(t, before, demands, "the argument stays as it is")
		require.Len(t, chosen, max(0, min(room, waiting)))
		replay(t, demands, chosen)
	})
}

func replay(t require.TestingT, demands []demand, chosen []string) {
	state := slices.Clone(demands)
	for _, model := range chosen {
		i := slices.IndexFunc(state, func(d demand) bool { return d.Model == model })
		require.Positive(t, state[i].Waiting)
		for _, d := range state {
			if d.Waiting == 0 || d.Model == model {
				continue
			}
			require.False(t, d.Manual && !state[i].Manual, "%s goes before a person's cycle", model)
			if d.Manual == state[i].Manual {
				require.LessOrEqual(t, state[i].Out, d.Out)
			}
		}
		state[i].Waiting--
		state[i].Out++
		state[i].Served++
	}
}

// TestFortyModelsAreServedFairly simulates a pool: trials of any length end at any time, and at no time has a model had more than
// a few trials more than another one that waits beside it.
func TestFortyModelsAreServedFairly(t *testing.T) {
	t.Parallel()
	const models, trials, slots = 40, 25, 6
	random := rand.New(rand.NewPCG(1, 2))
	demands := make([]demand, models)
	for i := range demands {
		demands[i] = demand{Model: fmt.Sprint(i), Since: uint64(i), Waiting: trials}
	}
	var out []int // who has a trial out, the first released first
	for done := 0; done < models*trials; {
		for _, model := range choose(demands, perSlot*slots-len(out)) {
			i := slices.IndexFunc(demands, func(d demand) bool { return d.Model == model })
			demands[i].Waiting--
			demands[i].Out++
			demands[i].Served++
			out = append(out, i)
		}
		require.NotEmpty(t, out)
		most, least := 0, trials
		for _, d := range demands {
			if most = max(most, d.Served); d.Waiting > 0 {
				least = min(least, d.Served)
			}
		}
		require.LessOrEqual(t, most-least, 2, "after %d trials", done)
		// Any of those that run ends.
		k := random.IntN(min(slots, len(out)))
		demands[out[k]].Out--
		out = slices.Delete(out, k, k+1)
		done++
	}
}
