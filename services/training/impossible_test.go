package training_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/hosttest"
)

func failure(t *testing.T, w *hosttest.World, cycle string) string {
	t.Helper()
	return said(t, w, events.CandidateFailedType, cycle, func(p events.CandidateFailed) string { return p.Cycle }).Reason
}

// TestMoreTrialsThanADocumentHolds refuses a grid that begins all at once, and ends a search that goes on by generations before
// its document is full.
func TestMoreTrialsThanADocumentHolds(t *testing.T) {
	t.Parallel()
	w := world(t)
	grid := `  candidates:
    - {name: boost, trainer: process, command: [x], search: {method: grid%s, space: {a_hyperparameter: {int: [1, 80]}, another_hyperparameter: {int: [1, 80]}}}}
`
	w.Apply(t, declared("all", fmt.Sprintf(grid, "")))
	train(t, w)
	require.Contains(t, failure(t, w, request(t, w, "all", 1)), "set search.parallel, or lower search.trials")

	long := strings.Repeat("long", 2000)
	w.Apply(t, declared("some", fmt.Sprintf(`  candidates:
    - {name: boost, trainer: process, command: [x], search: {method: random, trials: 1000, parallel: 20, space: {lr: {float: [0, 1]}, text: {choice: [a%s, b%s]}}}}
`, long, long)))
	crew, _ := employ(t, w, 8, byRate)
	trained(t, w, request(t, w, "some", 1))
	require.Len(t, crew.trials(), 80, "of 8 kB each, a generation of 20 more would be too many")
}

// TestASnapshotOfTooManySegments can't be handed to a worker: its trial is larger than a message.
func TestASnapshotOfTooManySegments(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Apply(t, strings.ReplaceAll(dataset, "trips", "many"))
	w.Apply(t, strings.ReplaceAll(declared("late", linear), "dataset: trips", "dataset: many"))
	for i := range 3000 {
		from := noon.Add(time.Duration(i) * time.Hour)
		w.Say(t, events.SegmentAcceptedType, "many", events.SegmentAccepted{Segment: events.Segment{Dataset: "many", Ordinal: uint64(i + 1),
			Parquet: events.Blob{Key: strings.Repeat("k", 3000)}, Rows: 100, MinTime: from, MaxTime: from}})
	}
	train(t, w)
	cycle := request(t, w, "late", 1, func(p *events.CycleRequested) { p.Snapshot.Dataset, p.Snapshot.Through = "many", 3000 })
	require.Contains(t, failure(t, w, cycle), "use a sliding window")
}

// TestADatasetThatIsGone ends a cycle whose trials still wait for their release.
func TestADatasetThatIsGone(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Apply(t, declared("late", fmt.Sprintf(searching, "")))
	train(t, w)
	cycle := request(t, w, "late", 1)
	hosttest.Await(t, "two for nobody", func() bool { return waiting(t, w, "default") == 2 })
	w.Say(t, events.ResourceDeletedType, "trips", events.ResourceDeleted{Kind: "Dataset", Name: "trips", Revision: 2})
	employ(t, w, 1, byRate)
	require.Equal(t, "the dataset trips is not declared", failure(t, w, cycle))
}
