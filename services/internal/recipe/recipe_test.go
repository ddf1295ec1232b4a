package recipe_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/catalog"
	"github.com/tidemill/tidemill/services/internal/recipe"
	"github.com/tidemill/tidemill/workers/runtime"
)

const declared = `
apiVersion: tidemill.dev/v1
kind: Dataset
metadata: {name: trips}
spec:
  columns:
    - {name: at, type: timestamp, eventTime: true}
    - {name: distance, type: float64}
    - {name: delay, type: float64}
---
apiVersion: tidemill.dev/v1
kind: Model
metadata: {name: late}
spec:
  dataset: trips
  task: regression
  features: distance
  label: delay
  weight: distance / 2
  seed: 4
  split: {by: time, validation: 1d, test: 2d}
  candidates: [{name: linear, trainer: builtin/linear, params: {l2: 1.0, tolerance: 0.1}}]
  evaluation: {primary: rmse, gates: [{metric: rmse, max: 100}]}
`

const day = 24 * time.Hour

var start = time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)

// end is just after the newest of the trips' ten days.
var end = start.Add(10*day - time.Hour + time.Microsecond)

// trips is a catalog with ten segments, of a day with a row an hour each.
func trips(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, seq := catalog.New(), uint64(0)
	say := func(ty events.Type, subject string, payload any) {
		f, err := events.NewFact(events.DeriveID(subject, time.Duration(seq).String()), ty, "test", subject, start, payload)
		require.NoError(t, err)
		seq++
		f.Seq = seq
		require.NoError(t, c.Apply(f))
	}
	list, err := resource.Parse([]byte(declared), "test.yaml")
	require.NoError(t, err)
	for _, r := range list {
		say(events.ResourceAppliedType, r.Metadata.Name, events.ResourceApplied{Kind: r.Kind, Name: r.Metadata.Name, Revision: 1, Digest: r.Digest, Resource: r.Canonical})
	}
	for i := range 10 {
		from := start.Add(time.Duration(i) * day)
		say(events.SegmentAcceptedType, "trips", events.SegmentAccepted{Segment: events.Segment{Dataset: "trips", Ordinal: uint64(i + 1), Rows: 24,
			MinTime: from, MaxTime: from.Add(23 * time.Hour)}})
	}
	say(events.CandidateTrainedType, "late", events.CandidateTrained{Version: events.Version{Model: "late", Version: "1", SHA256: "one"}})
	two := events.Version{Model: "late", Version: "2", SHA256: "two"}
	say(events.CandidateRefittedType, "late", events.CandidateRefitted{Model: "late", Refitted: &two})
	return c
}

func asked(w events.Window) events.CycleRequested {
	return events.CycleRequested{Cycle: "late-3", Model: "late", ModelRevision: 1, Snapshot: events.Snapshot{Dataset: "trips", Through: 10, Window: w}}
}

// TestTheWindowsOfATrialAndOfItsRefit: times are days since the start of the data, ordinals those of segments.
func TestTheWindowsOfATrialAndOfItsRefit(t *testing.T) {
	t.Parallel()
	at := func(days time.Duration) time.Time { return end.Add(-10*day + days*day) } // the hold-out ends with the data
	for name, c := range map[string]struct {
		window              events.Window
		from, again         time.Time // of training, and of the refit
		since, sinceAgain   uint64
		newest, sample      int64
		segments, segsAgain int
	}{
		"expanding":        {events.Window{}, start, start, 0, 0, 0, 0, 10, 10},
		"sliding duration": {events.Window{Duration: events.Duration(4 * day)}, at(3), at(6), 0, 0, 0, 0, 7, 4},
		"sliding rows":     {events.Window{Rows: 30}, start.Add(5 * day), start.Add(8 * day), 0, 0, 30, 0, 5, 2},
		"sliding segments": {events.Window{Segments: 2}, start.Add(5 * day), start.Add(8 * day), 6, 9, 0, 0, 5, 2},
		"sample":           {events.Window{Sample: 50, Method: events.SampleReservoir}, start, start, 0, 0, 0, 50, 10, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			catalog := trips(t)
			base, err := recipe.Base(catalog, asked(c.window))
			require.NoError(t, err)
			require.Equal(t, runtime.Range{From: c.from, To: at(7)}, base.Train)
			require.Equal(t, runtime.Range{From: at(7), To: at(8)}, base.Validation)
			require.Equal(t, runtime.Range{From: at(8), To: end}, base.Test)
			require.Equal(t, c.since, base.TrainSince)
			require.Len(t, base.Segments, c.segments)

			again, err := recipe.RefitBase(catalog, asked(c.window))
			require.NoError(t, err)
			require.Equal(t, runtime.Range{From: c.again, To: end}, again.Train)
			require.Equal(t, base.Test, again.Validation)
			require.Equal(t, again.Test.From, again.Test.To, "nothing is held out")
			require.Equal(t, c.sinceAgain, again.TrainSince)
			require.Len(t, again.Segments, c.segsAgain)
			for _, s := range []runtime.Spec{base, again} {
				require.Equal(t, c.newest, s.LastRows)
				require.Equal(t, c.sample, s.Sample)
				require.Equal(t, c.window.Method, s.Method)
				require.Equal(t, "distance / 2", s.Weight)
				require.EqualValues(t, 4, s.Seed)
			}
		})
	}
}

func TestTrialsOfABase(t *testing.T) {
	t.Parallel()
	c := trips(t)
	p := asked(events.Window{})
	p.Champion, p.WarmStart = "2", true
	m, err := recipe.Model(c, p)
	require.NoError(t, err)
	base, err := recipe.Base(c, p)
	require.NoError(t, err)
	require.Equal(t, "two", base.WarmStart.SHA256)

	trial := recipe.Trial(base, m.Candidates[0], map[string]any{"l2": 3.0}, 2)
	require.NoError(t, trial.Check())
	require.Equal(t, "late-3-linear-2", trial.Trial)
	require.Equal(t, map[string]any{"l2": 3.0, "tolerance": 0.1}, trial.Hyperparameters())
	again := recipe.Refit(base, m.Candidates[0], trial.Params, map[string]float64{"best": 7})
	require.NoError(t, again.Check())
	require.Equal(t, "late-3-linear-refit", again.Trial)
	require.Equal(t, trial.Hyperparameters(), again.Hyperparameters())
	brought := recipe.Import(base, events.Import{Name: "m.onnx"}, "gpu")
	require.Equal(t, "gpu", brought.Candidate.Pool)
	require.NoError(t, brought.Check())
	require.Equal(t, "late-3-import-1", brought.Trial)
	require.Nil(t, brought.WarmStart)
	require.Equal(t, "", base.Trial, "the base stays as it is")

	p.WarmStart = false
	base, err = recipe.Base(c, p)
	require.NoError(t, err)
	require.Nil(t, base.WarmStart)
}

func TestWhatCanNotBePlanned(t *testing.T) {
	t.Parallel()
	c := trips(t)
	for want, change := range map[string]func(*events.CycleRequested){
		"revision 2 of the model late is not known": func(p *events.CycleRequested) { p.ModelRevision = 2 },
		"there are no accepted rows yet":            func(p *events.CycleRequested) { p.Snapshot.Through = 0 },
		"leaves nothing to train on":                func(p *events.CycleRequested) { p.Snapshot.Through = 2 },
	} {
		p := asked(events.Window{})
		change(&p)
		_, err := recipe.Base(c, p)
		require.ErrorContains(t, err, want)
		require.NotEmpty(t, recipe.Impossibility(err))
		_, err = recipe.RefitBase(c, p)
		require.ErrorContains(t, err, want)
	}
	require.Empty(t, recipe.Impossibility(errors.New("the broker is away")))
}

// store keeps what is put.
type store map[string][]byte

func (s store) PutBytes(_ context.Context, key string, b []byte) (events.Blob, error) {
	s[key] = b
	return events.Blob{Key: key, SHA256: events.SHA256(b), Bytes: int64(len(b))}, nil
}

func TestCodeIsTheAppliedOneOrTheFoldersOfNow(t *testing.T) {
	t.Parallel()
	dir, blobs := t.TempDir(), store{}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "train.py"), []byte("print()"), 0o600))
	applied := events.Blob{Key: "code/applied"}
	got, err := recipe.Code(t.Context(), blobs, resource.Candidate{Source: dir, Code: &applied})
	require.NoError(t, err)
	require.Equal(t, &applied, got)
	require.Empty(t, blobs)
	got, err = recipe.Code(t.Context(), blobs, resource.Candidate{Source: dir})
	require.NoError(t, err)
	require.Contains(t, blobs, got.Key)
	got, err = recipe.Code(t.Context(), blobs, resource.Candidate{})
	require.NoError(t, err)
	require.Nil(t, got)
	_, err = recipe.Code(t.Context(), blobs, resource.Candidate{Name: "x", Source: filepath.Join(dir, "gone")})
	require.Contains(t, recipe.Impossibility(err), "the source of candidate x can't be packed")
}
