package gateway_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/services/api"
)

func TestWorkersAreListedWhileTheyAreThere(t *testing.T) {
	t.Parallel()
	p := open(t)
	require.Empty(t, get[api.List[api.Worker]](p, "/api/v1/workers", nil).Items)
	since := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	badge := jobs.NewBadge(p.JS, jobs.Presence{Name: "mill-1", Pool: "gpu", Slots: 2, Busy: 1, Host: "h", Version: "v", Since: since, Draining: true}, jobs.PresenceOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- badge.Run(ctx, func() { close(ready) }) }()
	<-ready
	require.Equal(t, []api.Worker{{Name: "mill-1", Pool: "gpu", Slots: 2, Busy: 1, Host: "h", Version: "v", Since: since, Draining: true}},
		get[api.List[api.Worker]](p, "/api/v1/workers", nil).Items)
	cancel()
	require.NoError(t, <-ended)
	require.Empty(t, get[api.List[api.Worker]](p, "/api/v1/workers", nil).Items)
}
