package lake

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/events"
)

// Scores are a version's answers for rows with their labels, at rest: shape [N] for Time and Label, [N*Width] row by row for
// Score.
type Scores struct {
	Time  []int64 // event time, microseconds since 1970, UTC
	Label []float64
	Score []float64
	Width int // answers per row
}

// WriteScores stores scores as Parquet under "<prefix>/<sha256>.parquet": columns time, label, and score or score_0, score_1 ….
func WriteScores(ctx context.Context, e *Engine, s *Store, prefix string, x Scores) (events.Blob, error) {
	b, err := writeParquet(ctx, e, s, prefix, scoreColumns(x.Width), len(x.Label), func(row int, dst []driver.Value) {
		dst[0], dst[1] = time.UnixMicro(x.Time[row]).UTC(), x.Label[row]
		for k := range x.Width {
			dst[2+k] = x.Score[row*x.Width+k]
		}
	})
	if err != nil {
		return b, fmt.Errorf("write %d scores: %w", len(x.Label), err)
	}
	return b, nil
}

func scoreColumns(width int) []string {
	columns := []string{"time TIMESTAMP", "label DOUBLE"}
	if width == 1 {
		return append(columns, "score DOUBLE")
	}
	for k := range width {
		columns = append(columns, fmt.Sprintf("score_%d DOUBLE", k))
	}
	return columns
}

// ReadScores reads what WriteScores wrote, in order.
func ReadScores(ctx context.Context, e *Engine, s *Store, b events.Blob) (Scores, error) {
	path, err := s.Local(ctx, b)
	if err != nil {
		return Scores{}, fmt.Errorf("read scores: %w", err)
	}
	var x Scores
	err = e.Scan(ctx, "SELECT * FROM "+ReadParquet([]string{path}), func(v []driver.Value) error {
		at, ok := v[0].(time.Time)
		label, ok2 := v[1].(float64)
		if !ok || !ok2 {
			return fmt.Errorf("%s holds no scores", b.Key)
		}
		x.Time, x.Label, x.Width = append(x.Time, at.UnixMicro()), append(x.Label, label), len(v)-2
		for _, score := range v[2:] {
			f, _ := score.(float64)
			x.Score = append(x.Score, f)
		}
		return nil
	})
	if err != nil {
		return Scores{}, fmt.Errorf("read scores: %w", err)
	}
	return x, nil
}
