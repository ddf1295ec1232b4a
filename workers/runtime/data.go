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

	// Sample, when it isn't 0, draws only so many of those with a label, by Method (of package events) and Seed.
	Sample int64
	Method string
	Seed   int64

	Weight string // SQL; "" for none
	// ClassWeight multiplies the weights of the rows of a class; a class that is not named counts 1.
	ClassWeight map[string]float64
}

// Rows are the rows of a query with a label that isn't null, in the order of the dataset.
type Rows struct {
	Features []model.Feature
	Batch    model.Batch
	// Label, shape [N]: 0 or 1 (binary), the index into Classes (multiclass), or the target (regression).
	Label   []float64
	Classes []string // of a classification: false and true, or the labels that occur, sorted
	Time    []int64  // event time in Unix microseconds, shape [N]
	// Weight, shape [N], is how much a row counts in training, at least 0; nil when all count the same.
	Weight []float64
}

// Shape is what the columns of exported rows are.
type Shape struct {
	Features []model.Feature
	Weight   string // the name of the weight's column; "" without weights
}

// Summary is what there is to know about the rows of a query with a label, without their features.
type Summary struct {
	Rows    int64
	Newest  time.Time // the highest event time; zero without rows
	Classes []string  // those that occur, sorted; none for a regression
	Counts  []int64   // rows of each class
}

// Formats of exported rows.
const (
	FormatParquet = "parquet"
	FormatCSV     = "csv"
)

// Data gives a trial its rows. Its errors are the platform's unless they are a [*Failure].
type Data interface {
	// Extract computes features, label and weight of the rows.
	Extract(ctx context.Context, q Query) (Rows, error)
	// Export writes the rows to a file and counts them. Its columns are the features, in their order, "label" and, where the
	// query has weights, the weight.
	Export(ctx context.Context, q Query, path, format string) (int64, error)
	// Describe tells the columns of exported rows; it reads none.
	Describe(ctx context.Context, q Query) (Shape, error)
	// Summarize counts the rows with a label.
	Summarize(ctx context.Context, q Query) (Summary, error)
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

// training is the query of the rows that are trained on, with the weights of classes that don't depend on the rows.
func (s Spec) training() Query {
	q := s.query(s.Train)
	q.LastRows = s.LastRows
	q.Segments = slices.DeleteFunc(slices.Clone(s.Segments), func(x events.Segment) bool { return x.Ordinal < s.TrainSince })
	q.Sample, q.Method, q.Seed = s.Sample, s.Method, s.Seed
	q.Weight = s.Weight
	if s.ClassWeights != nil {
		q.ClassWeight = s.ClassWeights.Each
	}
	return q
}

// balanced are weights by which every class counts the same in all, N / (classes · rows of the class): those of scikit-learn's
// class_weight="balanced".
func (s Summary) balanced() map[string]float64 {
	out := make(map[string]float64, len(s.Classes))
	for i, class := range s.Classes {
		out[class] = float64(s.Rows) / (float64(len(s.Classes)) * float64(s.Counts[i]))
	}
	return out
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
