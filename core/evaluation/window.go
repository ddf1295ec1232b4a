package evaluation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Window is the metrics of the rows in one event-time bucket.
type Window struct {
	From    time.Time // inclusive
	To      time.Time // exclusive
	Rows    int64
	Metrics map[string]float64
}

// Windows groups rows by event time in buckets [origin + k*width, origin +
// (k+1)*width), k of any sign, and gives the metrics of each bucket that has
// rows, in time order.
func Windows(s *Scored, origin time.Time, width time.Duration) ([]Window, error) {
	if width < time.Microsecond {
		return nil, fmt.Errorf("windows of %s: give a width of at least a microsecond", width)
	}
	if s.Time == nil && s.Len() > 0 {
		return nil, errors.New("windows: the rows have no event times")
	}
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("windows: %w", err)
	}
	start, step := origin.UnixMicro(), width.Microseconds()
	groups := map[int64][]int{}
	for i, t := range s.Time {
		k := (t - start) / step
		if (t-start)%step < 0 { // Go rounds toward zero, buckets round down
			k--
		}
		groups[k] = append(groups[k], i)
	}
	var out []Window
	for _, k := range slices.Sorted(maps.Keys(groups)) {
		out = append(out, Window{
			From:    time.UnixMicro(start + k*step).UTC(),
			To:      time.UnixMicro(start + (k+1)*step).UTC(),
			Rows:    int64(len(groups[k])),
			Metrics: compute(s.Select(groups[k])),
		})
	}
	return out, nil
}
