package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/cli/local"
	"github.com/tidemill/tidemill/services/cli/render"
)

func (a *app) reproduce() *cobra.Command {
	keep := ""
	c := &cobra.Command{Use: "reproduce MODEL[@VERSION]", Short: "Train a version again, and compare", Args: needs("MODEL"),
		Long: "Train a version again on this machine, the champion unless another is named: from the same rows, code, hyperparameters and\n" +
			"seed. The exit code is 0 when the model is bit-identical; otherwise it tells the first difference, in the order data, code,\n" +
			"hyperparameters, seed, environment, model, and how far the metrics are apart.",
		Example:           "  tidemill reproduce flight-delay@2\n  tidemill reproduce flight-delay --keep again -o json",
		ValidArgsFunction: a.completeOne(a.modelNames)}
	f := format(c)
	c.Flags().StringVar(&keep, "keep", "", "folder for the model, the log and trial.json")
	_ = c.MarkFlagDirname("keep") // fails for a flag that isn't there
	c.RunE = func(c *cobra.Command, args []string) error {
		out, err := a.again(c.Context(), args[0], keep)
		if err != nil {
			return err
		}
		if err := a.show(*f, out, func(g *render.Grid) { a.reproducedText(g, out) }); err != nil {
			return err
		}
		if !out.Identical {
			return silent{errors.New("the model is another one")}
		}
		return nil
	}
	return c
}

// reproduced is what came of training a version again.
type reproduced struct {
	Model     string       `json:"model"`
	Version   string       `json:"version"`
	Identical bool         `json:"identical"` // bit by bit
	First     string       `json:"first,omitempty"`
	Different []difference `json:"different"`
	File      string       `json:"file"`   // of the package that is compared
	SHA256    string       `json:"sha256"` // of the version's model
	Again     string       `json:"again"`  // of the one that was trained again
	Metrics   []metricDif  `json:"metrics"`
	Kept      string       `json:"kept,omitempty"`
}

// difference is one thing in which the two trainings are not the same.
type difference struct {
	In   string `json:"in"` // data, code, params, seed, environment, model
	What string `json:"what"`
	Then string `json:"then"`
	Now  string `json:"now"`
}

// again trains a version again.
func (a *app) again(ctx context.Context, name, keep string) (out reproduced, err error) {
	client, err := a.client()
	if err != nil {
		return out, err
	}
	l, err := lineageOf(ctx, client, name)
	if err != nil {
		return out, err
	}
	t, err := planned(ctx, client, l.Model, url.Values{"version": {l.Version}})
	if err != nil {
		return out, err
	}
	ran, err := a.runLocally(ctx, client, t, keep)
	var missing *local.Missing
	if errors.As(err, &missing) {
		return out, failed("only versions whose rows are there can be trained again", "%s@%s can't be reproduced: %s", l.Model, l.Version, missing)
	}
	if err != nil {
		return out, err
	}
	return judgeAgain(l, ran), nil
}

// judgeAgain compares a version with the trial that trained it again.
func judgeAgain(l api.Lineage, r ran) reproduced {
	file, bytes := model.ModelFile, r.result.ONNX
	if len(l.Package.Command) > 0 {
		file, bytes = model.ExtrasFile, r.result.Extras
	}
	out := reproduced{Model: l.Model, Version: l.Version, File: file, Kept: r.kept, SHA256: l.Package.Files[file], Again: events.SHA256(bytes), Different: []difference{}}
	differ := func(in, what string, then, now any) {
		if a, b := render.Value(then), render.Value(now); a != b {
			out.Different = append(out.Different, difference{in, what, a, b})
		}
	}
	differ("data", "training rows", l.Data.TrainRows, r.result.TrainRows)
	differ("data", "validation rows", l.Data.ValidationRows, r.result.ValidationRows)
	differ("data", "trained through", render.Time(l.Data.TrainedThrough), render.Time(r.result.TrainedThrough))
	differ("code", "source", l.Code.Digest, r.result.CodeDigest)
	for _, p := range compareMaps(values(l.Code.Params), values(r.result.Params)) {
		differ("params", p.Name, p.A, p.B)
	}
	differ("seed", "seed", l.Code.Seed, r.spec.Seed)
	for _, e := range compareMaps(l.Environment, r.result.Environment) {
		differ("environment", e.Name, e.A, e.B)
	}
	differ("model", file, out.SHA256, out.Again)
	out.Identical = out.SHA256 == out.Again
	if !out.Identical {
		out.First = out.Different[0].In
	}
	out.Metrics = compareMetrics("validation", l, api.Lineage{Version: "again"}, l.Validation, r.result.Validation)
	return out
}

func (a *app) reproducedText(g *render.Grid, r reproduced) {
	style := a.style(a.Out)
	name := r.Model + "@" + r.Version
	if r.Identical {
		g.Text(style.Good("bit-identical") + ": " + name + " was trained again to the same " + r.File + ", SHA-256 " + r.SHA256)
		for _, d := range r.Different {
			g.Text(fmt.Sprintf("  though the %s was another: %s was %s, is %s", d.In, d.What, shortened(d.Then), shortened(d.Now)))
		}
		return
	}
	g.Text(style.Bad("different") + ": " + name + " was not reproduced; the first difference is in the " + r.First)
	g.Text("")
	g.Head("DIFFERENT", "", "THEN", "NOW")
	for _, d := range r.Different {
		g.Row(d.In, d.What, shortened(d.Then), shortened(d.Now))
	}
	g.Text("")
	g.Head("METRIC", "THEN", "NOW", "DIFFERENCE")
	for _, m := range r.Metrics {
		apart := ""
		if m.A != nil && m.B != nil {
			apart = "none"
			if d := math.Abs(*m.A - *m.B); d > 0 {
				apart = fmt.Sprintf("%.2g", d)
			}
		}
		g.Row(m.Name, figure(m.A), figure(m.B), apart)
	}
}
