package training_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/services/internal/hosttest"
	"github.com/tidemill/tidemill/workers/runtime"
)

// BenchmarkReaction is the time from saying cycle.requested to its trial being with a worker, on an idle platform.
func BenchmarkReaction(b *testing.B) {
	w := world(b)
	w.Apply(b, declared("late", linear))
	train(b, w)
	h := w.Host(b)
	got := make(chan string, 1)
	w.Run(b, jobs.NewQueue(h.JS).Component(jobs.Consumer{Kind: runtime.JobKind, Pool: "default", Slots: 1,
		Handler: func(_ context.Context, d jobs.Delivery) error { got <- d.ID; return nil }}))
	request(b, w, "late", 1)
	hosttest.Await(b, "the lease", func() bool { return len(got) == 1 })
	<-got
	number := int64(1)
	for b.Loop() {
		number++
		cycle := request(b, w, "late", number)
		require.Equal(b, cycle+"-linear-1", <-got)
	}
}
