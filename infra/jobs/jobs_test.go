package jobs_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/infra/jobs/jobstest"
	"github.com/tidemill/tidemill/infra/natsserver/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuiteOnTheEmbeddedServer(t *testing.T) {
	t.Parallel()
	jobstest.Run(t, func(t *testing.T) func(*testing.T) *nats.Conn {
		s := natstest.Start(t)
		return func(t *testing.T) *nats.Conn { return natstest.Conn(t, s) }
	})
}
