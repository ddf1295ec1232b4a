package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/render"
)

// getting is one get command that runs.
type getting struct {
	*app
	client                  *call.Client
	format                  string
	model, dataset, ofCycle string
	limit                   int
	open                    bool
	declared                bool
}

// kind is one kind of things that can be got. get answers for all (name is "") or for one.
type kind struct {
	plural, singular string
	get              func(g *getting, ctx context.Context, name string) error
}

func kinds() []kind {
	return []kind{
		{"datasets", "dataset", (*getting).datasets},
		{"models", "model", (*getting).models},
		{"policies", "policy", (*getting).policies},
		{"cycles", "cycle", (*getting).cycles},
		{"versions", "version", (*getting).versions},
		{"segments", "segment", (*getting).segments},
		{"alerts", "alert", (*getting).alerts},
		{"batches", "batch", (*getting).batches},
		{"trials", "trial", (*getting).trials},
		{"workers", "worker", (*getting).workers},
		{"status", "status", (*getting).status},
	}
}

func kindNames() (plural, singular []string) {
	for _, k := range kinds() {
		plural, singular = append(plural, k.plural), append(singular, k.singular)
	}
	return plural, singular
}

func (a *app) get() *cobra.Command {
	g := getting{app: a}
	plural, singular := kindNames()
	c := &cobra.Command{Use: "get KIND [NAME]", Short: "Show what there is: " + strings.Join(plural, ", "), Args: needs("KIND", "[NAME]"),
		Long: "Show what there is, or one of it.\n\n" +
			"Kinds: " + strings.Join(plural, ", ") + ".\n" +
			"A version is named MODEL@VERSION, a segment DATASET@ORDINAL; trials are those of a cycle, the best first and a ★ at the one\n" +
			"that became its version.",
		Example: "  tidemill get models\n  tidemill get model flight-delay -o yaml\n  tidemill get cycles --model flight-delay --limit 5\n" +
			"  tidemill get cycle flight-delay-3\n  tidemill get trials --cycle flight-delay-3\n  tidemill get version flight-delay@2\n" +
			"  tidemill get dataset flights --declared > flights.yaml\n  tidemill get alerts --open -o json",
		ValidArgsFunction: a.completeKindThenName(plural),
	}
	f := format(c)
	flags := c.Flags()
	flags.StringVar(&g.model, "model", "", "only of this model")
	flags.StringVar(&g.ofCycle, "cycle", "", "trials of this cycle")
	flags.StringVar(&g.dataset, "dataset", "", "only of this dataset")
	flags.IntVar(&g.limit, "limit", 20, "the newest so many cycles or segments")
	flags.BoolVar(&g.open, "open", false, "only alerts that are open")
	flags.BoolVar(&g.declared, "declared", false, "the declaration of a dataset, model or policy, as YAML to be edited and applied")
	a.completeFlag(c, "model", a.modelNames)
	a.completeFlag(c, "cycle", a.cycleNames)
	a.completeFlag(c, "dataset", a.datasetNames)
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		word := strings.ToLower(args[0])
		i := slices.IndexFunc(kinds(), func(k kind) bool { return k.plural == word || k.singular == word })
		if i < 0 {
			hint := resource.Suggest(word, append(plural, singular...))
			return wrongly(cmp.Or(hint, "kinds: "+strings.Join(plural, ", ")), "there is no kind %q", args[0])
		}
		if g.limit < 1 {
			return wrongly("", "--limit must be at least 1")
		}
		g.format = *f
		if g.client, err = a.client(); err != nil {
			return err
		}
		name := ""
		if len(args) > 1 {
			name = args[1]
		}
		if g.declared {
			return g.declaration(c.Context(), word, name)
		}
		return kinds()[i].get(&g, c.Context(), name)
	}
	return c
}

// list writes a list.
func list[T any](g *getting, items []T, head []string, row func(T) []string) error {
	if items == nil {
		items = []T{}
	}
	return g.show(g.format, api.List[T]{Items: items}, func(t *render.Grid) {
		t.Head(head...)
		for _, x := range items {
			t.Row(row(x)...)
		}
	})
}

// gather asks for a list of every name, or of one.
func gather[T any](ctx context.Context, g *getting, names []string, path func(name string) string) ([]T, error) {
	var out []T
	for _, name := range names {
		part, err := call.Get[api.List[T]](ctx, g.client, path(url.PathEscape(name)), url.Values{"limit": {fmt.Sprint(g.limit)}})
		if err != nil {
			return nil, err
		}
		out = append(out, part.Items...)
	}
	return out, nil
}

// modelList is the model that was asked for, or all.
func (g *getting) modelList(ctx context.Context) ([]string, error) {
	if g.model != "" {
		return []string{g.model}, nil
	}
	all, err := call.Get[api.List[api.Model]](ctx, g.client, "/api/v1/models", nil)
	var out []string
	for _, m := range all.Items {
		out = append(out, m.Name)
	}
	return out, err
}

// datasetList is the dataset that was asked for, or all.
func (g *getting) datasetList(ctx context.Context) ([]string, error) {
	if g.dataset != "" {
		return []string{g.dataset}, nil
	}
	all, err := call.Get[api.List[api.Dataset]](ctx, g.client, "/api/v1/datasets", nil)
	var out []string
	for _, d := range all.Items {
		out = append(out, d.Name)
	}
	return out, err
}

// declaration writes what was declared.
func (g *getting) declaration(ctx context.Context, word, name string) error {
	path, ok := declarable(word)
	if !ok || name == "" {
		return wrongly("tidemill get dataset NAME --declared", "--declared is for one dataset, model or policy")
	}
	r, err := call.Get[api.Resource](ctx, g.client, "/api/v1/resources/"+path+"/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	text, err := declaration(r.Document)
	if err != nil {
		return err
	}
	if render.Format(g.format) == render.JSON {
		return g.show(g.format, r.Document, nil)
	}
	fmt.Fprint(g.Out, text)
	return nil
}

// pair splits MODEL@VERSION or DATASET@ORDINAL; the first part may come by a flag instead.
func pair(name, flag, value, example string) (first, second string, err error) {
	if before, after, ok := strings.Cut(name, "@"); ok && before != "" && after != "" {
		return before, plain(after), nil
	}
	if value == "" || strings.Contains(name, "@") {
		return "", "", wrongly("write "+example+", or give --"+flag, "%q does not say of which %s it is", name, flag)
	}
	return value, plain(name), nil
}

// plain is a version as the platform writes it: people write v3 too.
func plain(version string) string { return strings.TrimPrefix(version, "v") }

// modelOf is the model of a cycle, whose name is "<model>-<number>".
func modelOf(cycle string) (string, error) {
	i := strings.LastIndexByte(cycle, '-')
	if i <= 0 || strings.Trim(cycle[i+1:], "0123456789") != "" || i == len(cycle)-1 {
		return "", wrongly("cycles are named MODEL-NUMBER, for example flight-delay-3", "%q is not a cycle", cycle)
	}
	return cycle[:i], nil
}

func (g *getting) status(ctx context.Context, name string) error {
	if name != "" {
		return wrongly("tidemill get status", "the status has no %q", name)
	}
	s, err := call.Get[api.Status](ctx, g.client, "/api/v1/status", nil)
	if err != nil {
		return err
	}
	return g.show(g.format, s, func(t *render.Grid) {
		t.Field("version", s.Version)
		t.Field("started", render.Time(s.Started))
		t.Field("targets", strings.Join(s.Targets, ", "))
		t.Field("NATS", s.NATS)
		for _, d := range sorted(s.Rates.Datasets) {
			r := s.Rates.Datasets[d]
			t.Field("rows/s "+d, fmt.Sprintf("accepted %s, quarantined %s", render.Figure(r.Accepted), render.Figure(r.Quarantined)))
		}
		for _, l := range sorted(s.Leases) {
			t.Field("lease "+l, s.Leases[l])
		}
	})
}

func sorted[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
