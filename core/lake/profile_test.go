package lake_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/profile"
	"github.com/tidemill/tidemill/core/resource"
)

func TestProfileOfSegments(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := room(t, 2, "")
	c := compile(t, flights())
	whole := flightsPart(t, b, 30_000)
	p, err := lake.Profile(ctx, b.engine, c, whole.Path)
	require.NoError(t, err)
	require.Equal(t, int64(30_000), p.Rows)
	require.Equal(t, time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), p.MinTime.Truncate(24*time.Hour))

	var nulls, distinct, n int64
	var mean float64
	require.NoError(t, b.engine.DB().QueryRow("SELECT count(*) - count(delay), count(delay), avg(delay), count(DISTINCT origin) FROM "+
		lake.ReadParquet([]string{whole.Path})).Scan(&nulls, &n, &mean, &distinct))
	delay := p.Column("delay")
	require.Equal(t, nulls, delay.Nulls)
	require.Equal(t, n, delay.Count)
	require.InDelta(t, mean, delay.Numbers.Mean, 1e-9)
	require.Equal(t, distinct, p.Column("origin").Categories.Distinct())

	// The profiles of parts merge into the profile of the whole.
	var parts []*profile.Profile
	for i := range 3 {
		path := filepath.Join(b.store.Dir(), fmt.Sprintf("third%d.parquet", i))
		_, err := b.engine.DB().Exec(fmt.Sprintf("COPY (SELECT * FROM %s LIMIT 10000 OFFSET %d) TO %s (FORMAT parquet)",
			lake.ReadParquet([]string{whole.Path}), i*10_000, lake.Literal(path)))
		require.NoError(t, err)
		part, err := lake.Profile(ctx, b.engine, c, path)
		require.NoError(t, err)
		parts = append(parts, part)
	}
	merged, err := profile.MergeAll(parts...)
	require.NoError(t, err)
	require.Equal(t, p.Column("origin"), merged.Column("origin"))
	require.Equal(t, p.Column("delay").Numbers.Positive, merged.Column("delay").Numbers.Positive)
	require.Equal(t, p.MaxTime, merged.MaxTime)

	empty, err := lake.Profile(ctx, b.engine, c)
	require.NoError(t, err)
	require.Zero(t, empty.Rows)
}

func TestProfileOfEveryType(t *testing.T) {
	t.Parallel()
	b := room(t, 1, "")
	c := compile(t, &resource.DatasetSpec{Columns: []resource.Column{{Name: "t", Type: resource.TypeTimestamp, EventTime: true},
		{Name: "u", Type: resource.TypeTimestamp}, {Name: "i", Type: resource.TypeInt64}, {Name: "b", Type: resource.TypeBoolean}}})
	w := lake.NewSegmentWriter(b.engine, b.store, c)
	r := c.NewRow()
	for _, body := range []string{`{"t":"2001-01-01","i":5,"b":true}`, `{"t":"2001-01-03","u":"2000-01-01"}`} {
		require.Nil(t, c.JSON([]byte(body), now, r))
		w.Append(r)
	}
	seg, err := w.Write(context.Background())
	require.NoError(t, err)
	path, err := b.store.Local(context.Background(), seg.Parquet)
	require.NoError(t, err)
	p, err := lake.Profile(context.Background(), b.engine, c, path)
	require.NoError(t, err)
	require.Equal(t, seg.MinTime, p.MinTime)
	require.Equal(t, seg.MaxTime, p.MaxTime)
	require.Equal(t, 5.0, p.Column("i").Numbers.Max)
	require.Equal(t, map[string]int64{"true": 1}, p.Column("b").Categories.Counts)
	require.Equal(t, int64(1), p.Column("u").Nulls)
}

func BenchmarkProfileFlights(b *testing.B) {
	x := room(b, 2, "")
	c := compile(b, flights())
	path, err := filepath.Abs(flightsFile)
	require.NoError(b, err)
	for b.Loop() {
		_, err := lake.Profile(context.Background(), x.engine, c, path)
		require.NoError(b, err)
	}
}
