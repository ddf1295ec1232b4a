package lake_test

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
)

const flightsFile = "../../examples/flights/flights.parquet"

var now = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

func flights() *resource.DatasetSpec {
	return &resource.DatasetSpec{Columns: []resource.Column{
		{Name: "date", Type: resource.TypeTimestamp, EventTime: true},
		{Name: "delay", Type: resource.TypeFloat64, Required: true, Min: ptr(-120.0), Max: ptr(1440.0)},
		{Name: "distance", Type: resource.TypeFloat64, Min: ptr(0.0)},
		{Name: "origin", Type: resource.TypeString},
		{Name: "destination", Type: resource.TypeString},
	}}
}

func compile(t testing.TB, spec *resource.DatasetSpec) *rows.Checker {
	t.Helper()
	c, err := rows.Compile(spec)
	require.NoError(t, err)
	return c
}

type bench struct {
	store  *lake.Store
	engine *lake.Engine
}

// room opens a store and an engine on it.
func room(t testing.TB, threads int, url string) bench {
	t.Helper()
	if url == "" {
		url = "file://" + filepath.Join(t.TempDir(), "blobs") + "?create"
	}
	s, err := lake.OpenStore(context.Background(), url, filepath.Join(t.TempDir(), "cache"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	examples, err := filepath.Abs(filepath.Dir(flightsFile))
	require.NoError(t, err)
	return bench{s, openEngine(t, threads, s.Dir(), examples)}
}

func row(i int) string {
	return fmt.Sprintf(`{"date":"2001-01-01T00:00:%02d.%06dZ","delay":%d,"distance":%d,"origin":"A%d","destination":%q}`, i%60, i, i%97, i%1013, i%229, "Zürich ✈")
}

func TestSegmentHoldsItsRows(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "mem://"} {
		b := room(t, 2, url)
		spec := &resource.DatasetSpec{Columns: []resource.Column{
			{Name: `da"te`, Type: resource.TypeTimestamp, EventTime: true}, {Name: "n", Type: resource.TypeInt64},
			{Name: "x", Type: resource.TypeFloat64}, {Name: "ok", Type: resource.TypeBoolean}, {Name: "s", Type: resource.TypeString}}}
		c := compile(t, spec)
		w := lake.NewSegmentWriter(b.engine, b.store, c)
		r := c.NewRow()
		empty, err := w.Write(context.Background())
		require.NoError(t, err)
		require.Zero(t, empty)
		for _, body := range []string{`{"da\"te":"2001-01-02","n":9223372036854775807,"x":-0.5,"ok":true,"s":"ü"}`,
			`{"da\"te":"2001-01-01T00:00:00.000001Z"}`, `{"da\"te":"2001-01-03","n":-1,"x":1e300,"ok":false,"s":""}`} {
			require.Nil(t, c.JSON([]byte(body), now, r))
			w.Append(r)
		}
		require.Equal(t, int64(3), w.Rows())
		require.Positive(t, w.Bytes())
		seg, err := w.Write(context.Background())
		require.NoError(t, err)
		require.Zero(t, w.Rows())
		require.Equal(t, int64(3), seg.Rows)
		require.Equal(t, time.Date(2001, 1, 1, 0, 0, 0, 1000, time.UTC), seg.MinTime)
		require.Equal(t, time.Date(2001, 1, 3, 0, 0, 0, 0, time.UTC), seg.MaxTime)
		require.Equal(t, "segments/"+seg.Parquet.SHA256+".parquet", seg.Parquet.Key)

		path, err := b.store.Local(context.Background(), seg.Parquet)
		require.NoError(t, err)
		var got [][]driver.Value
		require.NoError(t, b.engine.Scan(context.Background(), "SELECT * FROM "+lake.ReadParquet([]string{path}), func(v []driver.Value) error {
			got = append(got, append([]driver.Value(nil), v...))
			return nil
		}))
		require.Equal(t, [][]driver.Value{
			{time.Date(2001, 1, 2, 0, 0, 0, 0, time.UTC), int64(math.MaxInt64), -0.5, true, "ü"},
			{seg.MinTime, nil, nil, nil, nil},
			{seg.MaxTime, int64(-1), 1e300, false, ""}}, got)
	}
}

// However rows arrive, and whatever the number of threads, the same segment has the same bytes: the name is the content.
func TestSameRowsSameBytes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	const n = 300_000 // more than two row groups
	write := func(b bench, n int, reuse bool) string {
		c := compile(t, flights())
		w := lake.NewSegmentWriter(b.engine, b.store, c)
		r := c.NewRow()
		if reuse { // a writer that was used before, and another row object half-way
			require.Nil(t, c.JSON([]byte(row(7)), now, r))
			w.Append(r)
			_, err := w.Write(ctx)
			require.NoError(t, err)
		}
		for i := range n {
			if reuse && i == n/2 {
				r = c.NewRow()
			}
			require.Nil(t, c.JSON([]byte(row(i)), now, r))
			w.Append(r)
		}
		seg, err := w.Write(ctx)
		require.NoError(t, err)
		return seg.Parquet.SHA256
	}
	one := write(room(t, 1, ""), n, false)
	require.Equal(t, one, write(room(t, 2, "mem://"), n, true))
	require.Equal(t, one, write(room(t, 4, ""), n, false))
	require.NotEqual(t, one, write(room(t, 2, ""), n-1, false))
	b := room(t, 2, "")
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5000).Draw(t, "rows")
		require.Equal(t, write(b, n, false), write(b, n, true))
	})
}

func TestWriteKeepsRowsOnError(t *testing.T) {
	t.Parallel()
	b := room(t, 1, "")
	c := compile(t, flights())
	w := lake.NewSegmentWriter(b.engine, b.store, c)
	r := c.NewRow()
	require.Nil(t, c.JSON([]byte(row(1)), now, r))
	w.Append(r)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := w.Write(cancelled)
	require.ErrorIs(t, err, context.Canceled)
	seg, err := w.Write(context.Background())
	require.NoError(t, err)
	require.Equal(t, int64(1), seg.Rows)
}

func TestQuarantineRoundTrip(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := room(t, 1, "")
	w := lake.NewQuarantineWriter(b.engine, b.store)
	none, err := w.Write(ctx)
	require.NoError(t, err)
	require.Nil(t, none)
	for i := range 5 {
		w.Add(lake.Refused{Raw: fmt.Sprintf(`{"delay":%d}`, i), Sequence: math.MaxUint64 - 5 + uint64(i), Offset: int64(i),
			Refusal: rows.Refusal{Reason: rows.AboveMax, Column: "delay", Detail: "too much"}})
	}
	w.Add(lake.Refused{Raw: "\xff\x00{", Refusal: rows.Refusal{Reason: rows.Malformed}})
	require.Equal(t, map[string]int64{"aboveMax": 5, "malformed": 1}, w.Reasons())
	blob, err := w.Write(ctx)
	require.NoError(t, err)
	require.Equal(t, "quarantine/"+blob.SHA256+".parquet", blob.Key)
	require.Empty(t, w.Reasons())
	path, err := b.store.Local(ctx, *blob)
	require.NoError(t, err)
	page, err := lake.ReadQuarantine(ctx, b.engine, path, 3, 2)
	require.NoError(t, err)
	require.Len(t, page, 2)
	require.Equal(t, lake.Refused{Raw: `{"delay":3}`, Sequence: math.MaxUint64 - 2, Offset: 3,
		Refusal: rows.Refusal{Reason: rows.AboveMax, Column: "delay", Detail: "too much"}}, page[0])
	page, err = lake.ReadQuarantine(ctx, b.engine, path, 5, 10)
	require.NoError(t, err)
	require.Equal(t, "\uFFFD\uFFFD{", page[0].Raw)
}

// BenchmarkSegment is decode, check, append and durable Parquet, per row, in segments of 50,000.
func BenchmarkSegment(b *testing.B) {
	x := room(b, 2, "")
	c := compile(b, flights())
	w := lake.NewSegmentWriter(x.engine, x.store, c)
	r := c.NewRow()
	bodies := make([][]byte, 50_000)
	for i := range bodies {
		bodies[i] = []byte(row(i))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if bad := c.JSON(bodies[i%len(bodies)], now, r); bad != nil {
			b.Fatal(bad)
		}
		w.Append(r)
		if i++; i%len(bodies) == 0 {
			if _, err := w.Write(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	}
}
