package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/cli/render"
)

// trials are those of a cycle, as a leaderboard.
func (g *getting) trials(ctx context.Context, name string) error {
	if name == "" {
		name = g.ofCycle
	}
	if name == "" {
		return wrongly("tidemill get trials --cycle flight-delay-3", "of which cycle?")
	}
	c, err := g.cycle(ctx, name)
	if err != nil {
		return err
	}
	board := ordered(c.Trials)
	return g.show(g.format, api.List[api.Trial]{Items: board}, func(t *render.Grid) {
		t.Head("RANK", "TRIAL", "STATE", strings.ToUpper(cmp.Or(c.Primary, "primary")), "OTHERS", "PARAMS", "TOOK", "ATTEMPT", "WORKER", "NOTE")
		for _, x := range board {
			t.Row(rankOf(x), x.Trial, x.State, figureOf(x, c.Primary), otherFigures(x, c.Primary), paramLine(x.Params), seconds(x.Seconds),
				render.ID(x.Attempt), x.Worker, trialNote(x))
		}
		if unlisted := c.Queued - inState(board, "queued"); unlisted > 0 {
			t.Text(fmt.Sprintf("up to %d more are queued", unlisted))
		}
	})
}

// ordered puts the winner first, then those with a figure by rank, those that run, those that wait, and at last those that came
// to nothing.
func ordered(trials []api.Trial) []api.Trial {
	place := func(t api.Trial) int {
		switch {
		case t.Winner:
			return 0
		case t.Rank > 0:
			return 1
		}
		return 2 + slices.Index([]string{"succeeded", "running", "queued", "stopped", "failed"}, t.State)
	}
	out := slices.Clone(trials)
	if out == nil {
		out = []api.Trial{}
	}
	slices.SortStableFunc(out, func(a, b api.Trial) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Number, b.Number))
	})
	return out
}

func inState(trials []api.Trial, state string) (n int) {
	for _, t := range trials {
		if t.State == state {
			n++
		}
	}
	return n
}

func rankOf(t api.Trial) string {
	out := render.ID(t.Rank)
	if t.Winner {
		out = strings.TrimSpace(out + " ★")
	}
	return out
}

func figureOf(t api.Trial, metric string) string {
	v, ok := t.Validation[metric]
	if !ok {
		return ""
	}
	return render.Figure(v)
}

func otherFigures(t api.Trial, primary string) string {
	rest := maps.Clone(t.Validation)
	delete(rest, primary)
	return render.Brief(rest)
}

// paramLine has hyperparameters in one line, by name.
func paramLine(values map[string]any) string {
	names := slices.Sorted(maps.Keys(values))
	for i, name := range names {
		v := values[name]
		if f, ok := v.(float64); ok {
			v = render.Figure(f)
		}
		names[i] = fmt.Sprintf("%s=%v", name, v)
	}
	return render.Cut(strings.Join(names, " "), 60)
}

func trialNote(t api.Trial) string {
	if t.Reason == "" && t.State == "running" {
		return strings.TrimSpace(t.Phase + " " + t.Message)
	}
	return t.Reason
}
