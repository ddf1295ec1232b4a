package monitoring

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/internal/decider"
)

const (
	datasetPrefix  = "dataset." // of keys; no model's name has a dot
	timerFreshness = "freshness"
	keyQuality     = "quality"
)

// refresh notes that a dataset is fresh, and ends what was wrong with its data.
func (s *Service) refresh(ctx context.Context, f events.Fact, p events.SegmentAccepted) error {
	limit, watched := s.maxDelay(p.Dataset)
	key := datasetPrefix + p.Dataset
	_, err := s.docs.Get(ctx, key)
	if errors.Is(err, state.ErrNotFound) && !watched {
		return nil
	}
	_, err = s.docs.Decide(ctx, key, f, s.host.Bus, func(w watch, _ bool) (watch, []events.Fact, error) {
		b := s.datasetBook(f, p.Segment, w)
		b.at = p.Watermark
		w.Fresh = time.Time{}
		if watched {
			w.Fresh = p.MaxTime.Add(limit)
		}
		if _, open := b.open[keyQuality]; open {
			b.resolve(keyQuality, 0, fmt.Sprintf("segment %d was accepted", p.Ordinal))
		}
		if _, open := b.open[timerFreshness]; open && w.Fresh.After(s.host.Clock()) {
			b.resolve(timerFreshness, 0, "fresh rows have come")
		}
		w.Open = b.open
		return w, b.facts, b.err
	})
	return err
}

// maxDelay is the shortest delay that the dataset's freshness rules allow.
func (s *Service) maxDelay(dataset string) (limit time.Duration, ok bool) {
	d, declared := s.host.Catalog.Dataset(dataset)
	if !declared {
		return 0, false
	}
	for _, r := range d.Dataset.Rules {
		if r.MaxDelay != nil && (!ok || r.MaxDelay.Std() < limit) {
			limit, ok = r.MaxDelay.Std(), true
		}
	}
	return limit, ok
}

func (s *Service) datasetBook(f events.Fact, x events.Segment, w watch) *book {
	return &book{service: s, cause: f, dataset: x.Dataset, ordinal: x.Ordinal, at: x.MaxTime, open: maps.Clone(w.Open)}
}

// quarantined raises an alert about the data.
func (s *Service) quarantined(ctx context.Context, f events.Fact, p events.SegmentQuarantined) error {
	if len(p.Violations) == 0 {
		return nil
	}
	_, err := s.docs.Decide(ctx, datasetPrefix+p.Dataset, f, s.host.Bus, func(w watch, _ bool) (watch, []events.Fact, error) {
		if _, open := w.Open[keyQuality]; open {
			return w, nil, nil
		}
		b := s.datasetBook(f, p.Segment, w)
		first := p.Violations[0]
		texts := make([]string, len(p.Violations))
		for i, v := range p.Violations {
			texts[i] = v.Message
		}
		b.raise(keyQuality, events.Alert{Kind: events.AlertQuality, Column: first.Column, Metric: first.Rule, Value: first.Value,
			Threshold: first.Limit, Message: fmt.Sprintf("segment %d was quarantined: %s", p.Ordinal, strings.Join(texts, "; "))})
		w.Open = b.open
		return w, b.facts, b.err
	})
	return err
}

// timers are the moments at which datasets become stale.
func (s *Service) timers(ctx context.Context, _ time.Time) ([]decider.Timer, error) {
	docs, err := s.docs.List(ctx)
	if err != nil {
		return nil, err
	}
	var out []decider.Timer
	for _, doc := range docs {
		name, isDataset := strings.CutPrefix(doc.Key, datasetPrefix)
		if _, open := doc.Value.Open[timerFreshness]; isDataset && !doc.Value.Fresh.IsZero() && !open {
			out = append(out, decider.Timer{Kind: timerFreshness, Name: name, Due: doc.Value.Fresh})
		}
	}
	return out, nil
}

func (s *Service) timer(ctx context.Context, f events.Fact, p events.TimerFired) error {
	if p.Owner != Name || p.Kind != timerFreshness {
		return nil
	}
	_, err := s.docs.Decide(ctx, datasetPrefix+p.Name, f, s.host.Bus, func(w watch, _ bool) (watch, []events.Fact, error) {
		if _, open := w.Open[timerFreshness]; open || !w.Fresh.Equal(p.Due) {
			return w, nil, state.ErrUnchanged
		}
		b := s.datasetBook(f, events.Segment{Dataset: p.Name, MaxTime: p.Due}, w)
		b.raise(timerFreshness, events.Alert{Kind: events.AlertFreshness, Metric: resource.KindDataset,
			Message: fmt.Sprintf("no row newer than the allowed delay has come to %s since %s", p.Name, p.Due.Format(time.RFC3339))})
		w.Open = b.open
		return w, b.facts, b.err
	})
	return err
}
