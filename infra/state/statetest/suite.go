// Package statetest is the suite that documents and leases must pass on any NATS deployment: an embedded server, one server
// outside, a cluster.
package statetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
)

const patience = 20 * time.Second

// Factory prepares an empty server and returns how to connect to it; every call of connect opens a connection of its own, that
// is closed when the test ends.
type Factory func(t *testing.T) (connect func(t *testing.T) *nats.Conn)

// Run runs the suite. Its parts run in parallel, each on a server of its own.
func Run(t *testing.T, factory Factory) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, func(*testing.T) *nats.Conn)
	}{
		{"Documents", testDocuments},
		{"DocumentTooLarge", testTooLarge},
		{"Watch", testWatch},
		{"DecideOnce", testDecideOnce},
		{"DecideFailures", testDecideFailures},
		{"ConcurrentDeciders", testConcurrentDeciders},
		{"CrashBetweenSteps", testCrashes},
		{"LeaseExcludes", testLeaseExcludes},
		{"LeaseTakeoverAfterKill", testLeaseKill},
		{"LeaseReclaim", testLeaseReclaim},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.run(t, factory(t))
		})
	}
}

func open(t *testing.T, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

// tally is the document of the tests: which causes were counted, in order.
type tally struct {
	Counted []string `json:"counted"`
}

// count is a decision that notes its cause and says one fact about it.
func count(cause events.Fact) func(tally, bool) (tally, []events.Fact, error) {
	return func(v tally, _ bool) (tally, []events.Fact, error) {
		v.Counted = append(slices.Clone(v.Counted), cause.ID)
		return v, []events.Fact{effect(cause)}, nil
	}
}

func cause(i int) events.Fact {
	return events.Fact{
		ID: events.DeriveID("cause", fmt.Sprint(i)), Type: events.SegmentObservedType, Source: "/tidemill/monitoring", Subject: "m",
		Time: time.Unix(int64(i), 0).UTC(), Data: []byte(`{}`), Seq: uint64(i + 1), CycleID: "c", TraceParent: "t",
	}
}

func effect(cause events.Fact) events.Fact {
	return events.Fact{
		ID: events.DeriveID(cause.ID, "effect"), Type: events.CycleRequestedType, Source: "/tidemill/retraining", Subject: "m",
		Time: cause.Time, Data: []byte(`{"a":1}`),
	}
}

// ledger is a Sayer that remembers; it fails when told to.
type ledger struct {
	mu   sync.Mutex
	said []events.Fact
	fail error
}

func (l *ledger) Say(_ context.Context, f events.Fact) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return 0, l.fail
	}
	l.said = append(l.said, f)
	return uint64(len(l.said)), nil
}

func (l *ledger) setFailure(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

// distinct returns the ids said, each at its first place.
func (l *ledger) distinct() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for _, f := range l.said {
		if !slices.Contains(ids, f.ID) {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

var errAway = errors.New("the broker is away")
