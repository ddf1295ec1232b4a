package gateway

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/catalog"
	"github.com/tidemill/tidemill/services/internal/scoring"
	"github.com/tidemill/tidemill/workers/runtime"
)

// maxScored bounds the scored rows that are kept in memory; a row of a binary model takes 24 bytes.
const maxScored = 2_000_000

// scoreCache keeps scored rows by what they are, the least recently used go first.
type scoreCache struct {
	mu    sync.Mutex
	byKey map[string]*list.Element
	order *list.List // newest first
	rows  int
	most  int
}

type scoreEntry struct {
	key  string
	rows *evaluation.Scored
}

func newScoreCache() *scoreCache {
	return &scoreCache{byKey: map[string]*list.Element{}, order: list.New(), most: maxScored}
}

// get returns what is kept, or loads and keeps it. One load runs at a time: loading is work for the whole machine.
func (c *scoreCache) get(key string, load func() (*evaluation.Scored, error)) (*evaluation.Scored, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*scoreEntry).rows, nil
	}
	rows, err := load()
	if err != nil {
		return nil, err
	}
	c.byKey[key] = c.order.PushFront(&scoreEntry{key, rows})
	for c.rows += rows.Len(); c.rows > c.most && c.order.Len() > 1; {
		oldest := c.order.Remove(c.order.Back()).(*scoreEntry)
		delete(c.byKey, oldest.key)
		c.rows -= oldest.rows.Len()
	}
	return rows, nil
}

// source is the rows of one segment as a version scored them.
type source struct {
	key     string // what they are: equal keys have equal rows
	ordinal uint64
	version string
	from    time.Time // event times of the segment
	to      time.Time
	load    func(context.Context) (*evaluation.Scored, error)
}

// observed are the segments as the champions of their time scored them.
func (s *Service) observed(m catalog.Resource) []source {
	var out []source
	for _, o := range s.projection.Observations(m.Name()) {
		segment, ok := s.host.Catalog.Segment(m.Model.Dataset, o.Ordinal)
		if !ok {
			continue // it belongs to a dataset that the model learned from before
		}
		out = append(out, source{key: o.Scores.SHA256, ordinal: o.Ordinal, version: o.Version, from: segment.MinTime, to: segment.MaxTime,
			load: func(ctx context.Context) (*evaluation.Scored, error) {
				x, err := lake.ReadScores(ctx, s.host.Engine, s.host.Blobs, o.Scores)
				if err != nil {
					return nil, err
				}
				return scored(m.Model.Task, x), nil
			}})
	}
	return out
}

func scored(task string, x lake.Scores) *evaluation.Scored {
	out := &evaluation.Scored{Task: task, Label: x.Label, Scores: x.Score, Time: x.Time}
	if task == resource.TaskMulticlass {
		out.Classes = x.Width
	}
	return out
}

// kept are the segments as one version would have scored them, had it been kept for ever: rows after those it was trained on.
func (s *Service) kept(m catalog.Resource, ref events.Version) ([]source, error) {
	if s.host.Runtime == nil {
		return nil, fail(http.StatusServiceUnavailable, "", "this process can't open models")
	}
	dataset, err := s.find(resource.KindDataset, m.Model.Dataset)
	if err != nil {
		return nil, err
	}
	var out []source
	for _, segment := range s.host.Catalog.Segments(m.Model.Dataset, ^uint64(0)) {
		if segment.Rows == 0 || !segment.MaxTime.After(ref.TrainedThrough) {
			continue
		}
		out = append(out, source{key: fmt.Sprintf("%s/%s/%s", ref.SHA256, segment.Parquet.SHA256, m.Digest), ordinal: segment.Ordinal,
			version: ref.Version, from: segment.MinTime, to: segment.MaxTime,
			load: func(ctx context.Context) (*evaluation.Scored, error) {
				return s.score(ctx, m, dataset, ref, segment.Segment)
			}})
	}
	return out, nil
}

func (s *Service) score(ctx context.Context, m, dataset catalog.Resource, ref events.Version, segment events.Segment) (*evaluation.Scored, error) {
	v, err := s.versions.Open(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer v.Release()
	later := runtime.Range{From: ref.TrainedThrough.Add(time.Microsecond)}
	rows, err := s.data.Extract(ctx, v.Query(m.Model.Dataset, dataset.Dataset.Columns, []events.Segment{segment}, m.Model.Label, later))
	if err != nil {
		return nil, cannotScore(ref, err)
	}
	x, err := v.Score(ctx, rows)
	if errors.Is(err, scoring.ErrNoRows) {
		return &evaluation.Scored{Task: v.Manifest.Task}, nil
	}
	if err != nil {
		return nil, cannotScore(ref, err)
	}
	return x.Scored, nil
}

// cannotScore tells a version that doesn't fit the rows from trouble of the platform.
func cannotScore(ref events.Version, err error) error {
	if scoring.Unfit(err) {
		return fail(http.StatusUnprocessableEntity, "", "version %s of %s can't score these rows: %s", ref.Version, ref.Model, err)
	}
	return err
}
