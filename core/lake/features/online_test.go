package features_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/core/lake/features"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
)

// visits has a column of each type.
func visits() *resource.DatasetSpec {
	return &resource.DatasetSpec{Columns: []resource.Column{
		{Name: "at", Type: resource.TypeTimestamp, EventTime: true}, {Name: "pages", Type: resource.TypeInt64}, {Name: "paid", Type: resource.TypeBoolean},
		{Name: "source", Type: resource.TypeString}, {Name: "seconds", Type: resource.TypeFloat64}, {Name: "bought", Type: resource.TypeBoolean}}}
}

const visitsSQL = `hour("at")::VARCHAR AS hour, pages % 7 AS pages, paid, upper(source) AS source, coalesce(seconds, -1) / 3 AS seconds, ` +
	`1 AS one, 'x' AS x, CASE WHEN source LIKE '!%' THEN substr(source, 2)::INTEGER ELSE pages END AS number`

// TestOnlineRowsEqualATable asks for random rows of which some can't be computed, a few at a time and from many sides at once, and
// holds every answer against a table of all rows. Streams and statements must both agree with it.
func TestOnlineRowsEqualATable(t *testing.T) {
	t.Parallel()
	e, _ := engine(t)
	f, err := features.Compile(context.Background(), e, visits(), visitsSQL, "bought", resource.TaskBinary)
	require.NoError(t, err)
	var ways []*features.Online
	for _, streams := range []bool{true, false} {
		o, err := f.Online(context.Background())
		require.NoError(t, err)
		if !streams {
			o.Unstream()
		}
		defer func() {
			require.Equal(t, streams, o.Streams(), "no row may end streaming")
			require.NoError(t, o.Close())
		}()
		ways = append(ways, o)
	}
	rapid.Check(t, func(rt *rapid.T) {
		good := make([][]rows.Value, 48)
		for i := range good {
			good[i] = drawVisit(rt)
		}
		want, err := ways[0].Compute(context.Background(), good)
		require.NoError(rt, err)
		bad := drawVisit(rt)
		bad[3] = rows.Value{S: "!no number"}
		at := rapid.IntRange(0, len(good)).Draw(rt, "at")
		for _, o := range ways {
			var wg sync.WaitGroup
			errs := make([]error, 8)
			for g := range errs {
				wg.Go(func() { errs[g] = walk(o, good, bad, want, g, at) })
			}
			wg.Wait()
			require.NoError(rt, errors.Join(errs...))
		}
	})
}

// walk asks for the rows in their order, 1 to 4 at a time, and for the bad one at its place.
func walk(o *features.Online, good [][]rows.Value, bad []rows.Value, want *features.Matrix, g, at int) error {
	for from := 0; from < len(good); {
		to := min(from+1+(g+from)%4, len(good))
		if from <= at && at < to && g%2 == 0 {
			if _, err := o.Compute(context.Background(), append(good[from:at:at], bad)); !errors.Is(err, features.ErrData) {
				return fmt.Errorf("caller %d: the bad row gave %w", g, err)
			}
		}
		m, err := o.Compute(context.Background(), good[from:to])
		if err != nil {
			return fmt.Errorf("caller %d, rows %d to %d: %w", g, from, to, err)
		}
		if err := same(m, want, from, to); err != nil {
			return fmt.Errorf("caller %d: %w", g, err)
		}
		from = to
	}
	return nil
}

func same(got, want *features.Matrix, from, to int) error {
	if got.Rows != to-from {
		return fmt.Errorf("%d rows for %d", got.Rows, to-from)
	}
	for i, c := range want.Columns {
		for row := from; row < to; row++ {
			if c.Kind == features.Text && got.Columns[i].Texts[row-from] != c.Texts[row] {
				return fmt.Errorf("row %d, %s: %q, not %q", row, c.Name, got.Columns[i].Texts[row-from], c.Texts[row])
			}
			if c.Kind != features.Text && math.Float32bits(got.Columns[i].Numbers[row-from]) != math.Float32bits(c.Numbers[row]) {
				return fmt.Errorf("row %d, %s: %v, not %v", row, c.Name, got.Columns[i].Numbers[row-from], c.Numbers[row])
			}
		}
	}
	return nil
}

func drawVisit(rt *rapid.T) []rows.Value {
	row := []rows.Value{{I: rapid.Int64Range(-1e15, 2e15).Draw(rt, "at")}, {I: rapid.Int64().Draw(rt, "pages")}, {I: rapid.Int64Range(0, 1).Draw(rt, "paid")},
		{S: rapid.OneOf(rapid.SampledFrom([]string{"", "ad", "!12"}), rapid.StringOf(rapid.RuneFrom([]rune("añ☂😀 \"'")))).Draw(rt, "source")},
		{F: rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.Copysign(0, -1), math.Inf(1), 1e300})).Draw(rt, "seconds")}}
	for i := range row {
		if rapid.IntRange(0, 4).Draw(rt, "null") == 0 {
			row[i] = rows.Value{Null: true}
		}
	}
	return row
}
