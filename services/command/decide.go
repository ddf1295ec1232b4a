package command

import (
	"context"
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

func modelPath(model string) string { return "/api/v1/models/" + url.PathEscape(model) }

func (a *app) retrain() *cobra.Command {
	var window, reason string
	var wait bool
	c := &cobra.Command{Use: "retrain MODEL", Short: "Ask for a cycle now", Args: args("MODEL"),
		Example: "  tidemill retrain flight-delay --wait\n  tidemill retrain flight-delay --window 'sliding 7d'",
		RunE: func(c *cobra.Command, args []string) error {
			if window != "" {
				if _, err := events.ParseWindow(window); err != nil {
					return WrongUse(err)
				}
			}
			client, err := a.api()
			if err != nil {
				return err
			}
			if err := settled(c.Context(), client, args[0]); err != nil {
				return err
			}
			asked, err := call.Post[api.Asked](c.Context(), client, modelPath(args[0])+"/retrain", nil, api.Retrain{Window: window, Reason: reason})
			if err != nil {
				return err
			}
			if !wait {
				a.printf("asked (fact %d); follow it with: tidemill watch %s\n", asked.Seq, args[0])
				return nil
			}
			return a.awaitCycle(c.Context(), client, args[0], asked)
		}}
	c.Flags().StringVar(&window, "window", "", "train on this window instead of the policy's: expanding, 'sliding 7d', 'sliding 50000rows'")
	c.Flags().StringVar(&reason, "reason", "", "why; it is kept in the ledger")
	c.Flags().BoolVar(&wait, "wait", false, "wait for the end; exit 0 only when it was promoted")
	return c
}

// settled waits a little until what was published before is known to the policy: a wish right after a publish means those rows.
func settled(ctx context.Context, client *call.Client, model string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		m, err := call.Get[api.Model](ctx, client, modelPath(model), nil)
		if err != nil {
			return err
		}
		d, err := call.Get[api.Dataset](ctx, client, "/api/v1/datasets/"+url.PathEscape(m.Dataset), nil)
		if err != nil {
			return err
		}
		// Segments that were refused whole are never observed.
		if m.Observed+d.SegmentsHeld >= d.Segments && m.Decided >= m.Observed {
			return nil
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return nil
		}
	}
}

// awaitCycle follows the cycle that a wish began to its end.
func (a *app) awaitCycle(ctx context.Context, client *call.Client, model string, asked api.Asked) error {
	told := map[uint64]bool{}
	for {
		cycles, err := call.Get[api.List[api.Cycle]](ctx, client, modelPath(model)+"/cycles", nil)
		if err != nil {
			return err
		}
		for _, c := range cycles.Items {
			if !begunBy(c, asked.ID) {
				continue
			}
			for _, s := range c.Steps {
				if !told[s.Seq] {
					told[s.Seq] = true
					a.printf("%s  %s\n", s.At.UTC().Format("15:04:05"), s.Text)
				}
			}
			if c.Outcome == "" {
				break
			}
			a.printf("%s: %s: %s\n", c.Cycle, c.Outcome, c.Reason)
			if c.Outcome != events.OutcomePromoted {
				return fmt.Errorf("the cycle %s was %s: %s", c.Cycle, c.Outcome, c.Reason)
			}
			return nil
		}
		m, err := call.Get[api.Model](ctx, client, modelPath(model), nil)
		if err != nil {
			return err
		}
		if e := m.Evaluation; e != nil && e.Cause == events.RetrainAskedType.Short() && !e.Requested && !e.Pending && m.Cycle == nil {
			return fmt.Errorf("the wish was refused: %s", firstUnmet(e.Reasons))
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func begunBy(c api.Cycle, wish string) bool {
	for _, cause := range c.Causes {
		if cause.FactID == wish {
			return true
		}
	}
	return false
}

// firstUnmet is the sentence of the first guardrail that holds a cycle back.
func firstUnmet(tree []events.Reason) string {
	for _, r := range tree {
		if r.Rule != "guardrails" {
			continue
		}
		for _, child := range r.Children {
			if !child.Holds {
				return child.Text
			}
		}
	}
	return "see tidemill why-not"
}

func (a *app) rollback() *cobra.Command {
	var to, reason string
	c := &cobra.Command{Use: "rollback MODEL", Short: "Put an earlier champion back", Args: args("MODEL"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.api()
			if err != nil {
				return err
			}
			before, err := call.Get[api.Model](c.Context(), client, modelPath(args[0]), nil)
			if err != nil {
				return err
			}
			to = strings.TrimPrefix(to, "v")
			if _, err := call.Post[api.Asked](c.Context(), client, modelPath(args[0])+"/rollback", nil, api.Rollback{To: to, Reason: reason}); err != nil {
				return err
			}
			deadline, cancel := context.WithTimeout(c.Context(), 30*time.Second)
			defer cancel()
			for {
				m, err := call.Get[api.Model](deadline, client, modelPath(args[0]), nil)
				if err != nil {
					return err
				}
				if m.Champion != nil && before.Champion != nil && m.Champion.Version.Version != before.Champion.Version.Version {
					a.printf("version %s is champion of %s\n", m.Champion.Version.Version, args[0])
					return nil
				}
				if err := pause(deadline, 50*time.Millisecond); err != nil {
					return fmt.Errorf("the rollback was asked for, but the champion is still the same")
				}
			}
		}}
	c.Flags().StringVar(&to, "to", "", "version (default: the champion before the present one)")
	c.Flags().StringVar(&reason, "reason", "", "why; it is kept in the ledger")
	return c
}

func (a *app) pause() *cobra.Command  { return a.ask("pause", "Stop automatic cycles of a model") }
func (a *app) resume() *cobra.Command { return a.ask("resume", "Let automatic cycles go on") }

func (a *app) ask(verb, about string) *cobra.Command {
	var reason string
	c := &cobra.Command{Use: verb + " MODEL", Short: about, Args: args("MODEL"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.api()
			if err != nil {
				return err
			}
			if _, err := call.Post[api.Asked](c.Context(), client, modelPath(args[0])+"/"+verb, nil, map[string]string{"reason": reason}); err != nil {
				return err
			}
			a.printf("%sd %s\n", verb, args[0])
			return nil
		}}
	c.Flags().StringVar(&reason, "reason", "", "why; it is kept in the ledger")
	return c
}

func (a *app) quarantine() *cobra.Command {
	root := &cobra.Command{Use: "quarantine", Short: "List, release or drop refused rows"}
	listing := &cobra.Command{Use: "list DATASET", Short: "List refused rows by segment", Args: args("DATASET")}
	format := output(listing)
	listing.RunE = func(c *cobra.Command, args []string) error {
		return a.reading(c, *format, func(g getter) error {
			return list(g, "/api/v1/datasets/"+url.PathEscape(args[0])+"/quarantine", "", []string{"ORDINAL", "ROWS", "STATE", "AT", "REASONS"}, func(q api.Quarantine) []string {
				return []string{count(q.Ordinal), count(q.Rows), q.State, when(q.At), reasons(q.Reasons)}
			})
		})
	}
	show := &cobra.Command{Use: "show DATASET ORDINAL", Short: "Show refused rows as they were sent", Args: args("DATASET", "ORDINAL")}
	showFormat := output(show)
	show.RunE = func(c *cobra.Command, args []string) error {
		return a.reading(c, *showFormat, func(g getter) error {
			return list(g, "/api/v1/datasets/"+url.PathEscape(args[0])+"/quarantine/"+url.PathEscape(args[1])+"/rows", "", []string{"REASON", "COLUMN", "DETAIL", "ROW"}, func(q api.QuarantinedRow) []string {
				return []string{q.Reason, q.Column, q.Detail, q.Row}
			})
		})
	}
	root.AddCommand(listing, show, a.judgeRows("release", "Let refused rows in: types are still checked, ranges are not"), a.judgeRows("drop", "Keep refused rows out for good"))
	return root
}

func (a *app) judgeRows(verb, about string) *cobra.Command {
	return &cobra.Command{Use: verb + " DATASET ORDINAL", Short: about, Args: args("DATASET", "ORDINAL"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.api()
			if err != nil {
				return err
			}
			if _, err := call.Post[api.Asked](c.Context(), client, "/api/v1/datasets/"+url.PathEscape(args[0])+"/quarantine/"+url.PathEscape(args[1])+"/"+verb, nil, nil); err != nil {
				return err
			}
			a.printf("%s: the refused rows of segment %s of %s\n", verb, args[1], args[0])
			return nil
		}}
}

// reading runs a command that only reads.
func (a *app) reading(c *cobra.Command, format string, do func(getter) error) error {
	if err := checkOutput(format); err != nil {
		return err
	}
	client, err := a.api()
	if err != nil {
		return err
	}
	return do(getter{app: a, ctx: c.Context(), client: client, format: format})
}

func (a *app) dead() *cobra.Command {
	root := &cobra.Command{Use: "dead", Short: "List, show or replay messages that a handler gave up on"}
	listing := &cobra.Command{Use: "list", Short: "List dead letters", Args: args()}
	format := output(listing)
	listing.RunE = func(c *cobra.Command, _ []string) error {
		return a.reading(c, *format, func(g getter) error {
			return list(g, "/api/v1/dead", "", []string{"SEQ", "HANDLER", "SUBJECT", "AT", "ERROR"}, func(d api.Dead) []string {
				return []string{count(d.Seq), d.Handler, d.Subject, when(d.At), d.Error}
			})
		})
	}
	show := &cobra.Command{Use: "show SEQ", Short: "Show a dead letter", Args: args("SEQ"), RunE: func(c *cobra.Command, args []string) error {
		return a.reading(c, "json", func(g getter) error {
			d, err := call.Get[api.Dead](g.ctx, g.client, "/api/v1/dead/"+url.PathEscape(args[0]), nil)
			if err != nil {
				return err
			}
			return a.show("json", d, func(*tabwriter.Writer) {})
		})
	}}
	replay := &cobra.Command{Use: "replay SEQ", Short: "Give a dead letter to its handler again", Args: args("SEQ"), RunE: func(c *cobra.Command, args []string) error {
		client, err := a.api()
		if err != nil {
			return err
		}
		if _, err := call.Post[api.Asked](c.Context(), client, "/api/v1/dead/"+url.PathEscape(args[0])+"/replay", nil, nil); err != nil {
			return err
		}
		a.printf("replayed %s\n", args[0])
		return nil
	}}
	root.AddCommand(listing, show, replay)
	return root
}
