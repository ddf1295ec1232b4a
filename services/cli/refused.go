package cli

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/render"
)

func (a *app) quarantine() *cobra.Command {
	c := &cobra.Command{Use: "quarantine", Short: "Look at refused rows, let them in or drop them",
		Long: "Rows that break the contract of their dataset are kept aside, by the segment in which they would have been. They can be let\n" +
			"back in, without the checks of their values, or dropped for good.",
		Example: "  tidemill quarantine list flights\n  tidemill quarantine show flights 3\n  tidemill quarantine release flights 3"}
	return family(c, a.quarantineList(), a.quarantineShow(),
		a.quarantineDecide("release", "Let refused rows back in, without the checks of their values", "released"),
		a.quarantineDecide("drop", "Leave refused rows out for good", "dropped"))
}

func quarantinePath(dataset, ordinal string) string {
	path := "/api/v1/datasets/" + url.PathEscape(dataset) + "/quarantine"
	if ordinal != "" {
		path += "/" + url.PathEscape(ordinal)
	}
	return path
}

func (a *app) quarantineList() *cobra.Command {
	c := &cobra.Command{Use: "list DATASET", Short: "List segments with refused rows", Args: needs("DATASET"),
		Example: "  tidemill quarantine list flights -o json", ValidArgsFunction: a.completeOne(a.datasetNames)}
	f := format(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		all, err := call.Get[api.List[api.Quarantine]](c.Context(), client, quarantinePath(args[0], ""), nil)
		if err != nil {
			return err
		}
		g := getting{app: a, format: *f}
		return list(&g, all.Items, []string{"SEGMENT", "STATE", "ROWS", "REASONS", "AT"}, func(q api.Quarantine) []string {
			return []string{render.ID(q.Ordinal), q.State, render.Count(q.Rows), render.Reasons(q.Reasons), render.Time(q.At)}
		})
	}
	return c
}

func (a *app) quarantineShow() *cobra.Command {
	var limit, offset int64
	c := &cobra.Command{Use: "show DATASET SEGMENT", Short: "Show refused rows with their reasons", Args: needsOrdinal("DATASET", "SEGMENT"),
		Example: "  tidemill quarantine show flights 3 --limit 10", ValidArgsFunction: a.completeOne(a.datasetNames)}
	f := format(c)
	c.Flags().Int64Var(&limit, "limit", 50, "at most so many rows")
	c.Flags().Int64Var(&offset, "offset", 0, "rows to pass over")
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		query := url.Values{"limit": {fmt.Sprint(limit)}, "offset": {fmt.Sprint(offset)}}
		all, err := call.Get[api.List[api.QuarantinedRow]](c.Context(), client, quarantinePath(args[0], args[1])+"/rows", query)
		if err != nil {
			return err
		}
		g := getting{app: a, format: *f}
		return list(&g, all.Items, []string{"REASON", "COLUMN", "DETAIL", "ROW"}, func(q api.QuarantinedRow) []string {
			return []string{q.Reason, q.Column, q.Detail, render.Cut(q.Row, 120)}
		})
	}
	return c
}

func (a *app) quarantineDecide(verb, what, done string) *cobra.Command {
	return &cobra.Command{Use: verb + " DATASET SEGMENT", Short: what, Args: needsOrdinal("DATASET", "SEGMENT"),
		Example: "  tidemill quarantine " + verb + " flights 3", ValidArgsFunction: a.completeOne(a.datasetNames),
		RunE: func(c *cobra.Command, args []string) error {
			return a.ask(c.Context(), quarantinePath(args[0], args[1])+"/"+verb, nil, "the refused rows of segment "+args[1]+" of "+args[0]+" are "+done)
		}}
}

// needsOrdinal is needs whose last argument is a number.
func needsOrdinal(names ...string) cobra.PositionalArgs {
	check := needs(names...)
	return func(c *cobra.Command, got []string) error {
		if err := check(c, got); err != nil {
			return err
		}
		if _, err := strconv.ParseUint(got[len(got)-1], 10, 64); err != nil {
			return wrongly("usage: "+c.UseLine(), "%q is not the number of a %s", got[len(got)-1], strings.ToLower(names[len(names)-1]))
		}
		return nil
	}
}

func (a *app) dead() *cobra.Command {
	c := &cobra.Command{Use: "dead", Short: "Look at messages that a service gave up on, and replay them",
		Example: "  tidemill dead list\n  tidemill dead show 7\n  tidemill dead replay 7"}
	return family(c, a.deadList(), a.deadShow(), a.deadReplay())
}

func (a *app) deadList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List dead letters", Args: needs(), Example: "  tidemill dead list -o json"}
	f := format(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		all, err := call.Get[api.List[api.Dead]](c.Context(), client, "/api/v1/dead", nil)
		if err != nil {
			return err
		}
		g := getting{app: a, format: *f}
		return list(&g, all.Items, []string{"LETTER", "AT", "HANDLER", "SUBJECT", "ERROR"}, func(d api.Dead) []string {
			return []string{render.ID(d.Seq), render.Time(d.At), d.Handler, d.Subject, render.Cut(d.Error, 100)}
		})
	}
	return c
}

func (a *app) deadShow() *cobra.Command {
	c := &cobra.Command{Use: "show LETTER", Short: "Show a dead letter with its message", Args: needsOrdinal("LETTER"), Example: "  tidemill dead show 7"}
	f := format(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		d, err := call.Get[api.Dead](c.Context(), client, "/api/v1/dead/"+args[0], nil)
		if err != nil {
			return err
		}
		return a.show(*f, d, func(g *render.Grid) {
			g.Field("letter", render.ID(d.Seq))
			g.Field("handler", d.Handler)
			g.Field("subject", d.Subject)
			g.Field("sequence", render.ID(d.Source))
			g.Field("at", render.Time(d.At))
			g.Field("error", d.Error)
			if len(d.Message) > 0 {
				g.Text("")
				g.Text(string(d.Message))
			}
		})
	}
	return c
}

func (a *app) deadReplay() *cobra.Command {
	return &cobra.Command{Use: "replay LETTER", Short: "Give a dead letter back to the service that gave up on it", Args: needsOrdinal("LETTER"),
		Example: "  tidemill dead replay 7",
		RunE: func(c *cobra.Command, args []string) error {
			return a.ask(c.Context(), "/api/v1/dead/"+args[0]+"/replay", nil, "letter "+args[0]+" is replayed")
		}}
}
