package rows_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/rows"
	"github.com/tidemill/tidemill/workers/runtime"
)

var jan = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)

// data has three segments of 100 rows, one an hour: class "rare" every tenth row, "odd" and "even" else.
func data(t *testing.T) (d *rows.Data, s runtime.Spec, out string) {
	t.Helper()
	store, err := lake.OpenStore(t.Context(), "file://"+filepath.Join(t.TempDir(), "blobs")+"?create", "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	out = t.TempDir()
	e, err := lake.OpenEngine(t.Context(), lake.EngineOptions{Dirs: []string{store.Dir(), out}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	s = runtime.Spec{Trial: "m-1-c-1", Cycle: "m-1", Model: "m", Dataset: "d", Task: resource.TaskMulticlass,
		Candidate: resource.Candidate{Name: "c", Trainer: runtime.TrainerProcess, Command: []string{"true"}, Format: "csv"},
		Columns: []resource.Column{{Name: "at", Type: resource.TypeTimestamp, EventTime: true}, {Name: "n", Type: resource.TypeFloat64},
			{Name: "class", Type: resource.TypeString}},
		Features: "n, n % 7 AS weight", Label: "class", Seed: 5,
		Train: runtime.Range{To: jan.Add(240 * time.Hour)}, Validation: runtime.Range{From: jan.Add(240 * time.Hour), To: jan.Add(270 * time.Hour)}}
	for i := range 3 {
		file := filepath.Join(out, fmt.Sprintf("%d.parquet", i))
		_, err := e.DB().Exec(fmt.Sprintf(`COPY (SELECT make_timestamp(%d + n * 3600000000) AS "at", n::DOUBLE AS n,
			CASE WHEN n %% 10 = 3 THEN 'rare' WHEN n %% 50 = 7 THEN NULL WHEN n %% 2 = 1 THEN 'odd' ELSE 'even' END AS class FROM range(%d, %d) t(n)) TO %s (FORMAT parquet)`,
			jan.UnixMicro(), i*100, i*100+100, lake.Literal(file)))
		require.NoError(t, err)
		blob, err := store.PutFile(t.Context(), fmt.Sprintf("segments/d/%d.parquet", i), file)
		require.NoError(t, err)
		s.Segments = append(s.Segments, events.Segment{Dataset: "d", Ordinal: uint64(i + 1), Rows: 100, Parquet: blob,
			MinTime: jan.Add(time.Duration(i*100) * time.Hour), MaxTime: jan.Add(time.Duration(i*100+99) * time.Hour)})
	}
	return rows.New(e, store), s, out
}

// laidOut reads what a trainer sees.
func laidOut(t *testing.T, d *rows.Data, s runtime.Spec, dir, channel string) (runtime.Schema, [][]string) {
	t.Helper()
	require.NoError(t, runtime.LayOut(t.Context(), d, s, dir))
	b, err := os.ReadFile(filepath.Join(dir, channel, "schema.json"))
	require.NoError(t, err)
	var schema runtime.Schema
	require.NoError(t, json.Unmarshal(b, &schema))
	f, err := os.Open(filepath.Join(dir, channel, schema.File))
	require.NoError(t, err)
	defer f.Close()
	table, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	require.Len(t, table, schema.Rows+1)
	return schema, table
}

func TestLayOutPlain(t *testing.T) {
	t.Parallel()
	d, s, dir := data(t)
	schema, table := laidOut(t, d, s, dir, "train")
	require.Equal(t, []string{"even", "odd", "rare"}, schema.Classes)
	require.Empty(t, schema.Weight)
	require.Equal(t, []string{"n", "weight", "label"}, table[0])
	require.Equal(t, 240-5, schema.Rows, "rows without a label are no rows")
	sum, err := d.Summarize(t.Context(), runtime.Query{Dataset: "d", Columns: s.Columns, Segments: s.Segments, Features: s.Features, Label: s.Label,
		Task: s.Task, Range: s.Train})
	require.NoError(t, err)
	require.Equal(t, runtime.Summary{Rows: 235, Newest: jan.Add(239 * time.Hour), Classes: []string{"even", "odd", "rare"}, Counts: []int64{120, 91, 24}}, sum)
}

// A balanced sample with weights: as many rows of each class, and every class counts the same in all.
func TestLayOutOfASampleWithWeights(t *testing.T) {
	t.Parallel()
	d, s, dir := data(t)
	s.Sample, s.Method, s.Weight, s.ClassWeights = 90, events.SampleBalanced, "CASE WHEN n < 100 THEN 2 END", &resource.ClassWeights{Balanced: true}
	schema, table := laidOut(t, d, s, dir, "train")
	require.Equal(t, "weight_", schema.Weight, "a feature is called weight")
	require.Equal(t, []string{"n", "weight", "label", "weight_"}, table[0])
	count := map[string]float64{}
	for _, row := range table[1:] {
		count[row[2]]++
	}
	require.Equal(t, map[string]float64{"even": 33, "odd": 33, "rare": 24}, count)
	for _, row := range table[1:] {
		n, err := strconv.ParseFloat(row[0], 64)
		require.NoError(t, err)
		got, err := strconv.ParseFloat(row[3], 64)
		require.NoError(t, err)
		want := 0.0
		if n < 100 {
			want = 2 * 90 / (3 * count[row[2]])
		}
		require.InEpsilon(t, 1+want, 1+got, 1e-12, row)
	}
	held, validation := laidOut(t, d, s, dir, "validation")
	require.Equal(t, "weight_", held.Weight)
	require.Equal(t, schema.Classes, held.Classes)
	require.Len(t, validation, 1+30-1, "no validation row is drawn away")

	s.Seed++
	_, other := laidOut(t, d, s, dir, "train")
	_, again := laidOut(t, d, s, dir, "train")
	require.Equal(t, other, again)
	require.NotEqual(t, table, other)
	require.True(t, slices.IsSortedFunc(other[1:], func(a, b []string) int { return len(a[0]) - len(b[0]) }), "rows keep their order")
}

func TestWrongWeightIsTheTrialsFailure(t *testing.T) {
	t.Parallel()
	d, s, dir := data(t)
	s.Weight = "120 - n"
	err := runtime.LayOut(t.Context(), d, s, dir)
	var failure *runtime.Failure
	require.ErrorAs(t, err, &failure)
	require.ErrorContains(t, err, "weight: it is -")
	require.Regexp(t, "in row [0-9]+ of segment [23];", err.Error())
	s.Weight = "sum(n)"
	require.ErrorAs(t, runtime.LayOut(t.Context(), d, s, dir), &failure)
}
