package lake

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
)

// pageRows bounds the memory of reading Parquet: DuckDB hands over whole results.
const pageRows = 1 << 16

type parquetSource struct {
	engine  *Engine
	file    File
	checker *rows.Checker
	names   []string
	at      []int
	list    string // SQL of the columns
	total   int64
	from    int64 // first row of the next page
	page    []driver.Value
	vals    []any
}

func openParquet(ctx context.Context, e *Engine, f File, c *rows.Checker, offset int64) (*parquetSource, error) {
	info, err := Inspect(ctx, e, f, c)
	if err != nil {
		return nil, err
	}
	s := &parquetSource{engine: e, file: f, checker: c, total: info.Rows, from: offset}
	var list []string
	for _, col := range info.Columns {
		s.names = append(s.names, col.Name)
		list = append(list, readAs(col.Name, col.SQLType))
	}
	if s.at, err = matchColumns(f, s.names, c); err != nil {
		return nil, err
	}
	s.list, s.vals = strings.Join(list, ", "), make([]any, len(list))
	return s, nil
}

// readAs casts a column to the few types that rows.Checker.Values knows, losing nothing it could keep.
func readAs(name, sqlType string) string {
	switch id := Ident(name); {
	case strings.HasPrefix(sqlType, "DECIMAL"):
		return id + "::DOUBLE"
	case sqlType == "DATE" || strings.HasPrefix(sqlType, "TIMESTAMP"):
		return id + "::TIMESTAMP" // the session is in UTC
	case strings.HasPrefix(sqlType, "ENUM") || sqlType == "UUID":
		return id + "::VARCHAR"
	default:
		return id
	}
}

func (s *parquetSource) next(ctx context.Context, now time.Time, into *rows.Row) (*rows.Refusal, func() string, error) {
	for len(s.page) == 0 {
		if s.from >= s.total {
			return nil, nil, io.EOF
		}
		if err := s.load(ctx); err != nil {
			return nil, nil, err
		}
	}
	for j := range s.vals {
		s.vals[j] = s.page[j]
	}
	s.page = s.page[len(s.vals):]
	return s.checker.Values(s.at, s.vals, now, into), s.raw, nil
}

func (s *parquetSource) load(ctx context.Context) error {
	to := min(s.from+pageRows, s.total)
	q := fmt.Sprintf("SELECT %s FROM read_parquet(%s, file_row_number = true) WHERE file_row_number >= %d AND file_row_number < %d",
		s.list, Literal(s.file.Path), s.from, to)
	page := make([]driver.Value, 0, int(to-s.from)*len(s.vals))
	err := s.engine.Scan(ctx, q, func(v []driver.Value) error { page = append(page, v...); return nil })
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return s.file.bad("cannot be read from row %d on: %v", s.from, err)
	}
	s.page, s.from = page, to
	return nil
}

// raw is the current row as JSON.
func (s *parquetSource) raw() string {
	var b strings.Builder
	for j, name := range s.names {
		writeMember(&b, j, name, jsonValue(s.vals[j]))
	}
	return b.String() + "}"
}

func (s *parquetSource) close() error { return nil }

// writeMember appends a member of an object; the first opens it.
func writeMember(b *strings.Builder, j int, name string, value []byte) {
	if j == 0 {
		b.WriteByte('{')
	} else {
		b.WriteByte(',')
	}
	key, _ := json.Marshal(name) // strings always encode
	b.Write(key)
	b.WriteByte(':')
	b.Write(value)
}

func jsonValue(x any) []byte {
	switch v := x.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			x = fmt.Sprint(v)
		}
	case float32:
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			x = fmt.Sprint(v)
		}
	case time.Time:
		x = v.UTC().Format(time.RFC3339Nano)
	}
	out, err := json.Marshal(x)
	if err != nil {
		out, _ = json.Marshal(fmt.Sprint(x))
	}
	return out
}

// FileInfo is what Inspect finds.
type FileInfo struct {
	Columns []FileColumn
	Rows    int64 // -1 when counting would mean reading it all
	Bytes   int64
}

// FileColumn is a column of a file.
type FileColumn struct {
	Name    string
	SQLType string // DuckDB's; VARCHAR for CSV, where types are the contract's business
}

// Inspect looks at a file without reading its rows: whether it is complete, what its columns are, and, when c is given,
// whether they fit the dataset. What the user can mend is an ErrBadFile. NDJSON has no columns to look at.
func Inspect(ctx context.Context, e *Engine, f File, c *rows.Checker) (FileInfo, error) {
	st, err := os.Stat(f.Path)
	if err != nil {
		return FileInfo{}, fmt.Errorf("inspect %s: %w", f.name(), err)
	}
	info := FileInfo{Rows: -1, Bytes: st.Size()}
	switch f.Format {
	case FormatCSV:
		names, err := csvHeader(f)
		if err != nil {
			return FileInfo{}, err
		}
		for _, n := range names {
			info.Columns = append(info.Columns, FileColumn{n, "VARCHAR"})
		}
		if c != nil {
			_, err = matchColumns(f, names, c)
		}
		return info, err
	case FormatNDJSON, FormatQuarantine:
		return info, nil
	case FormatParquet:
	default:
		return FileInfo{}, f.bad("has the unknown format %q; use parquet, csv or ndjson", f.Format)
	}
	if err := completeParquet(f, st.Size()); err != nil {
		return FileInfo{}, err
	}
	return inspectParquet(ctx, e, f, c, info)
}

func inspectParquet(ctx context.Context, e *Engine, f File, c *rows.Checker, info FileInfo) (FileInfo, error) {
	err := e.Scan(ctx, "DESCRIBE SELECT * FROM read_parquet("+Literal(f.Path)+")", func(v []driver.Value) error {
		info.Columns = append(info.Columns, FileColumn{v[0].(string), v[1].(string)})
		return nil
	})
	if err == nil {
		err = e.Scan(ctx, "SELECT num_rows FROM parquet_file_metadata("+Literal(f.Path)+")", func(v []driver.Value) error {
			info.Rows, _ = v[0].(int64)
			return nil
		})
	}
	if err != nil {
		if ctx.Err() != nil {
			return FileInfo{}, err
		}
		return FileInfo{}, f.bad("is not a complete Parquet file: %v", err)
	}
	if c == nil {
		return info, nil
	}
	names := make([]string, len(info.Columns))
	for i, col := range info.Columns {
		names[i] = col.Name
	}
	at, err := matchColumns(f, names, c)
	if err != nil {
		return FileInfo{}, err
	}
	columns := c.Columns()
	for j, col := range info.Columns {
		if want := columns[at[j]]; !fits(col.SQLType, want.Type) {
			return FileInfo{}, f.bad("has the column %q as %s, but it is %s in the dataset; convert the file or change the column's type", col.Name, col.SQLType, want.Type)
		}
	}
	return info, nil
}

// completeParquet reads the magic bytes at both ends: DuckDB's own words for a cut file don't say that it was cut.
func completeParquet(f File, size int64) error {
	file, err := os.Open(f.Path)
	if err != nil {
		return fmt.Errorf("inspect %s: %w", f.name(), err)
	}
	defer file.Close()
	var head, tail [4]byte
	_, errHead := file.ReadAt(head[:], 0)
	_, errTail := file.ReadAt(tail[:], max(0, size-4))
	switch err := errors.Join(errHead, errTail); {
	case size < 12 || (err == nil && string(head[:]) != "PAR1"):
		return f.bad("is not a complete Parquet file: it does not begin with PAR1 (%d bytes)", size)
	case err != nil:
		return fmt.Errorf("inspect %s: %w", f.name(), err)
	case string(tail[:]) != "PAR1":
		return f.bad("is not a complete Parquet file: its footer is missing, so it was cut off or is still being written (%d bytes); send the whole file", size)
	}
	return nil
}

// fits says whether values of a DuckDB type can be values of a column type; single values may still be refused.
func fits(sqlType, columnType string) bool {
	switch base, _, _ := strings.Cut(sqlType, "("); base {
	case "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER", "USMALLINT", "UTINYINT", "HUGEINT":
		return columnType != resource.TypeString && columnType != resource.TypeBoolean
	case "DOUBLE", "FLOAT", "DECIMAL":
		return columnType == resource.TypeFloat64 || columnType == resource.TypeInt64
	case "BOOLEAN":
		return columnType == resource.TypeBoolean
	case "DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE":
		return columnType == resource.TypeTimestamp
	case "VARCHAR", "ENUM":
		return columnType == resource.TypeString || columnType == resource.TypeTimestamp
	case "UUID":
		return columnType == resource.TypeString
	case "\"NULL\"", "NULL":
		return true
	}
	return false
}
