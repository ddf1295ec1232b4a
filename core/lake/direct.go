package lake

import (
	"errors"
	"fmt"
	"sync"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
)

// direct is a second DuckDB of one thread, spoken to without database/sql: a statement over a single row takes a quarter of
// the time, since no goroutine watches its context and no other thread has to wake up. It holds no data and reaches no file.
type direct struct {
	mu   sync.Mutex
	db   bindings.Database
	open bool
	used int // statements that are not closed
}

// Statement is a prepared SELECT of one row with typed parameters, on a connection of its own. It belongs to one goroutine at
// a time.
type Statement struct {
	owner *direct
	conn  bindings.Connection
	stmt  bindings.PreparedStatement
	types []string // of the parameters, as column types
	texts []bool   // by result column: VARCHAR, else FLOAT
}

// Prepare makes a statement whose parameters $1, $2 … have the column types given and whose result columns are VARCHAR where
// texts says so and FLOAT elsewhere. The caller closes it before the engine.
func (e *Engine) Prepare(query string, types []string, texts []bool) (*Statement, error) {
	conn, err := e.direct.connect()
	if err != nil {
		return nil, err
	}
	s := &Statement{owner: &e.direct, conn: conn, types: types, texts: texts}
	if bindings.Prepare(conn, query, &s.stmt) == bindings.StateError {
		err := errors.New(bindings.PrepareError(s.stmt))
		s.Close()
		return nil, fmt.Errorf("prepare: %w", err)
	}
	if n := int(bindings.PreparedStatementColumnCount(s.stmt)); n != len(texts) {
		s.Close()
		return nil, fmt.Errorf("prepare: %d result columns, not %d", n, len(texts))
	}
	for i, text := range texts {
		want := bindings.TypeFloat
		if text {
			want = bindings.TypeVarchar
		}
		// The values are read as raw memory: a column of another type must never get that far.
		if got := bindings.PreparedStatementColumnType(s.stmt, bindings.IdxT(i)); got != want {
			s.Close()
			return nil, fmt.Errorf("prepare: result column %d has type %d, not %d", i, got, want)
		}
	}
	return s, nil
}

func (d *direct) connect() (conn bindings.Connection, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open {
		if bindings.Open("", &d.db) == bindings.StateError {
			return conn, errors.New("open DuckDB for single rows: out of memory")
		}
		d.open = true
		for _, q := range append([]string{"SET threads = 1"}, lockdown("", nil)...) {
			if err := d.exec(q); err != nil {
				bindings.Close(&d.db)
				d.open = false
				return conn, fmt.Errorf("configure DuckDB (%s): %w", q, err)
			}
		}
	}
	if bindings.Connect(d.db, &conn) == bindings.StateError {
		return conn, errors.New("connect to DuckDB for single rows: out of memory")
	}
	d.used++
	return conn, nil
}

func (d *direct) exec(query string) error {
	var conn bindings.Connection
	if bindings.Connect(d.db, &conn) == bindings.StateError {
		return errors.New("out of memory")
	}
	defer bindings.Disconnect(&conn)
	var res bindings.Result
	defer bindings.DestroyResult(&res)
	if bindings.Query(conn, query, &res) == bindings.StateError {
		return errors.New(bindings.ResultError(&res))
	}
	return nil
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
	bindings.DestroyPrepare(&s.stmt)
	bindings.Disconnect(&s.conn)
	s.owner.mu.Lock()
	s.owner.used--
	s.owner.mu.Unlock()
}

// Run executes the statement with one value per parameter and gives each result column to number or text; valid is false
// for null. A result without exactly one row is an error.
func (s *Statement) Run(vals []rows.Value, number func(col int, x float32, valid bool), text func(col int, x string, valid bool)) error {
	if len(vals) != len(s.types) {
		return fmt.Errorf("the row has %d values, the statement takes %d", len(vals), len(s.types))
	}
	for i := range vals {
		if s.bind(bindings.IdxT(i+1), &vals[i], s.types[i]) == bindings.StateError {
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
	if n := bindings.DataChunkGetSize(chunk); n != 1 {
		return fmt.Errorf("the statement gave %d rows, not one", n)
	}
	for i, isText := range s.texts {
		vec := bindings.DataChunkGetVector(chunk, bindings.IdxT(i))
		mask := bindings.VectorGetValidity(vec) // nil when no value is null
		valid := mask == nil || bindings.ValidityMaskValueIsValid(mask, 0)
		data := bindings.VectorGetData(vec)
		switch {
		case isText && valid:
			text(i, bindings.StringTData((*bindings.StringT)(data)), true)
		case isText:
			text(i, "", false)
		case valid:
			number(i, *(*float32)(data), true)
		default:
			number(i, 0, false)
		}
	}
	return nil
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
