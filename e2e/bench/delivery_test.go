package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/workers/runtime"
)

const (
	deliveryRounds = 25
	bigRounds      = 9
	bigRows        = 2_000_000
)

// delivery is a table whose rows are delivered to trainers.
type delivery struct {
	name               string
	dataset            string // YAML
	file               string // Parquet
	rows               int64
	rounds             int
	columns            []resource.Column
	features           string // SQL
	label              string // SQL
	validate, held, to time.Time
}

// BenchmarkDelivery has the platform deliver training and validation rows to a trainer that does nothing, from the trial in
// the queue to the process that finds its files; and DuckDB copy the same rows of the same files by the same expressions to
// Parquet, in one statement each, at once: what lies between is what the platform costs.
func BenchmarkDelivery(b *testing.B) {
	m := harness.Up(b, harness.Dir(b), nil, "--slots", "1")
	scratch := b.TempDir()
	engine, err := lake.OpenEngine(b.Context(), lake.EngineOptions{Dirs: []string{filepath.Join(m.Dir, "blobs"), scratch}})
	require.NoError(b, err)
	defer engine.Close()
	q := openTrials(b, m)
	for b.Loop() {
		for _, d := range []delivery{flightRows(b), bigTable(b, engine, scratch)} {
			q.spec = d.publish(b, m)
			var ours, plain, ratio []float64
			for round := range d.rounds + 1 {
				id, queued := q.publish()
				q.finished(id) // it fails, since the model has other inputs; it is its beginning that is measured
				took := q.started(id).Sub(queued)
				copied, n := d.copy(b, engine, m, q.spec, scratch)
				if round == 0 {
					continue // files that nobody has read yet
				}
				ours, plain = append(ours, n/took.Seconds()), append(plain, n/copied.Seconds())
				ratio = append(ratio, copied.Seconds()/took.Seconds())
			}
			unit := strings.ReplaceAll(d.name, " ", "-")
			note(b, figure{Name: "training data: " + d.name + ", queued → files", Value: median(ours), Unit: unit + "-rows/s"})
			note(b, figure{Name: "training data: " + d.name + ", plain DuckDB COPY", Value: median(plain), Unit: unit + "-raw-rows/s"})
			note(b, figure{Name: "training data: " + d.name + ", ratio", Value: median(ratio), Unit: unit + "-ratio", Aim: "≥ 0.9"})
		}
	}
}

// flightRows are those of the example, in 30 segments.
func flightRows(b *testing.B) delivery {
	b.Helper()
	file, err := filepath.Abs(filepath.Join(harness.Root(), "examples", "flights", "flights.parquet"))
	require.NoError(b, err)
	day := func(month, day int) time.Time { return time.Date(2001, time.Month(month), day, 0, 0, 0, 0, time.UTC) }
	return delivery{name: "300k flights", rows: 300_000, rounds: deliveryRounds, file: file, dataset: `apiVersion: tidemill.dev/v1
kind: Dataset
metadata: {name: flights}
spec:
  columns:
    - {name: date, type: timestamp, eventTime: true}
    - {name: delay, type: float64}
    - {name: distance, type: float64}
    - {name: origin, type: string}
    - {name: destination, type: string}
  segment: {maxRows: 10000, maxAge: 1m}
`,
		columns: []resource.Column{{Name: "date", Type: resource.TypeTimestamp, EventTime: true}, {Name: "delay", Type: resource.TypeFloat64},
			{Name: "distance", Type: resource.TypeFloat64}, {Name: "origin", Type: resource.TypeString}, {Name: "destination", Type: resource.TypeString}},
		features: "hour(date)::VARCHAR AS hour, dayofweek(date)::VARCHAR AS dow, distance, origin, destination", label: "delay >= 15",
		validate: day(6, 20), held: day(6, 23), to: day(7, 2)}
}

// bigTable is made up: numbers and texts, in 20 segments.
func bigTable(b *testing.B, e *lake.Engine, dir string) delivery {
	b.Helper()
	file := filepath.Join(dir, "big.parquet")
	if _, err := os.Stat(file); err != nil {
		_, err := e.DB().ExecContext(b.Context(), fmt.Sprintf(`COPY (SELECT TIMESTAMP '2020-01-01' + INTERVAL (range) SECOND AS "at", range AS id,
			sin(range)::DOUBLE AS a, (hash(range) %% 100000 / 1000)::DOUBLE AS b, (hash(range + 1) %% 1000)::DOUBLE AS c, 'k' || (hash(range + 2) %% 500) AS kind,
			's' || (hash(range + 3) %% 20) AS shop, (hash(range + 4) %% 100)::DOUBLE AS y FROM range(%d)) TO %s (FORMAT parquet)`, bigRows, lake.Literal(file)))
		require.NoError(b, err)
	}
	at := func(row int) time.Time { return time.Date(2020, 1, 1, 0, 0, row, 0, time.UTC) }
	return delivery{name: "2M made-up rows", rows: bigRows, rounds: bigRounds, file: file, dataset: fmt.Sprintf(`apiVersion: tidemill.dev/v1
kind: Dataset
metadata: {name: big}
spec:
  columns:
    - {name: at, type: timestamp, eventTime: true}
    - {name: id, type: int64}
    - {name: a, type: float64}
    - {name: b, type: float64}
    - {name: c, type: float64}
    - {name: kind, type: string}
    - {name: shop, type: string}
    - {name: "y", type: float64}
  segment: {maxRows: %d, maxAge: 1m}
`, bigRows/20),
		columns: []resource.Column{{Name: "at", Type: resource.TypeTimestamp, EventTime: true}, {Name: "id", Type: resource.TypeInt64},
			{Name: "a", Type: resource.TypeFloat64}, {Name: "b", Type: resource.TypeFloat64}, {Name: "c", Type: resource.TypeFloat64},
			{Name: "kind", Type: resource.TypeString}, {Name: "shop", Type: resource.TypeString}, {Name: "y", Type: resource.TypeFloat64}},
		features: `a, b, ln(c + 1) AS c, a * b AS ab, kind, shop, hour("at")::VARCHAR AS hour`, label: "y < 30",
		validate: at(bigRows * 90 / 100), held: at(bigRows * 95 / 100), to: at(bigRows)}
}

// publish brings the rows to rest and gives the trial that reads them.
func (d delivery) publish(b *testing.B, m *harness.Tidemill) runtime.Spec {
	b.Helper()
	name := strings.Fields(strings.TrimPrefix(d.dataset[strings.Index(d.dataset, "{name: "):], "{name: "))[0]
	name = strings.TrimSuffix(name, "}")
	m.Apply(d.dataset)
	m.Must("publish", name, d.file)
	s := runtime.Spec{Cycle: "buyers-1", Model: "buyers", Dataset: name, Task: resource.TaskBinary, Columns: d.columns, Features: d.features, Label: d.label,
		Train: runtime.Range{To: d.validate}, Validation: runtime.Range{From: d.validate, To: d.held}, Test: runtime.Range{From: d.held, To: d.to}}
	harness.Eventually(b, 2*time.Minute, "the rows are accepted", func() error {
		s.Segments = nil
		rows := int64(0)
		for _, a := range harness.Said[events.SegmentAccepted](m, events.SegmentAcceptedType) {
			if a.Dataset == name {
				s.Segments = append(s.Segments, a.Segment)
				rows += a.Rows
			}
		}
		if rows < d.rows {
			return fmt.Errorf("%d of %d rows", rows, d.rows)
		}
		return nil
	})
	return s
}

// copy has DuckDB do it alone, and counts the rows.
func (d delivery) copy(b *testing.B, e *lake.Engine, m *harness.Tidemill, s runtime.Spec, dir string) (took time.Duration, rows float64) {
	b.Helper()
	var n atomic.Int64
	both, ctx := errgroup.WithContext(context.Background())
	began := time.Now()
	for name, r := range map[string]runtime.Range{"train": s.Train, "validation": s.Validation} {
		var files []string
		for _, segment := range s.Segments {
			if segment.MinTime.Before(r.To) && !segment.MaxTime.Before(r.From) {
				files = append(files, filepath.Join(m.Dir, "blobs", filepath.FromSlash(segment.Parquet.Key)))
			}
		}
		const form = "2006-01-02 15:04:05"
		at := lake.Ident(d.columns[0].Name)
		where := fmt.Sprintf("%s < '%s'", at, r.To.Format(form))
		if !r.From.IsZero() {
			where += fmt.Sprintf(" AND %s >= '%s'", at, r.From.Format(form))
		}
		both.Go(func() error {
			done, err := e.DB().ExecContext(ctx, fmt.Sprintf("COPY (SELECT %s, (%s)::INTEGER AS label FROM %s t WHERE %s AND (%s) IS NOT NULL) TO %s (FORMAT parquet, COMPRESSION snappy)",
				d.features, d.label, lake.ReadParquet(files), where, d.label, lake.Literal(filepath.Join(dir, name+".parquet"))))
			if err != nil {
				return err
			}
			copied, err := done.RowsAffected()
			n.Add(copied)
			return err
		})
	}
	require.NoError(b, both.Wait())
	return time.Since(began), float64(n.Load())
}
