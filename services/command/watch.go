package command

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

func (a *app) watch() *cobra.Command {
	return &cobra.Command{Use: "watch [MODEL]", Short: "Watch cycles live, the last ones first", Args: args("[MODEL]"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.api()
			if err != nil {
				return err
			}
			model := ""
			if len(args) == 1 {
				model = args[0]
				if _, err := call.Get[api.Model](c.Context(), client, modelPath(model), nil); err != nil {
					return err
				}
			}
			return a.watching(c.Context(), client, model)
		}}
}

// watching prints a line per step of a cycle, and on a terminal the progress of trials in place.
func (a *app) watching(ctx context.Context, client *call.Client, model string) error {
	since := "-200"
	for {
		q := url.Values{"follow": {"true"}, "since": {since}}
		if model != "" {
			q.Set("model", model)
		}
		err := client.Stream(ctx, q, func(e call.Event) error {
			if e.ID != "" && e.Name == "fact" {
				since = e.ID
			}
			return a.watched(e)
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return nil
		}
	}
}

// dull are facts that would flood a person.
var dull = map[string]bool{"segment.written": true, "segment.accepted": true, "segment.observed": true, "timer.fired": true}

func (a *app) watched(e call.Event) error {
	switch e.Name {
	case "fact":
		var f api.FactEvent
		if err := json.Unmarshal(e.Data, &f); err != nil {
			return err
		}
		if dull[f.Type.Short()] {
			return nil
		}
		text := f.Text
		if f.CycleID != "" && !strings.Contains(text, f.CycleID) {
			text = f.CycleID + "  " + text
		}
		a.printf("%s  %-20s  %s\n", f.Time.UTC().Format("15:04:05"), f.Type.Short(), text)
	case "progress":
		if !a.Terminal {
			return nil
		}
		var p events.TrialProgressed
		var f events.Fact
		if json.Unmarshal(e.Data, &f) != nil || f.Decode(&p) != nil {
			return nil
		}
		const width = 24
		done := int(p.Fraction * width)
		a.printf("\r%s  %-10s [%s%s] %3.0f %%  %.60s\033[K\r", p.Trial, p.Phase, strings.Repeat("=", done), strings.Repeat(" ", width-done), 100*p.Fraction, p.Message)
	}
	return nil
}

func (a *app) why() *cobra.Command {
	c := &cobra.Command{Use: "why MODEL[@VERSION]", Short: "Say why a version is live, back to the rows", Args: args("MODEL")}
	format := output(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		model, version := splitVersion(args[0])
		return a.reading(c, *format, func(g getter) error {
			q := url.Values{}
			if version != "" {
				q.Set("version", version)
			}
			w, err := call.Get[api.Why](g.ctx, g.client, modelPath(model)+"/why", q)
			if err != nil {
				return err
			}
			return a.show(g.format, w, func(t *tabwriter.Writer) {
				fmt.Fprintf(t, "%s\n\n", w.Text)
				for _, s := range w.Chain {
					row(t, fmt.Sprint(s.Seq), s.At.UTC().Format("2006-01-02 15:04:05"), s.Type, s.Text)
				}
				if len(w.Policy) > 0 {
					fmt.Fprintf(t, "\nThe policy decided:\n")
					tree(t, w.Policy, "  ")
				}
			})
		})
	}
	return c
}

func (a *app) whyNot() *cobra.Command {
	c := &cobra.Command{Use: "why-not MODEL", Short: "Say why no cycle runs now", Args: args("MODEL")}
	format := output(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.reading(c, *format, func(g getter) error {
			w, err := call.Get[api.WhyNot](g.ctx, g.client, modelPath(args[0])+"/why-not", nil)
			if err != nil {
				return err
			}
			return a.show(g.format, w, func(t *tabwriter.Writer) {
				fmt.Fprintln(t, w.Text)
				tree(t, w.Reasons, "  ")
			})
		})
	}
	return c
}

func tree(w *tabwriter.Writer, reasons []events.Reason, indent string) {
	for _, r := range reasons {
		mark := "·"
		if r.Holds {
			mark = "✓"
		}
		fmt.Fprintf(w, "%s%s %s: %s\n", indent, mark, r.Rule, r.Text)
		tree(w, r.Children, indent+"  ")
	}
}
