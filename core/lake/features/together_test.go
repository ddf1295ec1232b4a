package features_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake/features"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
)

// TestOneCallersRowDoesNotHarmAnothers mixes rows that SQL can't compute with others, among callers that are served together.
func TestOneCallersRowDoesNotHarmAnothers(t *testing.T) {
	t.Parallel()
	e, _ := engine(t)
	o, err := compile(t, e, "origin::INTEGER AS number, coalesce(distance, -1) AS distance, destination", late, resource.TaskBinary).Online(context.Background())
	require.NoError(t, err)
	defer func() { require.NoError(t, o.Close()) }()
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 40 {
				if err := askFor(t, o, g, i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// askFor asks for a few rows; those of the callers 3, 6, 9 … hold a text that is no number now and then.
func askFor(t *testing.T, o *features.Online, g, i int) error {
	var bound [][]rows.Value
	broken := g%3 == 0 && i%4 == 1
	for k := range 1 + i%5 {
		row := map[string]any{"origin": strconv.Itoa(g*1000 + i), "distance": float64(k), "destination": fmt.Sprint(g, k)}
		if k == 0 {
			delete(row, "distance")
		}
		if broken && k == i%5 {
			row["origin"] = "no number"
		}
		bound = append(bound, bind(t, o, []map[string]any{row})...)
	}
	m, err := o.Compute(context.Background(), bound)
	switch {
	case broken && err == nil:
		return fmt.Errorf("caller %d: a text became a number", g)
	case broken:
		return nil
	case err != nil:
		return fmt.Errorf("caller %d suffers from another's row: %w", g, err)
	}
	for k := range bound {
		want := []any{float32(g*1000 + i), float32(k), fmt.Sprint(g, k)}
		if k == 0 {
			want[1] = float32(-1)
		}
		got := []any{m.Columns[0].Numbers[k], m.Columns[1].Numbers[k], m.Columns[2].Texts[k]}
		if fmt.Sprint(got) != fmt.Sprint(want) || m.Rows != len(bound) {
			return fmt.Errorf("caller %d, row %d: %v, expected %v", g, k, got, want)
		}
	}
	return nil
}

func TestConstantsNeedNoColumns(t *testing.T) {
	t.Parallel()
	e, _ := engine(t)
	o, err := compile(t, e, "1 AS one, 'x' AS x", late, resource.TaskBinary).Online(context.Background())
	require.NoError(t, err)
	defer func() { require.NoError(t, o.Close()) }()
	for _, n := range []int{0, 1, 3, 40} {
		m, err := o.Compute(context.Background(), make([][]rows.Value, n))
		require.NoError(t, err)
		require.Equal(t, n, m.Rows)
		require.Len(t, m.Columns[0].Numbers, n)
		require.Len(t, m.Columns[1].Texts, n)
	}
}
