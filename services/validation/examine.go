package validation

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/profile"
	"github.com/tidemill/tidemill/core/quality"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// examine profiles a segment, stores the profile, and finds out what the rules ask besides.
func (s *Service) examine(ctx context.Context, d *resource.DatasetSpec, p events.SegmentWritten) (quality.Segment, events.Blob, error) {
	found := quality.Segment{Rows: p.Rows, Refused: p.Quarantined, MaxTime: p.MaxTime}
	checker, err := rows.Compile(d)
	if err != nil {
		return found, events.Blob{}, err
	}
	path, err := s.host.Blobs.Local(ctx, p.Parquet)
	if err != nil {
		return found, events.Blob{}, err
	}
	if found.Profile, err = lake.Profile(ctx, s.host.Engine, checker, path); err != nil {
		return found, events.Blob{}, err
	}
	text, err := found.Profile.Encode()
	if err != nil {
		return found, events.Blob{}, err
	}
	blob, err := s.host.Blobs.PutBytes(ctx, "profiles/"+p.Parquet.SHA256+".json", text)
	if err != nil {
		return found, events.Blob{}, err
	}
	found.Distinct, err = s.distinct(ctx, found.Profile, path, quality.DistinctColumns(d.Rules))
	return found, blob, err
}

// distinct counts the distinct values of columns exactly. A profile knows them of few strings and only estimates many.
func (s *Service) distinct(ctx context.Context, known *profile.Profile, path string, columns []string) (map[string]int64, error) {
	out := map[string]int64{}
	columns = slices.DeleteFunc(columns, func(name string) bool {
		c := known.Column(name)
		exact := c != nil && c.Categories != nil && c.Categories.Exact
		if exact {
			out[name] = c.Categories.Distinct()
		}
		return exact
	})
	if len(columns) == 0 {
		return out, nil
	}
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = "count(DISTINCT " + lake.Ident(c) + ")"
	}
	err := s.host.Engine.Scan(ctx, "SELECT "+strings.Join(list, ", ")+" FROM "+lake.ReadParquet([]string{path}), func(v []driver.Value) error {
		for i, c := range columns {
			n, ok := v[i].(int64)
			if !ok {
				return fmt.Errorf("distinct values of %s: %v is no count", c, v[i])
			}
			out[c] = n
		}
		return nil
	})
	return out, err
}
