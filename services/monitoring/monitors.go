package monitoring

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tidemill/tidemill/core/drift"
	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/profile"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/catalog"
	"github.com/tidemill/tidemill/services/internal/scoring"
)

// monitor is what one trigger of a policy declares.
type monitor struct {
	window      time.Duration
	performance *resource.PerformanceTrigger
	drift       *resource.DriftTrigger
	metric      evaluation.Metric // of performance
	columns     []string          // of drift
}

// monitored is how one monitor stands after a segment. ok false: there is too little to say anything, and an alert stays as it is.
type monitored struct {
	key   string
	kind  string
	ok    bool
	bad   bool
	alert events.Alert // what to raise; of a good one, the value that resolves
}

// monitors lists what the model's policy declares.
func (s *Service) monitors(ctx context.Context, m catalog.Resource) []monitor {
	policy, ok := s.host.Catalog.PolicyOf(m.Name())
	if !ok {
		return nil
	}
	var out []monitor
	walk(policy.Policy.When, func(t resource.Trigger) {
		switch {
		case t.Performance != nil:
			metric, err := evaluation.Lookup(t.Performance.Metric, m.Model.Task)
			if err != nil {
				return // the policy was checked against the model; a later model may not have the metric
			}
			out = append(out, monitor{window: t.Performance.Window.Std(), performance: t.Performance, metric: metric})
		case t.Drift != nil:
			out = append(out, monitor{window: t.Drift.Window.Std(), drift: t.Drift, columns: s.driftColumns(ctx, m, t.Drift)})
		}
	})
	return out
}

func walk(t resource.Trigger, visit func(resource.Trigger)) {
	visit(t)
	for _, child := range slices.Concat(t.Any, t.All) {
		walk(child, visit)
	}
}

// driftColumns are the declared ones, or those that the features use.
func (s *Service) driftColumns(ctx context.Context, m catalog.Resource, t *resource.DriftTrigger) []string {
	if len(t.Columns) > 0 {
		return t.Columns
	}
	dataset, ok := s.host.Catalog.Dataset(m.Model.Dataset)
	if !ok {
		return nil
	}
	used, err := s.data.Columns(ctx, dataset.Dataset, m.Model)
	if err != nil {
		return nil // the declaration was checked when it was applied
	}
	return slices.DeleteFunc(used, func(name string) bool { return name == dataset.Dataset.EventTime() })
}

// check looks at every monitor.
func (s *Service) check(ctx context.Context, monitors []monitor, w watch, recent []seen, watermark time.Time) ([]monitored, error) {
	if w.Champion == nil {
		return nil, nil
	}
	var out []monitored
	for _, m := range monitors {
		if m.performance != nil {
			state, err := s.performance(ctx, m, *w.Champion, recent, watermark)
			if err != nil {
				return nil, err
			}
			out = append(out, state)
			continue
		}
		states, err := s.drifted(ctx, m, *w.Champion, recent, watermark)
		if err != nil {
			return nil, err
		}
		out = append(out, states...)
	}
	return out, nil
}

// performance compares the champion's metric over the window with its metric at promotion. It says nothing before the champion
// has scored a whole window: the first rows of one are a few hours of a season, not a trend.
func (s *Service) performance(ctx context.Context, m monitor, c champion, recent []seen, watermark time.Time) (monitored, error) {
	p := m.performance
	out := monitored{kind: events.AlertPerformance, key: fmt.Sprintf("performance/%s/%s/%s", p.Metric, p.WorseBy, p.Window)}
	reference, known := c.Metrics[p.Metric]
	own := slices.DeleteFunc(slices.Clone(recent), func(x seen) bool { return x.Scores == nil || x.Version != c.Version.Version })
	if !known || len(own) == 0 || own[0].MinTime.After(watermark.Add(-m.window)) {
		return out, nil
	}
	rows := &evaluation.Scored{}
	for _, x := range own {
		part, err := s.scoresOf(ctx, x, c)
		if err != nil {
			return out, err
		}
		join(rows, part.Scored)
	}
	rows = rows.Select(since(rows, watermark.Add(-m.window)))
	if int64(rows.Len()) < p.MinRows {
		return out, nil
	}
	metrics, err := evaluation.Compute(rows)
	if err != nil {
		return out, nil // one class only, say: nothing can be said of this window
	}
	value, defined := metrics[p.Metric]
	if !defined {
		return out, nil
	}
	limit, err := worse(m.metric, reference, p.WorseBy)
	if err != nil {
		return out, err
	}
	out.ok, out.bad = true, m.metric.Better(limit, value)
	out.alert = events.Alert{Metric: p.Metric, Value: value, Threshold: limit, Message: fmt.Sprintf(
		"%s of version %s over the last %s is %s; at promotion it was %s, and %s is the limit (%s worse)",
		p.Metric, c.Version.Version, p.Window, figure(value), figure(reference), figure(limit), p.WorseBy)}
	return out, nil
}

// worse is the value that is by worse than reference.
func worse(m evaluation.Metric, reference float64, by string) (float64, error) {
	amount, relative, err := resource.ParseWorseBy(by)
	if err != nil {
		return 0, err
	}
	if relative {
		amount *= math.Abs(reference)
	}
	if m.Better(reference+amount, reference) {
		return reference - amount, nil
	}
	return reference + amount, nil
}

func figure(x float64) string { return fmt.Sprintf("%.4g", x) }

// join appends b to a.
func join(a, b *evaluation.Scored) {
	a.Task, a.Classes = b.Task, b.Classes
	a.Label, a.Scores, a.Time = append(a.Label, b.Label...), append(a.Scores, b.Scores...), append(a.Time, b.Time...)
}

// since are the rows with an event time after from.
func since(x *evaluation.Scored, from time.Time) []int {
	var rows []int
	for i, t := range x.Time {
		if t > from.UnixMicro() {
			rows = append(rows, i)
		}
	}
	return rows
}

// scoresOf are the scores of an observed segment.
func (s *Service) scoresOf(ctx context.Context, x seen, c champion) (scoring.Scored, error) {
	return s.scores.get(x.Scores.SHA256, func() (scoring.Scored, error) {
		v, err := s.versions.Open(ctx, c.Version)
		if err != nil {
			return scoring.Scored{}, err
		}
		defer v.Release()
		stored, err := lake.ReadScores(ctx, s.host.Engine, s.host.Blobs, *x.Scores)
		if err != nil {
			return scoring.Scored{}, err
		}
		out := &evaluation.Scored{Task: v.Manifest.Task, Label: stored.Label, Scores: stored.Score, Time: stored.Time}
		if out.Task == resource.TaskMulticlass {
			out.Classes = stored.Width
		}
		return scoring.Scored{Scored: out}, nil
	})
}

// drifted compares the window's columns with the rows that the champion was trained on.
func (s *Service) drifted(ctx context.Context, m monitor, c champion, recent []seen, watermark time.Time) ([]monitored, error) {
	if c.Reference == nil {
		return nil, nil
	}
	reference, err := s.profileOf(ctx, *c.Reference)
	if err != nil {
		return nil, err
	}
	var parts []*profile.Profile
	for _, x := range recent {
		if !x.MaxTime.After(watermark.Add(-m.window)) {
			continue
		}
		part, err := s.profileOf(ctx, x.Profile)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	current, err := profile.MergeAll(parts...)
	if err != nil {
		return nil, err
	}
	var out []monitored
	for _, column := range drift.Compare(reference, current, drift.Options{Columns: m.columns, MinRows: m.drift.MinRows}).Columns {
		out = append(out, monitored{key: "drift/" + column.Name, kind: events.AlertDrift, ok: true, bad: column.Drifted,
			alert: events.Alert{Column: column.Name, Metric: column.Statistic, Value: column.Value, Threshold: column.Threshold, Message: column.Reason}})
	}
	return out, nil
}

func (s *Service) profileOf(ctx context.Context, b events.Blob) (*profile.Profile, error) {
	return s.profiles.get(b.SHA256, func() (*profile.Profile, error) {
		raw, err := s.host.Blobs.Get(ctx, b.Key)
		if err != nil {
			return nil, err
		}
		return profile.Decode(raw)
	})
}
