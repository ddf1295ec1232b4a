package runtime

import (
	"context"
	"slices"
	"time"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// Query selects rows of a trial.
type Query struct {
	Dataset  string
	Columns  []resource.Column
	Segments []events.Segment
	Features string // SQL
	Label    string // SQL
	Task     string
	Range    Range
	LastRows int64 // 0: all of the range; else only so many of its newest rows
}

// Rows are the rows of a query with a label that isn't null, in the order of the dataset.
type Rows struct {
	Features []model.Feature
	Batch    model.Batch
	// Label, shape [N]: 0 or 1 (binary), the index into Classes (multiclass), or the target (regression).
	Label   []float64
	Classes []string // of a classification: false and true, or the labels that occur, sorted
	Time    []int64  // event time in Unix microseconds, shape [N]
}

// Formats of exported rows.
const (
	FormatParquet = "parquet"
	FormatCSV     = "csv"
)

// Data gives a trial its rows. Its errors are the platform's unless they are a [*Failure].
type Data interface {
	// Extract computes features and label of the rows.
	Extract(ctx context.Context, q Query) (Rows, error)
	// Export writes features and label, the columns in the order of the features and "label" last, to a file, and counts the rows.
	Export(ctx context.Context, q Query, path, format string) (int64, error)
	// Count counts the rows with a label.
	Count(ctx context.Context, q Query) (int64, error)
}

// Blobs reads and writes immutable objects.
type Blobs interface {
	Get(ctx context.Context, key string) ([]byte, error)
	PutBytes(ctx context.Context, key string, b []byte) (events.Blob, error)
}

// query is the query of one of the spec's ranges.
func (s Spec) query(r Range) Query {
	return Query{Dataset: s.Dataset, Columns: s.Columns, Segments: s.Segments, Features: s.Features, Label: s.Label, Task: s.Task, Range: r}
}

// training is the query of the rows that are trained on.
func (s Spec) training() Query {
	q := s.query(s.Train)
	q.LastRows = s.LastRows
	q.Segments = slices.DeleteFunc(slices.Clone(s.Segments), func(x events.Segment) bool { return x.Ordinal < s.TrainSince })
	return q
}

// newest is the highest event time; zero when there are no rows.
func (r Rows) newest() time.Time {
	if len(r.Time) == 0 {
		return time.Time{}
	}
	top := r.Time[0]
	for _, t := range r.Time {
		top = max(top, t)
	}
	return time.UnixMicro(top).UTC()
}
