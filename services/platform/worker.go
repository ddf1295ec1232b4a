package platform

import (
	"context"
	"fmt"
	"os"

	"github.com/go-chi/chi/v5"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/rows"
	"github.com/tidemill/tidemill/workers/runtime"
)

// newWorker makes the worker that runs trials.
func newWorker(ctx context.Context, p *process, _ chi.Router) (lifecycle.Component, error) {
	attempts, err := jobs.OpenAttempts(ctx, p.host.JS, events.BucketTrials, state.Options{Replicas: p.o.Replicas, Crash: p.host.Crash})
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	runner := p.newRunner(ctx, rows.New(p.host.Engine, p.host.Blobs))
	name, err := os.Hostname()
	if err != nil {
		name = "worker"
	}
	return runtime.NewWorker(p.host.JS, attempts, p.host.Bus, p.host.Blobs, runner, runtime.WorkerOptions{
		Name: fmt.Sprintf("%s-%d", name, os.Getpid()), Pool: p.o.Pool, Slots: p.o.Slots, Drain: p.o.Drain, AckWait: p.o.Lease, Keep: p.o.CheckpointEvery,
		Host: name, Version: p.o.Version, Presence: jobs.PresenceOptions{Replicas: p.o.Replicas},
		Clock: p.host.Clock, Crash: p.host.Crash, Log: p.host.Log}), nil
}
