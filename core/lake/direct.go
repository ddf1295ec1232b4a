package lake

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
)

// direct is a second DuckDB of one thread, spoken to without database/sql: a statement over a few rows takes a quarter of
// the time, since no goroutine watches its context and no other thread has to wake up. It holds no data and reaches no file.
type direct struct {
	mu   sync.Mutex
	db   bindings.Database
	open bool
	used int // statements and streams that are not closed
}

// Statement is a prepared SELECT over rows of typed values, on a connection of its own. It belongs to one goroutine at a time.
type Statement struct {
	owner *direct
	conn  bindings.Connection
	stmt  bindings.PreparedStatement
	types []string // of the values of a row, as column types
	texts []bool   // by result column: VARCHAR, else FLOAT
	many  bool

	list  []bindings.Value // with many: of one column
	elems []bindings.LogicalType
	null  bindings.Value
}

// Param is the SQL of the i-th value of a row, from 0, for Prepare (many false) or PrepareMany.
func Param(i int, columnType string, many bool) string {
	if many {
		return fmt.Sprintf("unnest($%d::%s[])", i+1, SQLType(columnType))
	}
	return fmt.Sprintf("$%d::%s", i+1, SQLType(columnType))
}

// Prepare makes a statement over one row of values of the column types given, which it names by Param, and of which none is null:
// DuckDB plans a statement anew, at ten times the cost of running it, when a null comes where there was a value. It gives one
// row, whose columns are VARCHAR where texts says so and FLOAT elsewhere. The caller closes it before the engine.
func (e *Engine) Prepare(query string, types []string, texts []bool) (*Statement, error) {
	return e.statement(&Statement{owner: &e.direct, types: types, texts: texts}, query)
}

// PrepareMany is Prepare for a statement over any number of rows, of at least one value each, which may be null; it gives as many
// rows. For one row it takes half as long again, for each further one a fraction.
func (e *Engine) PrepareMany(query string, types []string, texts []bool) (*Statement, error) {
	return e.statement(&Statement{owner: &e.direct, types: types, texts: texts, many: true}, query)
}

func (e *Engine) statement(s *Statement, query string) (_ *Statement, err error) {
	if s.conn, err = e.direct.connect(); err != nil {
		return nil, err
	}
	if s.many {
		s.null = bindings.CreateNullValue()
		for _, t := range s.types {
			s.elems = append(s.elems, bindings.CreateLogicalType(logicalType(t)))
		}
	}
	if s.stmt, err = prepare(s.conn, query, resultTypes(s.texts)); err != nil {
		s.Close()
		return nil, fmt.Errorf("prepare: %w", err)
	}
	return s, nil
}

func resultTypes(texts []bool) []bindings.Type {
	out := make([]bindings.Type, len(texts), len(texts)+1)
	for i, text := range texts {
		out[i] = bindings.TypeFloat
		if text {
			out[i] = bindings.TypeVarchar
		}
	}
	return out
}

func logicalType(columnType string) bindings.Type {
	switch columnType {
	case resource.TypeFloat64:
		return bindings.TypeDouble
	case resource.TypeInt64:
		return bindings.TypeBigInt
	case resource.TypeBoolean:
		return bindings.TypeBoolean
	case resource.TypeTimestamp:
		return bindings.TypeTimestamp
	}
	return bindings.TypeVarchar
}

// prepare makes a statement whose result has columns of the types given. What it returns with an error is destroyed, too.
func prepare(conn bindings.Connection, query string, types []bindings.Type) (stmt bindings.PreparedStatement, err error) {
	if bindings.Prepare(conn, query, &stmt) == bindings.StateError {
		return stmt, errors.New(bindings.PrepareError(stmt))
	}
	if n := int(bindings.PreparedStatementColumnCount(stmt)); n != len(types) {
		return stmt, fmt.Errorf("%d result columns, not %d", n, len(types))
	}
	for i, want := range types {
		// The values are read as raw memory: a column of another type must never get that far.
		if got := bindings.PreparedStatementColumnType(stmt, bindings.IdxT(i)); got != want {
			return stmt, fmt.Errorf("result column %d has type %d, not %d", i, got, want)
		}
	}
	return stmt, nil
}

func (d *direct) connect() (conn bindings.Connection, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open {
		if bindings.Open("", &d.db) == bindings.StateError {
			return conn, errors.New("open DuckDB for single rows: out of memory")
		}
		if err := d.configure(); err != nil {
			bindings.Close(&d.db)
			return conn, fmt.Errorf("configure DuckDB: %w", err)
		}
		d.open = true
	}
	if bindings.Connect(d.db, &conn) == bindings.StateError {
		return conn, errors.New("connect to DuckDB for single rows: out of memory")
	}
	d.used++
	return conn, nil
}

// configure confines the DuckDB. A connection's own buffer is the one setting that stays free: streams need it small.
func (d *direct) configure() error {
	var conn bindings.Connection
	if bindings.Connect(d.db, &conn) == bindings.StateError {
		return errors.New("out of memory")
	}
	defer bindings.Disconnect(&conn)
	for _, q := range append([]string{"SET threads = 1", "SET allowed_configs = ['streaming_buffer_size']"}, lockdown("", nil)...) {
		if err := execute(conn, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return register(conn)
}

func execute(conn bindings.Connection, query string) error {
	var res bindings.Result
	defer bindings.DestroyResult(&res)
	if bindings.Query(conn, query, &res) == bindings.StateError {
		return errors.New(bindings.ResultError(&res))
	}
	return nil
}

// release tells that a connection was given back.
func (d *direct) release() {
	d.mu.Lock()
	d.used--
	d.mu.Unlock()
}

func (d *direct) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.used > 0 {
		return fmt.Errorf("close DuckDB: %d statements are still open", d.used)
	}
	if d.open {
		bindings.Close(&d.db)
		d.open = false
	}
	return nil
}

// Close releases the statement and its connection.
func (s *Statement) Close() {
	if s.many {
		bindings.DestroyValue(&s.null)
		for i := range s.elems {
			bindings.DestroyLogicalType(&s.elems[i])
		}
	}
	bindings.DestroyPrepare(&s.stmt)
	bindings.Disconnect(&s.conn)
	s.owner.release()
}

// Run executes the statement over n rows of values, row by row, and gives each result to number or text; valid is false for null.
// A result of another number of rows is an error; then nothing has been given.
func (s *Statement) Run(n int, vals []rows.Value, number func(row, col int, x float32, valid bool), text func(row, col int, x string, valid bool)) error {
	if len(vals) != n*len(s.types) || (n != 1 && !s.many) {
		return fmt.Errorf("there are %d values, the statement takes rows of %d", len(vals), len(s.types))
	}
	for i := range s.types {
		var state bindings.State
		if s.many {
			state = s.bindList(i, n, vals)
		} else {
			state = s.bind(bindings.IdxT(i+1), &vals[i], s.types[i])
		}
		if state == bindings.StateError {
			return fmt.Errorf("bind value %d: %s", i, bindings.PrepareError(s.stmt))
		}
	}
	var res bindings.Result
	defer bindings.DestroyResult(&res)
	if bindings.ExecutePrepared(s.stmt, &res) == bindings.StateError {
		return errors.New(bindings.ResultError(&res))
	}
	chunk := bindings.FetchChunk(res)
	if chunk.Ptr == nil {
		return errors.New("the statement gave no row")
	}
	defer bindings.DestroyDataChunk(&chunk)
	if got := int(bindings.DataChunkGetSize(chunk)); got != n {
		return fmt.Errorf("the statement gave %d rows, not %d", got, n)
	}
	give(chunk, n, s.texts, number, text)
	return nil
}

// give reads the n rows of a chunk.
func give(chunk bindings.DataChunk, n int, texts []bool, number func(row, col int, x float32, valid bool), text func(row, col int, x string, valid bool)) {
	for col, isText := range texts {
		vec := bindings.DataChunkGetVector(chunk, bindings.IdxT(col))
		mask := bindings.VectorGetValidity(vec) // nil when no value is null
		data := bindings.VectorGetData(vec)
		for row := range n {
			valid := mask == nil || *at[uint64](mask, row/64)&(1<<(row%64)) != 0
			switch {
			case isText && valid:
				text(row, col, textAt(data, row), true)
			case isText:
				text(row, col, "", false)
			case valid:
				number(row, col, *at[float32](data, row), true)
			default:
				number(row, col, 0, false)
			}
		}
	}
}

// at is the i-th element of an array of DuckDB's.
func at[T any](data unsafe.Pointer, i int) *T {
	return (*T)(unsafe.Add(data, uintptr(i)*unsafe.Sizeof(*new(T))))
}

// textAt copies the i-th string of an array of DuckDB's: a length, and then up to 12 bytes, or 4 of them and where they all are.
func textAt(data unsafe.Pointer, i int) string {
	p := unsafe.Add(data, 16*i)
	n := *(*uint32)(p)
	if n == 0 {
		return ""
	}
	bytes := unsafe.Add(p, 4)
	if n > 12 {
		bytes = *(*unsafe.Pointer)(unsafe.Add(p, 8))
	}
	return string(unsafe.Slice((*byte)(bytes), n))
}

func (s *Statement) bind(i bindings.IdxT, v *rows.Value, columnType string) bindings.State {
	if v.Null {
		return bindings.BindNull(s.stmt, i)
	}
	switch columnType {
	case resource.TypeFloat64:
		return bindings.BindDouble(s.stmt, i, v.F)
	case resource.TypeInt64:
		return bindings.BindInt64(s.stmt, i, v.I)
	case resource.TypeBoolean:
		return bindings.BindBoolean(s.stmt, i, v.I != 0)
	case resource.TypeTimestamp:
		return bindings.BindTimestamp(s.stmt, i, bindings.NewTimestamp(v.I))
	}
	return bindings.BindVarchar(s.stmt, i, v.S)
}

// bindList binds the i-th value of n rows as a list.
func (s *Statement) bindList(i, n int, vals []rows.Value) bindings.State {
	s.list = s.list[:0]
	for row := range n {
		v := &vals[row*len(s.types)+i]
		if v.Null {
			s.list = append(s.list, s.null)
			continue
		}
		s.list = append(s.list, value(v, s.types[i]))
	}
	list := bindings.CreateListValue(s.elems[i], s.list)
	state := bindings.BindValue(s.stmt, bindings.IdxT(i+1), list)
	bindings.DestroyValue(&list)
	for row := range n {
		if !vals[row*len(s.types)+i].Null {
			bindings.DestroyValue(&s.list[row])
		}
	}
	return state
}

func value(v *rows.Value, columnType string) bindings.Value {
	switch columnType {
	case resource.TypeFloat64:
		return bindings.CreateDouble(v.F)
	case resource.TypeInt64:
		return bindings.CreateInt64(v.I)
	case resource.TypeBoolean:
		return bindings.CreateBool(v.I != 0)
	case resource.TypeTimestamp:
		return bindings.CreateTimestamp(bindings.NewTimestamp(v.I))
	}
	return bindings.CreateVarchar(v.S)
}
