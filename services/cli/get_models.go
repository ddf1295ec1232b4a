package cli

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/render"
)

func (g *getting) models(ctx context.Context, name string) error {
	if name == "" {
		all, err := call.Get[api.List[api.Model]](ctx, g.client, "/api/v1/models", nil)
		if err != nil {
			return err
		}
		return list(g, all.Items, []string{"MODEL", "DATASET", "CHAMPION", "METRICS", "CYCLE", "ALERTS", "STATE"}, func(m api.Model) []string {
			return []string{m.Name, m.Dataset, championOf(m), primaryOf(m), cycleOf(m), render.Count(len(m.OpenAlerts)), stateOf(m)}
		})
	}
	m, err := call.Get[api.Model](ctx, g.client, "/api/v1/models/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	return g.show(g.format, m, func(t *render.Grid) {
		t.Field("model", m.Name)
		t.Field("dataset", m.Dataset)
		t.Field("task", m.Task)
		t.Field("policy", m.Policy)
		t.Field("state", stateOf(m))
		if v := m.Champion; v != nil {
			t.Field("champion", v.Version.Version+", promoted "+render.Time(v.PromotedAt))
			t.Field("trained through", render.Time(v.TrainedThrough))
			t.Field("metrics", render.Figures(v.Metrics, m.Primary))
		}
		if c := m.Cycle; c != nil {
			t.Field("cycle", c.Cycle+", "+c.State+", because "+causes(c.CycleRequested.Causes))
		}
		t.Field("cycles", outcomes(m.Cycles))
		if m.Cycle == nil {
			t.Field("last cycle", m.LastCycle)
		}
		for _, x := range m.OpenAlerts {
			t.Field("alert", x.Kind+": "+x.Message)
		}
		if e := m.Evaluation; e != nil {
			t.Field("policy said", decision(*e)+" ("+render.Time(e.Now)+")")
		}
	})
}

func championOf(m api.Model) string {
	if m.Champion == nil {
		return ""
	}
	return m.Champion.Version.Version
}

func primaryOf(m api.Model) string {
	if m.Champion == nil {
		return ""
	}
	value, ok := m.Champion.Metrics[m.Primary]
	if !ok {
		return ""
	}
	return m.Primary + " " + render.Figure(value)
}

func cycleOf(m api.Model) string {
	if m.Cycle == nil {
		return ""
	}
	return m.Cycle.Cycle + " " + m.Cycle.State
}

func stateOf(m api.Model) string {
	switch {
	case m.Paused:
		return "paused"
	case m.Champion == nil:
		return "no version yet"
	}
	return "live"
}

// outcomes are how many cycles there were, and how they ended.
func outcomes(counts map[string]int64) string {
	rest := maps.Clone(counts)
	delete(rest, "requested")
	text := render.Count(counts["requested"]) + " requested"
	if ended := render.Reasons(rest); ended != "" {
		text += ": " + ended
	}
	return text
}

func (g *getting) policies(ctx context.Context, name string) error {
	if name != "" {
		r, err := call.Get[api.Resource](ctx, g.client, "/api/v1/resources/policies/"+url.PathEscape(name), nil)
		if err != nil {
			return err
		}
		text, err := declaration(r.Document)
		if err != nil {
			return err
		}
		return g.show(g.format, r, func(t *render.Grid) {
			for l := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
				t.Text(l)
			}
		})
	}
	all, err := call.Get[api.List[api.Resource]](ctx, g.client, "/api/v1/resources/policies", nil)
	if err != nil {
		return err
	}
	return list(g, all.Items, []string{"POLICY", "MODEL", "MODE", "WINDOW", "WHEN", "REVISION"}, func(r api.Resource) []string {
		row := []string{r.Name, "", "", "", "", render.ID(r.Revision)}
		if p, err := resource.FromJSON(r.Document); err == nil && p.Policy != nil {
			row[1], row[2], row[3], row[4] = p.Policy.Model, p.Policy.Mode, p.Policy.Window.String(), when(p.Policy.When)
		}
		return row
	})
}

// when is a trigger on one line: "any: newData, maxAge".
func when(t resource.Trigger) string {
	b, err := json.Marshal(t)
	if err != nil {
		return ""
	}
	var node map[string]json.RawMessage
	if json.Unmarshal(b, &node) != nil {
		return ""
	}
	for name, several := range map[string][]resource.Trigger{"any": t.Any, "all": t.All} {
		if len(several) == 0 {
			continue
		}
		parts := make([]string, len(several))
		for i, x := range several {
			parts[i] = when(x)
		}
		return name + "(" + strings.Join(parts, ", ") + ")"
	}
	return strings.Join(slices.Sorted(maps.Keys(node)), ", ")
}

func (g *getting) versions(ctx context.Context, name string) error {
	if name != "" {
		return g.oneVersion(ctx, name)
	}
	models, err := g.modelList(ctx)
	if err != nil {
		return err
	}
	all, err := gather[api.Version](ctx, g, models, func(m string) string { return "/api/v1/models/" + m + "/versions" })
	if err != nil {
		return err
	}
	return list(g, all, []string{"VERSION", "STATE", "CYCLE", "CANDIDATE", "TRAINED THROUGH", "PROMOTED", "METRICS"}, func(v api.Version) []string {
		return []string{v.Model + "@" + v.Version.Version, v.State, v.Cycle, v.Candidate, render.Time(v.TrainedThrough), render.Time(v.PromotedAt), render.Brief(v.Metrics)}
	})
}

func (g *getting) oneVersion(ctx context.Context, name string) error {
	model, version, err := pair(name, "model", g.model, "MODEL@VERSION")
	if err != nil {
		return err
	}
	all, err := call.Get[api.List[api.Version]](ctx, g.client, "/api/v1/models/"+url.PathEscape(model)+"/versions", nil)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all.Items, func(v api.Version) bool { return v.Version.Version == version })
	if i < 0 {
		return failed("see: tidemill get versions --model "+model, "%s has no version %s", model, version)
	}
	v := all.Items[i]
	return g.show(g.format, v, func(t *render.Grid) {
		t.Field("version", v.Model+"@"+v.Version.Version)
		t.Field("state", v.State)
		t.Field("cycle", v.Cycle)
		t.Field("candidate", v.Candidate)
		t.Field("trained", render.Time(v.TrainedAt))
		t.Field("trained through", render.Time(v.TrainedThrough))
		t.Field("promoted", render.Time(v.PromotedAt))
		t.Field("metrics", render.Figures(v.Metrics, ""))
		t.Field("package", v.URI)
		t.Field("sha256", v.SHA256)
		t.Field("snapshot", v.Snapshot)
		verdict(t, v.Verdict)
	})
}

func (g *getting) cycles(ctx context.Context, name string) error {
	if name != "" {
		c, err := g.cycle(ctx, name)
		if err != nil {
			return err
		}
		return g.show(g.format, c, func(t *render.Grid) { cycleFields(t, c) })
	}
	models, err := g.modelList(ctx)
	if err != nil {
		return err
	}
	all, err := gather[api.Cycle](ctx, g, models, func(m string) string { return "/api/v1/models/" + m + "/cycles" })
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b api.Cycle) int { return b.Began.Compare(a.Began) })
	all = all[:min(len(all), g.limit)]
	return list(g, all, []string{"CYCLE", "STATE", "BEGAN", "TOOK", "CAUSES", "VERSION", "REASON"}, func(c api.Cycle) []string {
		return []string{c.Cycle, standing(c), render.Time(c.Began), took(c), triggers(c.CycleRequested.Causes), c.Version, render.Cut(c.Reason, 80)}
	})
}

func (g *getting) cycle(ctx context.Context, name string) (api.Cycle, error) {
	model, err := modelOf(name)
	if err != nil {
		return api.Cycle{}, err
	}
	return call.Get[api.Cycle](ctx, g.client, "/api/v1/models/"+url.PathEscape(model)+"/cycles/"+url.PathEscape(name), nil)
}
