package command

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

func (a *app) get() *cobra.Command {
	var model, dataset string
	var declared bool
	c := &cobra.Command{Use: "get KIND [NAME]", Short: "Show datasets, models, policies, cycles, versions, segments, alerts or the status", Args: args("KIND", "[NAME]"),
		Example: "  tidemill get models\n  tidemill get model flight-delay -o yaml\n  tidemill get model flight-delay --declared -o yaml\n  tidemill get cycles --model flight-delay\n  tidemill get segments --dataset flights\n  tidemill get alerts",
	}
	format := output(c)
	c.Flags().StringVar(&model, "model", "", "of cycles and versions")
	c.Flags().StringVar(&dataset, "dataset", "", "of segments")
	c.Flags().BoolVar(&declared, "declared", false, "the declaration, not how it stands")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkOutput(*format); err != nil {
			return err
		}
		client, err := a.api()
		if err != nil {
			return err
		}
		name := ""
		if len(args) > 1 {
			name = args[1]
		}
		g := getter{app: a, ctx: c.Context(), client: client, format: *format}
		kind := strings.ToLower(args[0])
		if declared && kinds[kind] != "" {
			return g.declared(kinds[kind], name)
		}
		return g.get(kind, name, model, dataset)
	}
	return c
}

type getter struct {
	app    *app
	ctx    context.Context
	client *call.Client
	format string
}

func (g getter) get(kind, name, model, dataset string) error {
	switch kind {
	case "dataset", "datasets":
		return list(g, "/api/v1/datasets", name, []string{"NAME", "ACCEPTED", "QUARANTINED", "SEGMENTS", "WATERMARK", "WAITING"}, func(d api.Dataset) []string {
			return []string{d.Name, count(d.Accepted), count(d.Quarantined), count(d.Segments), when(d.Watermark), count(d.Waiting)}
		})
	case "model", "models":
		return list(g, "/api/v1/models", name, []string{"NAME", "DATASET", "CHAMPION", "METRICS", "CYCLE", "ALERTS", "PROMOTED", "REJECTED", "FAILED"}, modelRow)
	case "policy", "policies", "retrainingpolicy":
		return g.declared("policies", name)
	case "cycle", "cycles":
		if model == "" {
			return wrongly("get cycles needs --model")
		}
		return list(g, "/api/v1/models/"+url.PathEscape(model)+"/cycles", name, []string{"CYCLE", "EVENT TIME", "STATE", "CAUSES", "VERSION", "REASON"}, cycleRow)
	case "version", "versions":
		if model == "" {
			return wrongly("get versions needs --model")
		}
		return list(g, "/api/v1/models/"+url.PathEscape(model)+"/versions", name, []string{"VERSION", "STATE", "CYCLE", "CANDIDATE", "TRAINED THROUGH", "METRICS"}, func(v api.Version) []string {
			return []string{v.Version.Version, v.State, v.Cycle, v.Candidate, when(v.TrainedThrough), figures(v.Metrics, "")}
		})
	case "segment", "segments":
		if dataset == "" {
			return wrongly("get segments needs --dataset")
		}
		return list(g, "/api/v1/datasets/"+url.PathEscape(dataset)+"/segments", "", []string{"ORDINAL", "STATE", "ROWS", "FROM", "TO", "SHA256"}, func(s api.Segment) []string {
			return []string{count(s.Ordinal), s.State, count(s.Rows), when(s.MinTime), when(s.MaxTime), clip(s.Parquet.SHA256, 12)}
		})
	case "alert", "alerts":
		return list(g, "/api/v1/alerts", "", []string{"KIND", "ABOUT", "OPEN", "EVENT TIME", "MESSAGE"}, func(x api.Alert) []string {
			about := x.Model
			if about == "" {
				about = x.Dataset
			}
			return []string{x.Kind, about, fmt.Sprint(x.Open), when(x.At), x.Message}
		})
	case "status":
		return g.status()
	}
	return wrongly("unknown kind %q: use datasets, models, policies, cycles, versions, segments, alerts or status", kind)
}

func modelRow(m api.Model) []string {
	champion, metrics, cycle := "", "", ""
	if m.Champion != nil {
		champion, metrics = m.Champion.Version.Version, figures(m.Champion.Metrics, m.Primary)
	}
	if m.Cycle != nil {
		cycle = m.Cycle.Cycle + " " + m.Cycle.State
	}
	return []string{m.Name, m.Dataset, champion, metrics, cycle, count(len(m.OpenAlerts)), count(m.Cycles["promoted"]), count(m.Cycles["rejected"]), count(m.Cycles["failed"])}
}

func cycleRow(c api.Cycle) []string {
	causes := make([]string, len(c.Causes))
	for i, x := range c.Causes {
		causes[i] = x.Trigger
	}
	state := c.State
	if c.Outcome != "" {
		state = c.Outcome
	}
	return []string{c.Cycle, when(c.EventTime), state, strings.Join(causes, ", "), c.Version, c.Reason}
}

func clip(s string, n int) string { return s[:min(n, len(s))] }

// list shows a list, or one of its members by name.
func list[T any](g getter, path, name string, head []string, cells func(T) []string) error {
	if name != "" {
		x, err := call.Get[T](g.ctx, g.client, path+"/"+url.PathEscape(name), nil)
		if err != nil {
			return err
		}
		return g.app.show(g.format, x, func(w *tabwriter.Writer) { row(w, head...); row(w, cells(x)...) })
	}
	x, err := call.Get[api.List[T]](g.ctx, g.client, path, nil)
	if err != nil {
		return err
	}
	if x.Items == nil {
		x.Items = []T{}
	}
	return g.app.show(g.format, x, func(w *tabwriter.Writer) {
		row(w, head...)
		for _, item := range x.Items {
			row(w, cells(item)...)
		}
	})
}

// declared shows resources as they were declared.
func (g getter) declared(kind, name string) error {
	if name == "" {
		return list(g, "/api/v1/resources/"+kind, "", []string{"KIND", "NAME", "REVISION", "APPLIED"}, func(r api.Resource) []string {
			return []string{r.Kind, r.Name, count(r.Revision), when(r.At)}
		})
	}
	r, err := call.Get[api.Resource](g.ctx, g.client, "/api/v1/resources/"+kind+"/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	if g.format == "json" {
		return g.app.show("json", r.Document, func(*tabwriter.Writer) {})
	}
	y, err := yaml.JSONToYAML(r.Document)
	if err != nil {
		return err
	}
	g.app.printf("%s", y)
	return nil
}

func (g getter) status() error {
	s, err := call.Get[api.Status](g.ctx, g.client, "/api/v1/status", nil)
	if err != nil {
		return err
	}
	return g.app.show(g.format, s, func(w *tabwriter.Writer) {
		row(w, "VERSION", s.Version)
		row(w, "STARTED", when(s.Started))
		row(w, "TARGETS", strings.Join(s.Targets, ", "))
		row(w, "NATS", s.NATS)
	})
}
