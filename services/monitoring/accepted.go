package monitoring

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/obs"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/catalog"
	"github.com/tidemill/tidemill/services/internal/scoring"
	"github.com/tidemill/tidemill/workers/runtime"
)

// accepted observes a segment for every model of its dataset.
func (s *Service) accepted(ctx context.Context, f events.Fact, p events.SegmentAccepted) error {
	if err := s.refresh(ctx, f, p); err != nil {
		return err
	}
	for _, m := range s.host.Catalog.ModelsOf(p.Dataset) {
		if err := s.observe(ctx, f, p, m); err != nil {
			return fmt.Errorf("observe segment %d of %s for %s: %w", p.Ordinal, p.Dataset, m.Name(), err)
		}
	}
	return nil
}

// declared observes the newest segment for a model that was declared, or moved to another dataset, after it: what is there may be
// enough for its first version.
func (s *Service) declared(ctx context.Context, f events.Fact, name string) error {
	m, ok := s.host.Catalog.Model(name)
	if !ok {
		return nil // it was deleted since
	}
	newest, ok := s.host.Catalog.Newest(m.Model.Dataset, f.Seq)
	if !ok {
		return nil
	}
	doc, err := s.docs.Get(ctx, name)
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	if doc.Value.on(newest.Dataset).Last > 0 {
		return nil // it is observed already, a segment after the other
	}
	if err := s.observe(ctx, f, newest, m); err != nil {
		return fmt.Errorf("observe segment %d of %s for %s: %w", newest.Ordinal, newest.Dataset, name, err)
	}
	return nil
}

// observe lets the champion score the segment and looks at every monitor of the model's policy.
func (s *Service) observe(ctx context.Context, f events.Fact, p events.SegmentAccepted, m catalog.Resource) error {
	doc, err := s.docs.Get(ctx, m.Name())
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	var found finding
	if before := doc.Value.on(p.Dataset); !doc.Applied.Has(f.ID) && p.Ordinal > before.Last {
		if found, err = s.look(ctx, p, m, before); err != nil {
			return err
		}
		s.host.Crash(CrashScored)
	}
	_, err = s.docs.Decide(ctx, m.Name(), f, s.host.Bus, func(w watch, _ bool) (watch, []events.Fact, error) {
		if w = w.on(p.Dataset); p.Ordinal <= w.Last {
			return w, nil, state.ErrUnchanged
		}
		return s.conclude(f, p, m, w, found)
	})
	return err
}

// finding is what a look at a segment gave.
type finding struct {
	metrics map[string]float64
	scores  *events.Blob
	version string
	recent  []seen
	states  []monitored
}

// look does the expensive part: nothing in it changes anything but content-addressed blobs.
func (s *Service) look(ctx context.Context, p events.SegmentAccepted, m catalog.Resource, w watch) (finding, error) {
	var out finding
	now := seen{Ordinal: p.Ordinal, MinTime: p.MinTime, MaxTime: p.MaxTime, Profile: p.Profile}
	if w.Champion != nil {
		out.version = w.Champion.Version.Version
		scored, err := s.score(ctx, p, m, w.Champion.Version)
		switch {
		case err == nil:
			if out.scores, out.metrics, err = s.keep(ctx, p, m, scored); err != nil {
				return out, err
			}
			now.Version, now.Scores = out.version, out.scores
		case errors.Is(err, scoring.ErrNoRows), scoring.Unfit(err):
			s.host.Log.Warn("the champion can't score a segment", obs.Model(m.Name()), zap.Uint64("ordinal", p.Ordinal), zap.Error(err))
		default:
			return out, err
		}
	}
	monitors := s.monitors(ctx, m)
	out.recent = trim(append(slices.Clone(w.Recent), now), p.Watermark, monitors)
	var err error
	out.states, err = s.check(ctx, monitors, w, out.recent, p.Watermark)
	return out, err
}

func (s *Service) score(ctx context.Context, p events.SegmentAccepted, m catalog.Resource, ref events.Version) (scoring.Scored, error) {
	dataset, ok := s.host.Catalog.Dataset(p.Dataset)
	if !ok {
		return scoring.Scored{}, scoring.ErrNoRows
	}
	v, err := s.versions.Open(ctx, ref)
	if err != nil {
		return scoring.Scored{}, err
	}
	defer v.Release()
	rows, err := s.data.Extract(ctx, v.Query(p.Dataset, dataset.Dataset.Columns, []events.Segment{p.Segment}, m.Model.Label, runtime.Range{}))
	if err != nil {
		return scoring.Scored{}, err
	}
	return v.Score(ctx, rows)
}

// keep computes the metrics and stores the scores.
func (s *Service) keep(ctx context.Context, p events.SegmentAccepted, m catalog.Resource, x scoring.Scored) (*events.Blob, map[string]float64, error) {
	metrics, err := evaluation.Compute(x.Scored)
	if err != nil && !errors.Is(err, evaluation.ErrUnusable) {
		return nil, nil, err
	}
	width := max(1, x.Classes)
	blob, err := lake.WriteScores(ctx, s.host.Engine, s.host.Blobs, "scores/"+m.Name(), lake.Scores{Time: x.Time, Label: x.Label, Score: x.Scores, Width: width})
	if err != nil {
		return nil, nil, err
	}
	s.scores.entries.Add(blob.SHA256, x)
	return &blob, metrics, nil
}

// conclude decides: alerts that begin and end, then the observation.
func (s *Service) conclude(f events.Fact, p events.SegmentAccepted, m catalog.Resource, w watch, found finding) (watch, []events.Fact, error) {
	w.Dataset, w.Last, w.Recent = p.Dataset, p.Ordinal, found.recent
	b := &book{service: s, cause: f, model: m.Name(), dataset: p.Dataset, ordinal: p.Ordinal, at: p.Watermark, open: maps.Clone(w.Open)}
	b.update(found.states)
	w.Open = b.open
	observed := events.SegmentObserved{Model: m.Name(), Dataset: p.Dataset, Ordinal: p.Ordinal, Rows: p.Rows, Champion: found.version,
		Metrics: found.metrics, Scores: found.scores, Profile: p.Profile, MaxTime: p.MaxTime, Watermark: p.Watermark, TotalRows: p.TotalRows,
		TotalBytes: p.TotalBytes, Accepted: p.Accepted, Batches: p.Batches, Chain: p.Chain, OpenAlerts: refs(w.Open)}
	fact, err := events.NewFact(events.SegmentStepID(p.Dataset, p.Ordinal, "observed/"+m.Name()), events.SegmentObservedType, Name, p.Dataset,
		s.host.Clock(), observed)
	if err != nil {
		return w, nil, err
	}
	return w, append(b.facts, fact.Caused(f)), b.err
}

func refs(open map[string]events.Alert) []events.AlertRef {
	var out []events.AlertRef
	for _, key := range slices.Sorted(maps.Keys(open)) {
		a := open[key]
		out = append(out, events.AlertRef{ID: a.ID, Kind: a.Kind, Column: a.Column, Metric: a.Metric})
	}
	return out
}

// trim drops the segments that no declared window reaches any more.
func trim(recent []seen, watermark time.Time, monitors []monitor) []seen {
	var longest time.Duration
	for _, m := range monitors {
		longest = max(longest, m.window)
	}
	from := watermark.Add(-longest)
	return slices.DeleteFunc(recent, func(x seen) bool { return !x.MaxTime.After(from) })
}
