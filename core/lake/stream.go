package lake

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/cgo"
	"strings"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/tidemill/tidemill/core/lake/rows"
)

// Tag is the column that a stream's source has beside those asked for. The query gives it as its last: by it a stream knows
// its rows again.
const Tag = `"#tag"`

// MaxStream is how many rows go through a stream at once.
const MaxStream = 1024

// ErrNoStream says that a query doesn't give each chunk of its source before it takes another. Use statements for it.
var ErrNoStream = errors.New("the query does not stream")

// Stream computes a SELECT over rows of typed values by one query that never ends: its source hands over the rows of a run,
// and fetching drives them through the pipeline that stands already. Planning, transactions and results, most of what a
// [Statement] costs, are paid once. It belongs to one goroutine at a time.
//
// DuckDB asks its source once more before it gives back a chunk. It gets a filler then, a row that was computed already,
// whose result the next run throws away.
type Stream struct {
	owner *direct
	conn  bindings.Connection
	stmt  bindings.PreparedStatement
	res   bindings.Result
	runs  bool // res is open

	names  []string
	types  []string
	texts  []bool
	handle *cgo.Handle // what the source knows the stream by
	pin    runtime.Pinner

	// The run: its rows, and how often the source was asked.
	vals  []rows.Value
	n     int
	asked int
	run   int64
}

// Stream makes a stream. query makes the SELECT over a source, a table function of columns of the names and types given, of which
// there is one at least, and Tag; its columns are VARCHAR where texts says so, FLOAT elsewhere, and Tag at last. It must be a
// projection: what filters, sorts or groups gives ErrNoStream when it runs, and a window would see the rows of earlier runs. The
// caller closes it before the engine.
func (e *Engine) Stream(query func(source string) string, names, types []string, texts []bool) (_ *Stream, err error) {
	s := &Stream{owner: &e.direct, names: names, types: types, texts: texts}
	if s.conn, err = e.direct.connect(); err != nil {
		return nil, err
	}
	s.handle = new(cgo.NewHandle(s))
	s.pin.Pin(s.handle) // DuckDB keeps its address
	// A buffer that the smallest chunk fills: the query must not run ahead.
	if err := execute(s.conn, "SET streaming_buffer_size = '1 byte'"); err != nil {
		s.Close()
		return nil, fmt.Errorf("prepare a stream: %w", err)
	}
	if s.stmt, err = prepare(s.conn, query(fmt.Sprintf("%s(%d)", sourceName, *s.handle)), append(resultTypes(texts), bindings.TypeBigInt)); err != nil {
		s.Close()
		return nil, fmt.Errorf("prepare a stream: %w", err)
	}
	return s, nil
}

// Close ends the query and releases its connection.
func (s *Stream) Close() {
	s.stop()
	bindings.DestroyPrepare(&s.stmt)
	bindings.Disconnect(&s.conn)
	s.pin.Unpin()
	s.handle.Delete()
	s.owner.release()
}

func (s *Stream) stop() {
	if s.runs {
		bindings.DestroyResult(&s.res)
		s.runs = false
	}
}

// Run computes n rows of values, row by row, and gives each result to number or text; valid is false for null. When it gives
// an error it has given nothing. A row that can't be computed ends the query, which the next run begins anew.
func (s *Stream) Run(n int, vals []rows.Value, number func(row, col int, x float32, valid bool), text func(row, col int, x string, valid bool)) error {
	if n < 1 || n > MaxStream || len(vals) != n*len(s.types) {
		return fmt.Errorf("there are %d values for %d rows, the stream takes rows of %d", len(vals), n, len(s.types))
	}
	s.vals, s.n, s.asked = vals, n, 0
	s.run++
	defer func() { s.vals, s.asked = nil, mostAsked }() // whoever asks now finds the end
	if !s.runs {
		s.runs = true
		// DuckDB means to replace this function, but nothing else gives chunks as they are made yet.
		if bindings.ExecutePreparedStreaming(s.stmt, &s.res) == bindings.StateError {
			return s.failed()
		}
	}
	for range 3 {
		chunk := bindings.FetchChunk(s.res)
		if chunk.Ptr == nil {
			return s.failed()
		}
		done, err := s.take(chunk, number, text)
		bindings.DestroyDataChunk(&chunk)
		if err != nil {
			s.stop()
			return err
		}
		if done {
			return nil
		}
	}
	s.stop()
	return fmt.Errorf("%w: the rows did not come", ErrNoStream)
}

func (s *Stream) failed() error {
	text := bindings.ResultError(&s.res)
	s.stop()
	if text == "" {
		return fmt.Errorf("%w: it ended", ErrNoStream)
	}
	return errors.New(text)
}

// take gives a chunk's values when it is the run's; done is false for the filler of an earlier run.
func (s *Stream) take(chunk bindings.DataChunk, number func(row, col int, x float32, valid bool), text func(row, col int, x string, valid bool)) (done bool, err error) {
	n := int(bindings.DataChunkGetSize(chunk))
	if n == 0 || s.asked > mostAsked {
		return false, fmt.Errorf("%w: it took %d chunks and gave %d rows", ErrNoStream, s.asked, n)
	}
	tags := bindings.VectorGetData(bindings.DataChunkGetVector(chunk, bindings.IdxT(len(s.texts))))
	if n == 1 && *at[int64](tags, 0) == filler {
		return false, nil
	}
	for row := range n {
		if *at[int64](tags, row) != s.tag(row) || n != s.n {
			return false, fmt.Errorf("%w: other rows came than were sent", ErrNoStream)
		}
	}
	give(chunk, n, s.texts, number, text)
	return true, nil
}

const (
	// filler is the tag of a row that nobody waits for.
	filler = -1
	// mostAsked is how often a run's source may be asked: for the rows and for a filler.
	mostAsked = 2
)

func (s *Stream) tag(row int) int64 { return s.run*MaxStream + int64(row) }

// next is what the source gives when it is asked: the run's rows, then a filler, then the end, which should never be.
func (s *Stream) next(chunk bindings.DataChunk) {
	s.asked++
	n := 0
	switch s.asked {
	case 1:
		n = s.n
	case 2:
		n = 1
	}
	for col, t := range s.types {
		s.fill(bindings.DataChunkGetVector(chunk, bindings.IdxT(col)), col, n, t)
	}
	tags := bindings.VectorGetData(bindings.DataChunkGetVector(chunk, bindings.IdxT(len(s.types))))
	for row := range n {
		*at[int64](tags, row) = s.tag(row)
		if s.asked > 1 {
			*at[int64](tags, row) = filler
		}
	}
	bindings.DataChunkSetSize(chunk, bindings.IdxT(n))
}

// fill writes a column of n rows, none of which is null so far.
func (s *Stream) fill(vec bindings.Vector, col, n int, columnType string) {
	var data, mask unsafe.Pointer
	kind := logicalType(columnType)
	if kind != bindings.TypeVarchar {
		data = bindings.VectorGetData(vec)
	}
	for row := range n {
		v := &s.vals[row*len(s.types)+col]
		switch {
		case v.Null:
			if mask == nil {
				bindings.VectorEnsureValidityWritable(vec)
				mask = bindings.VectorGetValidity(vec)
			}
			*at[uint64](mask, row/64) &^= 1 << (row % 64)
		case kind == bindings.TypeVarchar:
			bindings.VectorAssignStringElement(vec, bindings.IdxT(row), v.S)
		case kind == bindings.TypeDouble:
			*at[float64](data, row) = v.F
		case kind == bindings.TypeBoolean:
			*at[bool](data, row) = v.I != 0
		default:
			*at[int64](data, row) = v.I
		}
	}
}

// columns are the source's.
func (s *Stream) columns(add func(name string, kind bindings.Type)) {
	for i, name := range s.names {
		add(name, logicalType(s.types[i]))
	}
	add(strings.Trim(Tag, `"`), bindings.TypeBigInt)
}
