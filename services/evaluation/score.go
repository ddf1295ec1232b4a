package evaluation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/catalog"
	"github.com/tidemill/tidemill/services/internal/scoring"
	"github.com/tidemill/tidemill/workers/runtime"
)

// question is the rows that judge.
type question struct {
	model    *resource.ModelSpec
	dataset  catalog.Resource
	segments []events.Segment
	label    string
	in       runtime.Range
}

// score lets a version answer, with its own features.
func (s *Service) score(ctx context.Context, ref events.Version, q question) (scoring.Scored, error) {
	v, err := s.versions.Open(ctx, ref)
	if err != nil {
		return scoring.Scored{}, err
	}
	defer v.Release()
	rows, err := s.data.Extract(ctx, v.Query(q.dataset.Name(), q.dataset.Dataset.Columns, q.segments, q.label, q.in))
	if err != nil {
		return scoring.Scored{}, fmt.Errorf("rows for version %s: %w", ref.Version, err)
	}
	return v.Score(ctx, rows)
}

// answers is score with the bytes of the version's package.
func (s *Service) answers(ctx context.Context, ref events.Version, q question) (*evaluation.Scored, int64, error) {
	v, err := s.versions.Open(ctx, ref)
	if err != nil {
		return nil, 0, err
	}
	bytes := v.Bytes
	v.Release()
	scored, err := s.score(ctx, ref, q)
	return scored.Scored, bytes, err
}

// whyBroken tells a version that can't be scored from trouble of the platform, which passes.
func whyBroken(err error) (reason string, broken bool) {
	switch {
	case errors.Is(err, scoring.ErrNoRows):
		return "there is no held-out row with a label that no compared version has seen", true
	case scoring.Unfit(err):
		return err.Error(), true
	}
	return "", false
}

// aligned keeps the rows that both versions could judge.
func aligned(candidate, champion scoring.Scored) (scoring.Scored, *evaluation.Scored) {
	place := make(map[int]int, len(champion.Rows))
	for i, row := range champion.Rows {
		place[row] = i
	}
	var ours, theirs, rows []int
	for i, row := range candidate.Rows {
		if j, ok := place[row]; ok {
			ours, theirs, rows = append(ours, i), append(theirs, j), append(rows, row)
		}
	}
	if len(ours) == len(candidate.Rows) && len(ours) == len(champion.Rows) {
		return candidate, champion.Scored
	}
	return scoring.Scored{Scored: candidate.Select(ours), Rows: rows}, champion.Select(theirs)
}

// after is the later of from and the first moment after through.
func after(from, through time.Time) time.Time {
	if next := through.Add(time.Microsecond); !through.IsZero() && next.After(from) {
		return next
	}
	return from
}

func refused(format string, args ...any) events.Verdict {
	return events.Verdict{Reason: fmt.Sprintf(format, args...), Metrics: map[string]float64{}, Gates: []events.GateResult{}}
}
