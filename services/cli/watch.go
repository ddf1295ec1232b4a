package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/render"
)

// recent is how many ended cycles of a model watch begins with.
const recent = 3

type watching struct {
	*app
	client *call.Client
	model  string // "": all
	screen *screen
	style  render.Style

	models []api.Model
	rates  api.Rates
	told   map[uint64]bool   // facts of cycles, by sequence
	phases map[string]string // of trials, as they were told last
	synced bool
	drawn  time.Time
}

func (a *app) watch() *cobra.Command {
	return &cobra.Command{Use: "watch [MODEL]", Short: "Watch cycles live: their steps, trials, alerts and champions", Args: needs("[MODEL]"),
		Long: "Watch cycles live, beginning with the last few. On a terminal the lines at the end are kept up to date, with a progress bar for\n" +
			"each trial that runs; elsewhere there is one line for each step. Ctrl-C ends it.",
		Example:           "  tidemill watch\n  tidemill watch flight-delay",
		ValidArgsFunction: a.completeOne(a.modelNames),
		RunE: func(c *cobra.Command, args []string) (err error) {
			w := &watching{app: a, screen: a.screen(), style: a.style(a.Out), told: map[uint64]bool{}, phases: map[string]string{}}
			if len(args) > 0 {
				w.model = args[0]
			}
			if w.client, err = a.client(); err != nil {
				return err
			}
			ctx := c.Context()
			if err := w.begin(ctx); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			return a.live(ctx, w.client, url.Values{"follow": {"true"}}, func(e call.Event) error { return w.event(ctx, e) })
		}}
}

// begin tells where things are.
func (w *watching) begin(ctx context.Context) error {
	if err := w.refresh(ctx); err != nil {
		return err
	}
	if len(w.models) == 0 {
		w.screen.log("no model is declared yet; see: tidemill init --help")
	}
	for _, m := range w.models {
		cycles, err := w.cyclesOf(ctx, m.Name, recent+1)
		if err != nil {
			return err
		}
		for _, c := range slices.Backward(cycles) {
			if c.Outcome != "" {
				w.screen.log(w.line(c.Ended, c.Cycle+" "+outcome(c.Outcome, w.style)+": "+c.Reason))
				w.mark(c)
			} else {
				w.tell(c)
			}
		}
	}
	w.draw(true)
	return nil
}

// refresh asks for the models anew.
func (w *watching) refresh(ctx context.Context) error {
	if w.model != "" {
		m, err := call.Get[api.Model](ctx, w.client, "/api/v1/models/"+url.PathEscape(w.model), nil)
		if err == nil {
			w.models = []api.Model{m}
		}
		return err
	}
	all, err := call.Get[api.List[api.Model]](ctx, w.client, "/api/v1/models", nil)
	if err == nil {
		w.models = all.Items
	}
	return err
}

func (w *watching) cyclesOf(ctx context.Context, model string, limit int) ([]api.Cycle, error) {
	all, err := call.Get[api.List[api.Cycle]](ctx, w.client, "/api/v1/models/"+url.PathEscape(model)+"/cycles", url.Values{"limit": {fmt.Sprint(limit)}})
	return all.Items, err
}

// mark counts the steps of a cycle as told.
func (w *watching) mark(c api.Cycle) {
	for _, s := range c.Steps {
		w.told[s.Seq] = true
	}
}

// tell tells the steps of a cycle that were not told yet.
func (w *watching) tell(c api.Cycle) {
	for _, s := range c.Steps {
		if !w.told[s.Seq] {
			w.told[s.Seq] = true
			w.screen.log(w.line(s.At, s.Text))
		}
	}
}

func (w *watching) line(at time.Time, text string) string {
	return w.style.Dim(at.UTC().Format("15:04:05Z")) + "  " + text
}

// event shows one event of the stream.
func (w *watching) event(ctx context.Context, e call.Event) error {
	if !w.synced {
		// From here on nothing is missed; what happened between begin and now is told first.
		w.synced = true
		if err := w.catchUp(ctx); err != nil {
			return err
		}
	}
	switch e.Name {
	case "fact":
		var f api.FactEvent
		if err := json.Unmarshal(e.Data, &f); err != nil {
			return fmt.Errorf("read fact %s: %w", e.ID, err)
		}
		return w.fact(ctx, f)
	case "progress":
		var p events.TrialProgressed
		if err := json.Unmarshal(e.Data, &p); err != nil {
			return fmt.Errorf("read progress: %w", err)
		}
		w.progress(p)
	case "rates":
		if err := json.Unmarshal(e.Data, &w.rates); err != nil {
			return fmt.Errorf("read rates: %w", err)
		}
		w.draw(false)
	}
	return nil
}

func (w *watching) catchUp(ctx context.Context) error {
	if err := w.refresh(ctx); err != nil {
		return err
	}
	for _, m := range w.models {
		cycles, err := w.cyclesOf(ctx, m.Name, recent+1)
		if err != nil {
			return err
		}
		for _, c := range slices.Backward(cycles) {
			w.tell(c)
		}
	}
	return nil
}

// watched are the facts that people watch: what concerns a model, not each segment.
func watched(t events.Type) bool {
	switch t.Noun() {
	case "cycle", "trial", "candidate", "rollout", "rollback", "model", "alert", "retrain":
		return true
	}
	return false
}

func (w *watching) fact(ctx context.Context, f api.FactEvent) error {
	about := f.Subject == w.model || strings.HasPrefix(f.CycleID, w.model+"-")
	if !watched(f.Type) || w.told[f.Seq] || w.model != "" && !about {
		return nil
	}
	w.told[f.Seq] = true
	text := f.Text
	switch f.Type {
	case events.CycleEndedType:
		if p, err := events.PayloadOf[events.CycleEnded](f.Fact); err == nil {
			text = p.Cycle + " " + outcome(p.Outcome, w.style) + ": " + p.Reason
		}
	case events.ModelReadyType:
		text = w.style.Good(text)
	case events.AlertRaisedType:
		text = w.style.Warn(text)
	}
	w.screen.log(w.line(f.Time, text))
	if err := w.refresh(ctx); err != nil {
		return err
	}
	w.draw(true)
	return nil
}

// progress notes how far a trial is; where nothing can be kept up to date, a new phase is a line.
func (w *watching) progress(p events.TrialProgressed) {
	if w.model != "" && p.Model != w.model {
		return
	}
	if !w.screen.live && w.phases[p.Trial] != p.Phase {
		w.phases[p.Trial] = p.Phase
		text := p.Trial + " is " + p.Phase
		if p.Message != "" {
			text += ": " + p.Message
		}
		w.screen.log(w.line(time.Now(), text))
	}
	for i := range w.models {
		c := w.models[i].Cycle
		if c == nil || c.Cycle != p.Cycle {
			continue
		}
		for j := range c.Trials {
			if t := &c.Trials[j]; t.Trial == p.Trial {
				t.State, t.Phase, t.Fraction, t.Message = "running", p.Phase, p.Fraction, p.Message
			}
		}
	}
	w.draw(false)
}

// draw keeps the end of the terminal up to date, at most ten times a second unless it is urgent.
func (w *watching) draw(urgent bool) {
	if now := time.Now(); urgent || now.Sub(w.drawn) > 100*time.Millisecond {
		w.drawn = now
		w.screen.draw(w.below())
	}
}

func (w *watching) below() []string {
	out := []string{""}
	for _, m := range w.models {
		text := m.Name
		if champion := championOf(m); champion != "" {
			text += "  champion " + champion
		}
		if primary := primaryOf(m); primary != "" {
			text += "  " + primary
		}
		if m.Paused {
			text += "  paused"
		}
		if n := len(m.OpenAlerts); n > 0 {
			text += fmt.Sprintf("  open alerts %d", n)
		}
		if r, ok := w.rates.Datasets[m.Dataset]; ok {
			text += fmt.Sprintf("  rows/s %.0f", r.Accepted)
		}
		out = append(out, text)
		if m.Cycle != nil {
			out = append(out, cycleLines(*m.Cycle)...)
		}
	}
	return out
}

// cycleLines are a cycle in flight, with a bar for each trial.
func cycleLines(c api.Cycle) []string {
	out := []string{"  " + c.Cycle + " " + c.State + ": " + causes(c.CycleRequested.Causes)}
	shown := c.Trials
	if len(shown) > maxBars {
		shown = slices.DeleteFunc(slices.Clone(shown), func(t api.Trial) bool { return t.State != "running" })
	}
	for _, t := range shown {
		note := t.Phase
		if t.Message != "" {
			note += ", " + t.Message
		}
		if t.State != "running" {
			note = t.State
		}
		out = append(out, fmt.Sprintf("    %-16s %s %3.0f%%  %s", barName(t), render.Bar(t.Fraction, 24), 100*t.Fraction, note))
	}
	if len(c.Trials) > maxBars || c.Queued > inState(c.Trials, "queued") {
		out = append(out, fmt.Sprintf("    %d succeeded, %d stopped, %d failed, %d queued", inState(c.Trials, "succeeded"),
			inState(c.Trials, "stopped"), inState(c.Trials, "failed"), c.Queued))
	}
	return out
}

// maxBars is how many trials have a bar each; of more only those that run have one.
const maxBars = 8

// barName is the candidate, with the number of its trial from the second one on.
func barName(t api.Trial) string {
	switch {
	case t.Refit:
		return t.Candidate + " refit"
	case t.Number > 1:
		return fmt.Sprintf("%s %d", t.Candidate, t.Number)
	}
	return t.Candidate
}
