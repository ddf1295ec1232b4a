package cli

import (
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/render"
)

func (a *app) why() *cobra.Command {
	c := &cobra.Command{Use: "why MODEL[@VERSION]", Short: "Explain why a version is live, back to the rows", Args: needs("MODEL"),
		Long: "Explain why a version of a model is what it is, the champion unless another is named: the facts that led to it, newest first,\n" +
			"and the evaluation of the policy that requested its cycle (✓ holds, ✗ does not).",
		Example:           "  tidemill why flight-delay\n  tidemill why flight-delay@2 -o json",
		ValidArgsFunction: a.completeOne(a.modelNames)}
	f := format(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		model, version, _ := strings.Cut(args[0], "@")
		query := url.Values{}
		if version != "" {
			query.Set("version", plain(version))
		}
		client, err := a.client()
		if err != nil {
			return err
		}
		w, err := call.Get[api.Why](c.Context(), client, "/api/v1/models/"+url.PathEscape(model)+"/why", query)
		if err != nil {
			return err
		}
		return a.show(*f, w, func(g *render.Grid) { a.whyText(g, w) })
	}
	return c
}

func (a *app) whyText(g *render.Grid, w api.Why) {
	style := a.style(a.Out)
	g.Text(w.Text)
	if len(w.Chain) > 0 {
		g.Text("")
		g.Head("AT", "FACT", "SEQ", "")
		for _, s := range w.Chain {
			g.Row(render.Time(s.At), s.Type, render.ID(s.Seq), s.Text)
		}
	}
	if w.Version != nil && w.Version.Verdict != nil {
		g.Text("")
		verdict(g, w.Version.Verdict)
	}
	if len(w.Policy) > 0 {
		g.Text("")
		g.Text("The policy then:")
		for _, l := range reasonLines(w.Policy, "  ", style) {
			g.Text(l)
		}
	}
}

func (a *app) whyNot() *cobra.Command {
	c := &cobra.Command{Use: "why-not MODEL", Short: "Explain why no cycle runs now, and what the policy waits for", Args: needs("MODEL"),
		Example:           "  tidemill why-not flight-delay",
		ValidArgsFunction: a.completeOne(a.modelNames)}
	f := format(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		w, err := call.Get[api.WhyNot](c.Context(), client, "/api/v1/models/"+url.PathEscape(args[0])+"/why-not", nil)
		if err != nil {
			return err
		}
		return a.show(*f, w, func(g *render.Grid) {
			g.Text(w.Text)
			for _, l := range reasonLines(w.Reasons, "  ", a.style(a.Out)) {
				g.Text(l)
			}
			if at := render.Time(w.Now); at != "" {
				g.Text("The policy's clock: " + at)
			}
		})
	}
	return c
}
