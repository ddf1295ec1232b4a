package lake

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// parquetOptions are part of a segment's identity: changing them changes every hash from then on.
const parquetOptions = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"

// SegmentFile is a segment at rest.
type SegmentFile struct {
	Parquet events.Blob // key "segments/<sha256>.parquet"
	Rows    int64
	MinTime time.Time // lowest and highest event time, UTC
	MaxTime time.Time
}

// SegmentWriter gathers accepted rows in memory, column by column in order of arrival, and writes them as one Parquet file.
// It belongs to one goroutine.
type SegmentWriter struct {
	engine  *Engine
	store   *Store
	columns []resource.Column
	data    []buffer
	rows    int
	bytes   int64
	min     int64 // event times, µs
	max     int64
}

// buffer is one column; texts or numbers hold the values, nulls marks the absent ones.
type buffer struct {
	nulls  []bool
	ints   []int64
	floats []float64
	texts  []string
}

// NewSegmentWriter makes a writer of the checker's columns.
func NewSegmentWriter(e *Engine, s *Store, c *rows.Checker) *SegmentWriter {
	w := &SegmentWriter{engine: e, store: s, columns: c.Columns()}
	w.data = make([]buffer, len(w.columns))
	return w
}

// Append adds a row; r may be reused afterwards.
func (w *SegmentWriter) Append(r *rows.Row) {
	for i := range w.data {
		b, v := &w.data[i], &r.Values[i]
		b.nulls = append(b.nulls, v.Null)
		switch w.columns[i].Type {
		case resource.TypeFloat64:
			b.floats = append(b.floats, v.F)
		case resource.TypeString:
			b.texts = append(b.texts, v.S)
			w.bytes += int64(len(v.S))
		default:
			b.ints = append(b.ints, v.I)
		}
	}
	w.bytes += int64(9 * len(w.data))
	if w.rows == 0 || r.Time < w.min {
		w.min = r.Time
	}
	if w.rows == 0 || r.Time > w.max {
		w.max = r.Time
	}
	w.rows++
}

// Rows is the number of rows since the last Write or Reset.
func (w *SegmentWriter) Rows() int64 { return int64(w.rows) }

// Bytes is about how much memory they take.
func (w *SegmentWriter) Bytes() int64 { return w.bytes }

// Reset forgets the rows.
func (w *SegmentWriter) Reset() {
	for i := range w.data {
		b := &w.data[i]
		clear(b.texts) // let go of the strings
		b.nulls, b.ints, b.floats, b.texts = b.nulls[:0], b.ints[:0], b.floats[:0], b.texts[:0]
	}
	w.rows, w.bytes, w.min, w.max = 0, 0, 0, 0
}

// Write stores the rows as a segment, durably, and forgets them; on error it keeps them, so Write can be tried again. Without
// rows there is nothing to write: the result is the zero SegmentFile.
func (w *SegmentWriter) Write(ctx context.Context) (SegmentFile, error) {
	if w.rows == 0 {
		return SegmentFile{}, nil
	}
	b, err := writeParquet(ctx, w.engine, w.store, "segments", tableColumns(w.columns), w.rows, w.fill)
	if err != nil {
		return SegmentFile{}, fmt.Errorf("write segment of %d rows: %w", w.rows, err)
	}
	out := SegmentFile{Parquet: b, Rows: int64(w.rows), MinTime: time.UnixMicro(w.min).UTC(), MaxTime: time.UnixMicro(w.max).UTC()}
	w.Reset()
	return out, nil
}

func (w *SegmentWriter) fill(row int, dst []driver.Value) {
	for i := range w.data {
		b := &w.data[i]
		switch {
		case b.nulls[row]:
			dst[i] = nil
		case w.columns[i].Type == resource.TypeFloat64:
			dst[i] = b.floats[row]
		case w.columns[i].Type == resource.TypeString:
			dst[i] = b.texts[row]
		case w.columns[i].Type == resource.TypeBoolean:
			dst[i] = b.ints[row] != 0
		case w.columns[i].Type == resource.TypeTimestamp:
			dst[i] = time.UnixMicro(b.ints[row]).UTC()
		default:
			dst[i] = b.ints[row]
		}
	}
}

// SQLType is the DuckDB type of a column type.
func SQLType(columnType string) string {
	switch columnType {
	case resource.TypeFloat64:
		return "DOUBLE"
	case resource.TypeInt64:
		return "BIGINT"
	case resource.TypeBoolean:
		return "BOOLEAN"
	case resource.TypeTimestamp:
		return "TIMESTAMP"
	}
	return "VARCHAR"
}

// tableColumns is the column list of CREATE TABLE.
func tableColumns(columns []resource.Column) []string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = Ident(c.Name) + " " + SQLType(c.Type)
	}
	return list
}

// writeParquet stores n rows under prefix by their content. fill sets the values of one row.
func writeParquet(ctx context.Context, e *Engine, s *Store, prefix string, columns []string, n int, fill func(row int, dst []driver.Value)) (events.Blob, error) {
	path, err := tempFile(s.Scratch(), "parquet-")
	if err != nil {
		return events.Blob{}, err
	}
	defer os.Remove(path) // gone already when it was adopted
	err = e.WithTable(ctx, columns, n, fill, func(c driver.Conn, table string) error {
		return exec(ctx, c, "COPY "+table+" TO "+Literal(path)+" "+parquetOptions)
	})
	if err != nil {
		return events.Blob{}, err
	}
	return s.Adopt(ctx, prefix, ".parquet", path)
}

// WithTable fills a temporary table of n rows and calls use with the connection that sees it. columns is the list of CREATE
// TABLE; fill sets the values of one row.
func (e *Engine) WithTable(ctx context.Context, columns []string, n int, fill func(row int, dst []driver.Value), use func(c driver.Conn, table string) error) (err error) {
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(raw any) (err error) {
		const table = "filling"
		c := raw.(driver.Conn)
		if err := exec(ctx, c, "CREATE OR REPLACE TEMP TABLE "+table+" ("+strings.Join(columns, ", ")+")"); err != nil {
			return err
		}
		defer func() {
			// A cancelled context must not leave the rows in the pooled connection.
			if drop := exec(context.WithoutCancel(ctx), c, "DROP TABLE IF EXISTS "+table); err == nil {
				err = drop
			}
		}()
		if err := appendRows(c, table, len(columns), n, fill); err != nil {
			return err
		}
		return use(c, table)
	})
}

func appendRows(c driver.Conn, table string, width, n int, fill func(row int, dst []driver.Value)) error {
	a, err := duckdb.NewAppender(c, "temp", "", table)
	if err != nil {
		return err
	}
	dst := make([]driver.Value, width)
	for row := range n {
		fill(row, dst)
		if err := a.AppendRow(dst...); err != nil {
			return errors.Join(err, a.Close())
		}
	}
	return a.Close()
}

func exec(ctx context.Context, c driver.Conn, query string) error {
	_, err := c.(driver.ExecerContext).ExecContext(ctx, query, nil)
	return err
}
