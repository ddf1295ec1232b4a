package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/render"
)

func (a *app) retrain() *cobra.Command {
	var in api.Retrain
	var wait bool
	c := &cobra.Command{Use: "retrain MODEL", Short: "Ask for a cycle now", Args: needs("MODEL"),
		Long: "Ask for a cycle now, whatever the policy's triggers say. The candidate still has to pass the gates. With --wait the exit code\n" +
			"tells: 0 promoted, 1 any other outcome.",
		Example: "  tidemill retrain flight-delay\n  tidemill retrain flight-delay --window 'sliding 7d' --reason 'only last week' --wait"}
	c.ValidArgsFunction = a.completeOne(a.modelNames)
	f := c.Flags()
	f.StringVar(&in.Window, "window", "", "rows to train on instead of the policy's: expanding, 'sliding 7d', 'sliding 50000rows' …")
	f.StringVar(&in.Reason, "reason", "", "why, for those who ask later")
	f.BoolVar(&wait, "wait", false, "follow the cycle to its end")
	_ = c.RegisterFlagCompletionFunc("window", fixed("expanding", "sliding 7d", "sliding 28d")) // fails for a flag that isn't there
	c.RunE = func(c *cobra.Command, args []string) error {
		if in.Window != "" {
			if _, err := events.ParseWindow(in.Window); err != nil {
				return wrongly("", "--window: %s", err)
			}
		}
		client, err := a.client()
		if err != nil {
			return err
		}
		r := retraining{app: a, client: client, path: "/api/v1/models/" + url.PathEscape(args[0]), screen: a.screen()}
		if err := r.settled(c.Context()); err != nil {
			return err
		}
		asked, err := call.Post[api.Asked](c.Context(), client, r.path+"/retrain", nil, in)
		if err != nil {
			return err
		}
		if !wait {
			fmt.Fprintf(a.Out, "asked for a cycle of %s; follow it with: tidemill watch %s\n", args[0], args[0])
			return nil
		}
		return r.follow(c.Context(), asked)
	}
	return c
}

// retraining follows a wish to the end of its cycle.
type retraining struct {
	*app
	client *call.Client
	path   string // of the model
	screen *screen
	told   int // steps
}

// settling is how long retrain waits for rows that are on their way.
const settling = 10 * time.Second

// settled waits a little until what was published before is known to the policy: a wish right after a publish means those rows.
func (r *retraining) settled(ctx context.Context) error {
	for deadline := time.Now().Add(settling); ; {
		m, err := call.Get[api.Model](ctx, r.client, r.path, nil)
		if err != nil {
			return err
		}
		d, err := call.Get[api.Dataset](ctx, r.client, "/api/v1/datasets/"+url.PathEscape(m.Dataset), nil)
		if err != nil {
			return err
		}
		if m.Observed >= d.Segments && m.Decided >= m.Observed || time.Now().After(deadline) {
			return nil
		}
		if err := lifecycle.Pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// steady is how often things must look the same before they are believed: a cycle that was requested becomes visible a moment
// after the evaluation that requested it.
const steady = 10

func (r *retraining) follow(ctx context.Context, asked api.Asked) error {
	for still := 0; ; {
		cycles, err := call.Get[api.List[api.Cycle]](ctx, r.client, r.path+"/cycles", url.Values{"limit": {"10"}})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(cycles.Items, func(c api.Cycle) bool {
			return slices.ContainsFunc(c.CycleRequested.Causes, func(x events.Cause) bool { return x.FactID == asked.ID })
		})
		if i >= 0 {
			if c := cycles.Items[i]; r.show(c) {
				return r.end(c)
			}
		} else {
			m, err := call.Get[api.Model](ctx, r.client, r.path, nil)
			if err != nil {
				return err
			}
			waits := m.Evaluation == nil || m.Evaluation.Pending || m.Evaluated < asked.Seq
			if still++; waits {
				still = 0
			}
			if still > steady {
				return r.refused(*m.Evaluation)
			}
			if m.Cycle != nil {
				r.screen.draw(append([]string{"waiting for the running cycle"}, cycleLines(*m.Cycle)...))
			}
		}
		if err := lifecycle.Pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// show tells what is new of the cycle, and whether it has ended.
func (r *retraining) show(c api.Cycle) (ended bool) {
	for ; r.told < len(c.Steps); r.told++ {
		s := c.Steps[r.told]
		if s.Type == events.CycleEndedType.Short() {
			continue // the last line says it
		}
		r.screen.log(r.style(r.Out).Dim(s.At.UTC().Format("15:04:05Z")) + "  " + s.Text)
	}
	if c.Outcome == "" {
		r.screen.draw(cycleLines(c))
		return false
	}
	r.screen.clear()
	return true
}

func (r *retraining) end(c api.Cycle) error {
	fmt.Fprintf(r.Out, "%s %s: %s\n", c.Cycle, outcome(c.Outcome, r.style(r.Out)), c.Reason)
	if c.Outcome != events.OutcomePromoted {
		return silent{errors.New(c.Outcome)}
	}
	return nil
}

// refused tells why the policy dropped the wish.
func (r *retraining) refused(e events.PolicyEvaluated) error {
	for _, l := range reasonLines(e.Reasons, "", r.style(r.Out)) {
		fmt.Fprintln(r.Out, l)
	}
	return failed("see: tidemill why-not "+e.Model, "no cycle of %s was requested", e.Model)
}

func (a *app) rollback() *cobra.Command {
	var in api.Rollback
	var wait bool
	c := &cobra.Command{Use: "rollback MODEL", Short: "Put an earlier champion back", Args: needs("MODEL"),
		Example:           "  tidemill rollback flight-delay\n  tidemill rollback flight-delay --to 3 --reason 'late flights look odd' --wait",
		ValidArgsFunction: a.completeOne(a.modelNames)}
	f := c.Flags()
	f.StringVar(&in.To, "to", "", "version to put back (default: the champion before this one)")
	f.StringVar(&in.Reason, "reason", "", "why, for those who ask later")
	f.BoolVar(&wait, "wait", false, "wait until it is champion")
	_ = c.RegisterFlagCompletionFunc("to", a.completeVersions) // fails for a flag that isn't there
	c.RunE = func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		in.To = plain(in.To)
		asked, err := call.Post[api.Asked](c.Context(), client, "/api/v1/models/"+url.PathEscape(args[0])+"/rollback", nil, in)
		if err != nil {
			return err
		}
		if wait {
			return a.awaitRollback(c.Context(), client, args[0], asked)
		}
		fmt.Fprintf(a.Out, "asked to roll back %s; see: tidemill why %s\n", args[0], args[0])
		return nil
	}
	return c
}

// rollbackTime is how long a rollback may take.
const rollbackTime = time.Minute

func (a *app) awaitRollback(ctx context.Context, client *call.Client, model string, asked api.Asked) error {
	bounded, cancel := context.WithTimeout(ctx, rollbackTime)
	defer cancel()
	done := false
	query := url.Values{"types": {events.ModelReadyType.Short()}, "model": {model}, "since": {strconv.FormatUint(asked.Seq+1, 10)}, "follow": {"true"}}
	err := a.live(bounded, client, query, func(e call.Event) error {
		var f api.FactEvent
		if e.Name != "fact" {
			return nil
		}
		if err := json.Unmarshal(e.Data, &f); err != nil {
			return fmt.Errorf("read fact %s: %w", e.ID, err)
		}
		ready, err := events.PayloadOf[events.ModelReady](f.Fact)
		if err != nil || ready.Reason != events.ReadyRolledBack {
			return err
		}
		done = true
		fmt.Fprintln(a.Out, f.Text)
		return call.ErrStop
	})
	switch {
	case err != nil || done:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return failed("see: tidemill get model "+model, "%s was not rolled back within %s", model, render.Span(rollbackTime))
}

func (a *app) pause() *cobra.Command {
	var in api.Pause
	c := &cobra.Command{Use: "pause MODEL", Short: "Let policy request no cycles of a model for now", Args: needs("MODEL"),
		Example:           "  tidemill pause flight-delay --reason 'the feed is being repaired'",
		ValidArgsFunction: a.completeOne(a.modelNames)}
	c.Flags().StringVar(&in.Reason, "reason", "", "why, for those who ask later")
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.ask(c.Context(), "/api/v1/models/"+url.PathEscape(args[0])+"/pause", in, args[0]+" is paused")
	}
	return c
}

func (a *app) resume() *cobra.Command {
	return &cobra.Command{Use: "resume MODEL", Short: "Let policy request cycles of a model again", Args: needs("MODEL"),
		Example:           "  tidemill resume flight-delay",
		ValidArgsFunction: a.completeOne(a.modelNames),
		RunE: func(c *cobra.Command, args []string) error {
			return a.ask(c.Context(), "/api/v1/models/"+url.PathEscape(args[0])+"/resume", nil, args[0]+" goes on")
		}}
}

// ask posts a wish and says that it was taken.
func (a *app) ask(ctx context.Context, path string, in any, said string) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	if _, err := call.Post[api.Asked](ctx, client, path, nil, in); err != nil {
		return err
	}
	fmt.Fprintln(a.Out, said)
	return nil
}
