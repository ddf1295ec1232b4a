package platform

import (
	"context"
	"slices"

	"github.com/go-chi/chi/v5"

	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/services/deployment"
	"github.com/tidemill/tidemill/services/evaluation"
	"github.com/tidemill/tidemill/services/gateway"
	"github.com/tidemill/tidemill/services/ingestion"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/monitoring"
	"github.com/tidemill/tidemill/services/retraining"
	"github.com/tidemill/tidemill/services/serving"
	"github.com/tidemill/tidemill/services/training"
	"github.com/tidemill/tidemill/services/validation"
)

// target is one part of Tidemill that can run in a process of its own.
type target struct {
	name string
	// http: it answers requests, so the process needs the HTTP server.
	http bool
	make func(ctx context.Context, p *process, routes chi.Router) (lifecycle.Component, error)
}

// targets is the map of Tidemill: rows flow down this list, and back up as better models.
var targets = []target{
	{name: "gateway", http: true, make: func(ctx context.Context, p *process, r chi.Router) (lifecycle.Component, error) {
		return gateway.New(ctx, p.host, r, p.gatewayOptions())
	}},
	{name: ingestion.Name, make: decides(ingestion.New)},
	{name: validation.Name, make: decides(validation.New)},
	{name: monitoring.Name, make: decides(monitoring.New)},
	{name: retraining.Name, make: decides(retraining.New)},
	{name: training.Name, make: decides(training.New)},
	{name: "worker", make: newWorker},
	{name: evaluation.Name, make: decides(evaluation.New)},
	{name: deployment.Name, make: decides(deployment.New)},
	{name: "serving", http: true, make: func(ctx context.Context, p *process, r chi.Router) (lifecycle.Component, error) {
		return serving.New(ctx, p.host, r, p.servingOptions())
	}},
}

// decides is a target that only hears and says facts.
func decides(make func(context.Context, *host.Host) (lifecycle.Component, error)) func(context.Context, *process, chi.Router) (lifecycle.Component, error) {
	return func(ctx context.Context, p *process, _ chi.Router) (lifecycle.Component, error) {
		return make(ctx, p.host)
	}
}

// TargetNames lists every target.
func TargetNames() []string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.name
	}
	return names
}

// needsHTTP tells whether one of the names answers requests.
func needsHTTP(names []string) bool {
	return slices.ContainsFunc(targets, func(t target) bool { return t.http && slices.Contains(names, t.name) })
}
