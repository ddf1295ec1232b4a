package cli

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/render"
)

func (a *app) lineage() *cobra.Command {
	c := &cobra.Command{Use: "lineage MODEL[@VERSION]", Short: "Show everything that a version was made from", Args: needs("MODEL"),
		Long: "Show everything that a version was made from, the champion unless another is named: its rows, code, hyperparameters, seed and\n" +
			"environment, the trial and the cycle, the versions it comes from, and the files of its package with their digests.",
		Example:           "  tidemill lineage flight-delay\n  tidemill lineage flight-delay@2 -o json | jq .data.id",
		ValidArgsFunction: a.completeOne(a.modelNames)}
	f := format(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		l, err := lineageOf(c.Context(), client, args[0])
		if err != nil {
			return err
		}
		return a.show(*f, l, func(g *render.Grid) {
			root := lineageTree(l)
			g.Text(a.style(a.Out).Bold(root.name) + "  " + root.value)
			root.write(g, "")
		})
	}
	return c
}

// lineageOf asks for the lineage of MODEL or MODEL@VERSION.
func lineageOf(ctx context.Context, client *call.Client, name string) (api.Lineage, error) {
	model, version, _ := strings.Cut(name, "@")
	query := url.Values{}
	if version != "" {
		query.Set("version", plain(version))
	}
	return call.Get[api.Lineage](ctx, client, "/api/v1/models/"+url.PathEscape(model)+"/lineage", query)
}

// node is a name with a value, and what it consists of.
type node struct {
	name, value string
	children    []node
}

// with adds a child, unless it has nothing to say.
func (n node) with(name, value string, children ...node) node {
	if value != "" || len(children) > 0 {
		n.children = append(n.children, node{name, value, children})
	}
	return n
}

// write writes the children of n as a tree.
func (n node) write(g *render.Grid, indent string) {
	wide := 0
	for _, c := range n.children {
		wide = max(wide, len(c.name))
	}
	for i, c := range n.children {
		branch, below := "├─ ", "│  "
		if i == len(n.children)-1 {
			branch, below = "└─ ", "   "
		}
		g.Text(strings.TrimRight(fmt.Sprintf("%s%s%-*s  %s", indent, branch, wide, c.name, c.value), " "))
		c.write(g, indent+below)
	}
}

func lineageTree(l api.Lineage) node {
	root := node{name: l.Model + "@" + l.Version, value: l.State}
	root = root.with("data", l.Data.Dataset, dataTree(l.Data).children...)
	root = root.with("code", l.Code.Candidate+", "+l.Code.Trainer, codeTree(l.Code).children...)
	env := node{}
	for _, name := range sorted(l.Environment) {
		env = env.with(name, l.Environment[name])
	}
	root = root.with("environment", "", env.children...)
	trial := node{}.with("worker", l.Trial.Worker).with("attempt", render.ID(l.Trial.Attempt)).with("took", seconds(l.Trial.Seconds))
	if l.Trial.Refit {
		trial = trial.with("refit", "the judged recipe, again, on all rows")
	}
	root = root.with("trial", l.Trial.Trial, trial.children...)
	root = root.with("cycle", l.Cycle, node{}.with("because", causes(l.Causes)).children...)
	for _, p := range l.Parents {
		root = root.with(parentKinds()[p.Kind], l.Model+"@"+p.Version+" "+abbreviated(p.SHA256))
	}
	files := node{}.with("manifest.json", l.Package.SHA256)
	for _, name := range sorted(l.Package.Files) {
		files = files.with(name, l.Package.Files[name])
	}
	signed := "nobody"
	if l.Package.SignedBy != "" {
		signed = l.Package.SignedBy
	}
	root = root.with("package", l.Package.URI, files.with("answers by", strings.Join(l.Package.Command, " ")).with("signed by", signed).children...)
	figures := node{}.with("validation", render.Figures(l.Validation, ""))
	if len(l.Judged) > 0 {
		figures = figures.with("judged", render.Figures(l.Judged, "")+", on "+render.Count(l.JudgedRows)+" rows")
	}
	return root.with("metrics", "", figures.children...)
}

// parentKinds are the ways in which a version comes from another, in words.
func parentKinds() map[string]string {
	return map[string]string{api.ParentChampion: "champion then", api.ParentWarmStart: "warm start", api.ParentRefitOf: "refit of"}
}

func dataTree(d api.LineageData) node {
	n := node{}.with("snapshot", d.ID).with("window", d.Window.String()).
		with("segments", fmt.Sprintf("%s, up to ordinal %s", render.Count(d.Segments), render.ID(d.Through))).
		with("rows", fmt.Sprintf("%s for training, %s for validation", render.Count(d.TrainRows), render.Count(d.ValidationRows))).
		with("trained through", render.Time(d.TrainedThrough)).
		with("features", oneLine(d.Features)).with("label", oneLine(d.Label)).
		with("weight", oneLine(d.Weight)).with("class weights", classWeights(d)).with("revision", render.ID(d.ModelRevision)+" of the model")
	if len(d.Missing) > 0 {
		n = n.with("missing", fmt.Sprintf("%d segments are no longer stored: %s", len(d.Missing), strings.Trim(fmt.Sprint(d.Missing), "[]")))
	}
	return n
}

// classWeights are those of a version, in one line; "" when it has none.
func classWeights(d api.LineageData) string {
	if d.ClassWeights == nil {
		return ""
	}
	return render.Value(d.ClassWeights)
}

func codeTree(c api.LineageCode) node {
	n := node{}.with("command", strings.Join(c.Command, " "))
	params := node{}
	for _, name := range sorted(c.Params) {
		params = params.with(name, render.Value(c.Params[name]))
	}
	return n.with("params", "", params.children...).with("seed", render.Value(c.Seed)).with("source", c.Digest).with("requirements", c.Requirements)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// abbreviated is the beginning of a digest.
func abbreviated(sha256 string) string {
	if len(sha256) > 12 {
		return sha256[:12] + "…"
	}
	return sha256
}
