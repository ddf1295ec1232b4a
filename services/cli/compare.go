package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/model/archive"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/local"
	"github.com/tidemill/tidemill/services/cli/render"
	"github.com/tidemill/tidemill/workers/runtime"
)

// comparison is two versions side by side.
type comparison struct {
	Versions []string    `json:"versions"`
	Data     []compared  `json:"data"`
	Code     []compared  `json:"code"`
	Files    []fileDiff  `json:"files"` // of the source that are not the same
	Params   []compared  `json:"params"`
	Runs     []compared  `json:"environment"`
	Metrics  []metricDif `json:"metrics"`
}

// compared is one thing of both.
type compared struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
	Same bool   `json:"same"`
}

// fileDiff is a file that one has and the other has not, or has otherwise: added, removed, modified.
type fileDiff struct {
	Name   string `json:"name"`
	Change string `json:"change"`
}

// metricDif is a metric of both. Better is the better version, "" when they are equal or nobody can tell.
type metricDif struct {
	Name   string   `json:"name"`
	Rows   string   `json:"rows"` // validation, judged, same rows
	A      *float64 `json:"a"`
	B      *float64 `json:"b"`
	Better string   `json:"better,omitempty"`
}

func (a *app) compare() *cobra.Command {
	c := &cobra.Command{Use: "compare MODEL@V1 MODEL@V2", Short: "Show what is different between two versions", Args: needs("MODEL@V1", "MODEL@V2"),
		Long: "Show two versions side by side: their rows, code, hyperparameters, environment and metrics. ≠ marks what is different; of a\n" +
			"metric it names the better version. Where one was champion when the other was judged, both figures are of the same rows;\n" +
			"otherwise each is of the version's own rows, which may be easier or harder.",
		Example:           "  tidemill compare flight-delay@1 flight-delay@2\n  tidemill compare flight-delay@1 2 -o json",
		ValidArgsFunction: a.completeOne(a.modelNames)}
	f := format(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		model, _, ok := strings.Cut(args[0], "@")
		if !ok {
			return wrongly("tidemill compare flight-delay@1 flight-delay@2", "%q does not say which version", args[0])
		}
		if !strings.Contains(args[1], "@") {
			args[1] = model + "@" + args[1]
		}
		client, err := a.client()
		if err != nil {
			return err
		}
		both := make([]api.Lineage, 2)
		for i := range both {
			if both[i], err = lineageOf(c.Context(), client, args[i]); err != nil {
				return err
			}
		}
		out := compareLineages(both[0], both[1])
		if out.Files, err = compareSources(c.Context(), client, both[0].Code.Digest, both[1].Code.Digest); err != nil {
			return err
		}
		return a.show(*f, out, func(g *render.Grid) { a.compareText(g, out) })
	}
	return c
}

func compareLineages(a, b api.Lineage) comparison {
	pair := func(name, x, y string) compared { return compared{name, x, y, x == y} }
	return comparison{
		Versions: []string{a.Model + "@" + a.Version, b.Model + "@" + b.Version},
		Data: []compared{
			pair("dataset", a.Data.Dataset, b.Data.Dataset), pair("snapshot", a.Data.ID, b.Data.ID), pair("window", a.Data.Window.String(), b.Data.Window.String()),
			pair("through segment", fmt.Sprint(a.Data.Through), fmt.Sprint(b.Data.Through)), pair("training rows", render.Count(a.Data.TrainRows), render.Count(b.Data.TrainRows)),
			pair("validation rows", render.Count(a.Data.ValidationRows), render.Count(b.Data.ValidationRows)),
			pair("trained through", render.Time(a.Data.TrainedThrough), render.Time(b.Data.TrainedThrough)),
			pair("features", oneLine(a.Data.Features), oneLine(b.Data.Features)), pair("label", oneLine(a.Data.Label), oneLine(b.Data.Label)),
			pair("weight", oneLine(a.Data.Weight), oneLine(b.Data.Weight)), pair("class weights", classWeights(a.Data), classWeights(b.Data)),
		},
		Code: []compared{
			pair("candidate", a.Code.Candidate, b.Code.Candidate), pair("trainer", a.Code.Trainer, b.Code.Trainer),
			pair("command", strings.Join(a.Code.Command, " "), strings.Join(b.Code.Command, " ")), pair("source", a.Code.Digest, b.Code.Digest),
			pair("requirements", a.Code.Requirements, b.Code.Requirements), pair("seed", fmt.Sprint(a.Code.Seed), fmt.Sprint(b.Code.Seed)),
		},
		Files: []fileDiff{}, Params: compareMaps(values(a.Code.Params), values(b.Code.Params)), Runs: compareMaps(a.Environment, b.Environment),
		Metrics: append(compareMetrics("validation", a, b, a.Validation, b.Validation), compareJudged(a, b)...),
	}
}

// Rows of metrics.
const (
	ownRows  = "judged"    // each version's own
	sameRows = "same rows" // one was champion when the other was judged
)

func compareJudged(a, b api.Lineage) []metricDif {
	judgedBy := func(x, y api.Lineage) bool {
		return len(y.ChampionJudged) > 0 && slices.ContainsFunc(y.Parents, func(p api.Parent) bool { return p.Kind == api.ParentChampion && p.Version == x.Version })
	}
	switch {
	case judgedBy(a, b):
		return compareMetrics(sameRows, a, b, b.ChampionJudged, b.Judged)
	case judgedBy(b, a):
		return compareMetrics(sameRows, a, b, a.Judged, a.ChampionJudged)
	}
	return compareMetrics(ownRows, a, b, a.Judged, b.Judged)
}

func values(params map[string]any) map[string]string {
	out := map[string]string{}
	for name, v := range params {
		out[name] = render.Value(v)
	}
	return out
}

func compareMaps(a, b map[string]string) []compared {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, b)
	out := []compared{}
	for _, name := range sorted(all) {
		x, inA := a[name]
		y, inB := b[name]
		out = append(out, compared{name, x, y, inA == inB && x == y})
	}
	return out
}

func compareMetrics(rows string, a, b api.Lineage, x, y map[string]float64) []metricDif {
	out := []metricDif{}
	for _, m := range evaluation.Metrics() {
		p, inA := x[m.Name]
		q, inB := y[m.Name]
		if !inA && !inB {
			continue
		}
		d := metricDif{Name: m.Name, Rows: rows}
		if inA && !math.IsNaN(p) {
			d.A = &p
		}
		if inB && !math.IsNaN(q) {
			d.B = &q
		}
		switch {
		case d.A == nil || d.B == nil:
		case m.Better(p, q):
			d.Better = a.Version
		case m.Better(q, p):
			d.Better = b.Version
		}
		out = append(out, d)
	}
	return out
}

// compareSources lists the files that two packed sources don't share.
func compareSources(ctx context.Context, client *call.Client, a, b string) ([]fileDiff, error) {
	out := []fileDiff{}
	if a == b {
		return out, nil
	}
	before, err := sourceFiles(ctx, client, a)
	if err != nil {
		return nil, err
	}
	after, err := sourceFiles(ctx, client, b)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		old, was := before[name]
		now, is := after[name]
		switch {
		case !was:
			out = append(out, fileDiff{name, "added"})
		case !is:
			out = append(out, fileDiff{name, "removed"})
		case old != now:
			out = append(out, fileDiff{name, "modified"})
		}
	}
	return out, nil
}

// sourceFiles are the digests of the files of packed source. What is no longer stored has none.
func sourceFiles(ctx context.Context, client *call.Client, sha256 string) (map[string]string, error) {
	out := map[string]string{}
	if sha256 == "" {
		return out, nil
	}
	b, err := local.Remote{Client: client}.Get(ctx, "code/"+sha256+".tar.gz")
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	if err := archive.Each(b, runtime.MaxSource, func(name string, content []byte) { out[name] = events.SHA256(content) }); err != nil {
		return nil, fmt.Errorf("read the source %s: %w", sha256, err)
	}
	return out, nil
}

func (a *app) compareText(g *render.Grid, c comparison) {
	style := a.style(a.Out)
	section := func(title string, all []compared) {
		if len(all) == 0 {
			return
		}
		g.Text("")
		g.Head(strings.ToUpper(title), "", c.Versions[0], c.Versions[1])
		for _, x := range all {
			mark := "="
			if !x.Same {
				mark = style.Warn("≠")
			}
			g.Row(x.Name, mark, shortened(x.A), shortened(x.B))
		}
	}
	section("data", c.Data)
	section("code", c.Code)
	for _, f := range c.Files {
		g.Text("  " + f.Change + " " + f.Name)
	}
	section("parameters", c.Params)
	section("environment", c.Runs)
	if len(c.Metrics) == 0 {
		return
	}
	g.Text("")
	g.Head("METRIC", "ROWS", c.Versions[0], c.Versions[1], "BETTER")
	own := false
	for _, m := range c.Metrics {
		g.Row(m.Name, m.Rows, figure(m.A), figure(m.B), m.Better)
		own = own || m.Rows == ownRows
	}
	if own {
		g.Text("")
		g.Text("Each version was judged on rows of its own: these may be easier or harder.")
	}
}

func figure(f *float64) string {
	if f == nil {
		return ""
	}
	return render.Figure(*f)
}

// shortened fits a value beside another.
func shortened(s string) string {
	if len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" {
		return abbreviated(s)
	}
	return render.Cut(s, 48)
}
