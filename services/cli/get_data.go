package cli

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/render"
)

func (g *getting) datasets(ctx context.Context, name string) error {
	if name == "" {
		all, err := call.Get[api.List[api.Dataset]](ctx, g.client, "/api/v1/datasets", nil)
		if err != nil {
			return err
		}
		return list(g, all.Items, []string{"DATASET", "SEGMENTS", "ACCEPTED", "QUARANTINED", "WAITING", "WATERMARK"}, func(d api.Dataset) []string {
			return []string{d.Name, render.Count(d.Segments), render.Count(d.Accepted), render.Count(d.Quarantined), render.Count(d.Waiting), render.Time(d.Watermark)}
		})
	}
	d, err := call.Get[api.Dataset](ctx, g.client, "/api/v1/datasets/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	return g.show(g.format, d, func(t *render.Grid) {
		t.Field("dataset", d.Name)
		t.Field("revision", render.ID(d.Revision))
		t.Field("segments", render.Count(d.Segments))
		t.Field("accepted rows", render.Count(d.Accepted))
		t.Field("quarantined rows", withReasons(d.Quarantined, d.Reasons))
		if d.SegmentsHeld > 0 {
			t.Field("segments held back", fmt.Sprintf("%s with %s rows", render.Count(d.SegmentsHeld), render.Count(d.RowsHeld)))
		}
		t.Field("waiting", render.Count(d.Waiting))
		t.Field("watermark", render.Time(d.Watermark))
		t.Field("chain", d.Chain)
	})
}

func withReasons(n int64, reasons map[string]int64) string {
	if len(reasons) == 0 {
		return render.Count(n)
	}
	return render.Count(n) + " (" + render.Reasons(reasons) + ")"
}

func (g *getting) segments(ctx context.Context, name string) error {
	if name != "" {
		return g.segment(ctx, name)
	}
	names, err := g.datasetList(ctx)
	if err != nil {
		return err
	}
	all, err := gather[api.Segment](ctx, g, names, segmentsPath)
	if err != nil {
		return err
	}
	return list(g, all, []string{"SEGMENT", "STATE", "ROWS", "SIZE", "FROM", "TO", "SHA256"}, func(s api.Segment) []string {
		return []string{fmt.Sprintf("%s@%d", s.Dataset, s.Ordinal), s.State, render.Count(s.Rows), render.Bytes(s.Parquet.Bytes),
			render.Time(s.MinTime), render.Time(s.MaxTime), short(s.Parquet.SHA256)}
	})
}

func segmentsPath(dataset string) string { return "/api/v1/datasets/" + dataset + "/segments" }

// short is the beginning of a digest.
func short(digest string) string { return digest[:min(len(digest), 12)] }

func (g *getting) segment(ctx context.Context, name string) error {
	dataset, ordinal, err := pair(name, "dataset", g.dataset, "DATASET@ORDINAL")
	if err != nil {
		return err
	}
	all, err := call.Get[api.List[api.Segment]](ctx, g.client, segmentsPath(url.PathEscape(dataset)), url.Values{"limit": {"100000"}})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all.Items, func(s api.Segment) bool { return fmt.Sprint(s.Ordinal) == ordinal })
	if i < 0 {
		return failed("see: tidemill get segments --dataset "+dataset, "%s has no segment %s", dataset, ordinal)
	}
	s := all.Items[i]
	return g.show(g.format, s, func(t *render.Grid) {
		t.Field("segment", fmt.Sprintf("%s@%d", s.Dataset, s.Ordinal))
		t.Field("state", s.State)
		t.Field("written", render.Time(s.At))
		t.Field("rows", render.Count(s.Rows))
		t.Field("event times", between(render.Time(s.MinTime), render.Time(s.MaxTime)))
		t.Field("file", s.Batch)
		t.Field("parquet", s.Parquet.Key)
		t.Field("size", render.Bytes(s.Parquet.Bytes))
		for _, v := range s.Violations {
			t.Field("violation", v.Message)
		}
	})
}

func between(from, to string) string {
	if from == "" || to == "" {
		return ""
	}
	return from + " to " + to
}

func (g *getting) batches(ctx context.Context, name string) error {
	if name == "" {
		return wrongly("'tidemill publish' prints it; for example: tidemill get batch BATCH --dataset flights", "which batch?")
	}
	names, err := g.datasetList(ctx)
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return wrongly("give --dataset, one of "+strings.Join(names, ", "), "of which dataset is the batch %s?", name)
	}
	b, err := call.Get[api.Batch](ctx, g.client, "/api/v1/datasets/"+url.PathEscape(names[0])+"/batches/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	return g.show(g.format, b, func(t *render.Grid) {
		t.Field("batch", b.Batch)
		t.Field("dataset", names[0])
		t.Field("rows", unlessZero(b.Rows))
		t.Field("accepted", render.Count(b.Accepted))
		t.Field("quarantined", withReasons(b.Quarantined, b.Reasons))
		t.Field("done", yes(b.Done))
		t.Field("error", b.Error)
	})
}

func unlessZero(n int64) string {
	if n == 0 {
		return ""
	}
	return render.Count(n)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (g *getting) alerts(ctx context.Context, name string) error {
	query := url.Values{}
	if g.open {
		query.Set("open", "true")
	}
	all, err := call.Get[api.List[api.Alert]](ctx, g.client, "/api/v1/alerts", query)
	if err != nil {
		return err
	}
	items := slices.DeleteFunc(all.Items, func(a api.Alert) bool {
		return g.model != "" && a.Model != g.model || g.dataset != "" && a.Dataset != g.dataset || name != "" && a.ID != name
	})
	if name != "" {
		if len(items) == 0 {
			return failed("see: tidemill get alerts", "there is no alert %q", name)
		}
		return g.show(g.format, items[0], func(t *render.Grid) { alertFields(t, items[0]) })
	}
	return list(g, items, []string{"AT", "STATE", "KIND", "ABOUT", "VALUE", "THRESHOLD", "MESSAGE"}, func(x api.Alert) []string {
		return []string{render.Time(x.At), alertState(x), x.Kind, alertAbout(x), render.Figure(x.Value), render.Figure(x.Threshold), x.Message}
	})
}

func alertState(x api.Alert) string {
	if x.Open {
		return "open"
	}
	return "resolved"
}

// alertAbout names model or dataset, and the column or the metric.
func alertAbout(x api.Alert) string {
	about := x.Model
	if about == "" {
		about = x.Dataset
	}
	for _, part := range []string{x.Column, x.Metric} {
		if part != "" {
			about += " " + part
		}
	}
	return about
}

func alertFields(t *render.Grid, x api.Alert) {
	t.Field("alert", x.ID)
	t.Field("state", alertState(x))
	t.Field("kind", x.Kind)
	t.Field("about", alertAbout(x))
	t.Field("value", render.Figure(x.Value))
	t.Field("threshold", render.Figure(x.Threshold))
	t.Field("segment", render.ID(x.Ordinal))
	t.Field("raised", render.Time(x.At))
	t.Field("resolved", render.Time(x.Resolved))
	t.Field("message", x.Message)
}
