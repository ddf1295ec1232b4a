package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/render"
)

func (g *getting) workers(ctx context.Context, name string) error {
	all, err := call.Get[api.List[api.Worker]](ctx, g.client, "/api/v1/workers", nil)
	if err != nil {
		return err
	}
	items := all.Items
	if name != "" {
		items = slices.DeleteFunc(items, func(w api.Worker) bool { return w.Name != name })
		if len(items) == 0 {
			return failed("see: tidemill get workers", "there is no worker %q", name)
		}
		return g.show(g.format, items[0], func(t *render.Grid) { workerFields(t, items[0]) })
	}
	return list(g, items, []string{"WORKER", "POOL", "SLOTS", "BUSY", "STATE", "HOST", "SINCE"}, func(w api.Worker) []string {
		return []string{w.Name, w.Pool, fmt.Sprint(w.Slots), fmt.Sprint(w.Busy), workerState(w), w.Host, render.Time(w.Since)}
	})
}

func workerState(w api.Worker) string {
	switch {
	case w.Draining:
		return "draining"
	case w.Busy == 0:
		return "idle"
	}
	return "working"
}

func workerFields(t *render.Grid, w api.Worker) {
	t.Field("worker", w.Name)
	t.Field("pool", w.Pool)
	t.Field("slots", fmt.Sprint(w.Slots))
	t.Field("busy", fmt.Sprint(w.Busy))
	t.Field("state", workerState(w))
	t.Field("host", w.Host)
	t.Field("version", w.Version)
	t.Field("since", render.Time(w.Since))
}
