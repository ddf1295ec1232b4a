package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/internal/catalog"
)

const (
	maxBuckets = 5000
	keptPoints = 20_000
)

type pointCache = lru.Cache[string, api.MetricPoint]

func newPointCache() *pointCache {
	c, err := lru.New[string, api.MetricPoint](keptPoints)
	if err != nil {
		panic(err) // only a size below 1 is refused
	}
	return c
}

type MetricsInput struct {
	ModelInput
	Bucket  string    `query:"bucket" default:"7d" doc:"width in event time"`
	Version string    `query:"version" doc:"score with this version instead of the champion of the time"`
	From    time.Time `query:"from"`
	To      time.Time `query:"to"`
}

// buckets lie at origin + k*width; rows count from from (inclusive) to to (exclusive), where those are set.
type buckets struct {
	origin   time.Time
	width    time.Duration
	from, to time.Time
}

func (b buckets) at(t time.Time) int64 {
	d := t.Sub(b.origin)
	k := int64(d / b.width)
	if d%b.width < 0 { // Go rounds toward zero, buckets round down
		k--
	}
	return k
}

func (b buckets) start(k int64) time.Time { return b.origin.Add(time.Duration(k) * b.width) }

// span are the event times of bucket k that count.
func (b buckets) span(k int64) (from, to time.Time) {
	from, to = b.start(k), b.start(k+1)
	if !b.from.IsZero() && b.from.After(from) {
		from = b.from
	}
	if !b.to.IsZero() && b.to.Before(to) {
		to = b.to
	}
	return from, to
}

// getMetrics gives the figures of each bucket of event time. A bucket is computed anew only when a segment with rows of it came.
func (s *Service) getMetrics(ctx context.Context, in *MetricsInput) (*answer[api.List[api.MetricPoint]], error) {
	m, err := s.find(resource.KindModel, in.Model)
	if err != nil {
		return nil, err
	}
	b, err := s.buckets(m, in)
	if err != nil {
		return nil, err
	}
	sources := s.observed(m)
	if in.Version != "" {
		v, _, ok := s.projection.Version(in.Model, in.Version)
		if !ok {
			return nil, unknown("version", in.Version, s.versionNames(in.Model))
		}
		if sources, err = s.kept(m, v.Version); err != nil {
			return nil, err
		}
	}
	groups, err := b.group(sources)
	if err != nil {
		return nil, err
	}
	var out []api.MetricPoint
	for _, k := range slices.Sorted(maps.Keys(groups)) {
		point, err := s.point(ctx, m, b, k, groups[k])
		if err != nil {
			return nil, err
		}
		if point.Rows > 0 {
			out = append(out, point)
		}
	}
	return listed(out, nil)
}

// buckets begin at from when it is given, else on the day of the dataset's first row.
func (s *Service) buckets(m catalog.Resource, in *MetricsInput) (buckets, error) {
	width, err := events.ParseDuration(in.Bucket)
	if err != nil || width.Std() < time.Second {
		return buckets{}, fail(http.StatusUnprocessableEntity, "write a duration of at least a second: 1h, 1d, 7d", "the bucket %q is none", in.Bucket)
	}
	b := buckets{origin: in.From, width: width.Std(), from: in.From, to: in.To}
	for _, segment := range s.host.Catalog.Segments(m.Model.Dataset, ^uint64(0)) {
		if in.From.IsZero() && segment.Rows > 0 && (b.origin.IsZero() || segment.MinTime.Before(b.origin)) {
			b.origin = segment.MinTime.Truncate(24 * time.Hour)
		}
	}
	return b, nil
}

// group finds the sources that may have rows in each bucket, by ordinal.
func (b buckets) group(sources []source) (map[int64][]source, error) {
	out := map[int64][]source{}
	for _, x := range sources {
		first, last := b.at(x.from), b.at(x.to)
		if !b.from.IsZero() {
			first = max(first, b.at(b.from))
		}
		if !b.to.IsZero() {
			last = min(last, b.at(b.to))
		}
		if last-first > maxBuckets || len(out) > maxBuckets {
			return nil, fail(http.StatusUnprocessableEntity, "choose a wider ?bucket=, or a part with ?from= and ?to=", "these are more than %d buckets", maxBuckets)
		}
		for k := first; k <= last; k++ {
			out[k] = append(out[k], x)
		}
	}
	return out, nil
}

func (s *Service) point(ctx context.Context, m catalog.Resource, b buckets, k int64, sources []source) (api.MetricPoint, error) {
	from, to := b.span(k)
	var key strings.Builder
	fmt.Fprint(&key, m.Name(), m.Model.Task, from.UnixMicro(), to.UnixMicro())
	for _, x := range sources {
		key.WriteString(x.key)
	}
	id := events.SHA256([]byte(key.String()))
	if p, ok := s.points.Get(id); ok {
		p.From, p.To = b.start(k), b.start(k+1)
		return p, nil
	}
	p := api.MetricPoint{From: b.start(k), To: b.start(k + 1)}
	rows := &evaluation.Scored{Task: m.Model.Task}
	for _, x := range sources {
		part, err := s.scores.get(x.key, func() (*evaluation.Scored, error) { return x.load(ctx) })
		if err != nil {
			return p, fmt.Errorf("scores of segment %d: %w", x.ordinal, err)
		}
		if part = within(part, from, to); part.Len() > 0 {
			rows, p.Version = join(rows, part), x.version
		}
	}
	p.Rows = int64(rows.Len())
	metrics, err := evaluation.Compute(rows)
	if err != nil && !errors.Is(err, evaluation.ErrUnusable) {
		return p, err
	}
	p.Metrics = metrics
	s.points.Add(id, p)
	return p, nil
}

// within are the rows of some event times.
func within(x *evaluation.Scored, from, to time.Time) *evaluation.Scored {
	lo, hi := from.UnixMicro(), to.UnixMicro()
	var rows []int
	for i, t := range x.Time {
		if t >= lo && t < hi {
			rows = append(rows, i)
		}
	}
	if len(rows) == x.Len() {
		return x
	}
	return x.Select(rows)
}

// join appends b to a. Versions with other classes than the ones before can't be judged together with them: the newest count.
func join(a, b *evaluation.Scored) *evaluation.Scored {
	if a.Len() == 0 || a.Classes != b.Classes {
		return b
	}
	return &evaluation.Scored{Task: b.Task, Classes: b.Classes, Label: slices.Concat(a.Label, b.Label), Scores: slices.Concat(a.Scores, b.Scores),
		Time: slices.Concat(a.Time, b.Time)}
}
