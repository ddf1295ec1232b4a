package lake

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"
)

// EngineOptions configure a DuckDB.
type EngineOptions struct {
	Threads     int      // worker threads; 0: DuckDB's default, one per core
	MemoryLimit string   // "1GB"; "": DuckDB's default, 80% of the machine
	Dirs        []string // the only directories it may read and write: Store.Dir, and those of files users name
	Scratch     string   // where it spills what exceeds memory; "" : the first of Dirs
}

// Engine is an in-memory DuckDB in UTC that loads no extension and reaches no file outside its directories; its
// configuration is locked, so SQL cannot undo that. It is safe for concurrent use.
type Engine struct {
	db     *sql.DB
	direct direct
}

// OpenEngine starts a DuckDB and locks it.
func OpenEngine(ctx context.Context, o EngineOptions) (*Engine, error) {
	dirs := make([]string, 0, len(o.Dirs))
	for _, d := range o.Dirs {
		abs, err := filepath.Abs(d)
		if err != nil {
			return nil, fmt.Errorf("open DuckDB: %w", err)
		}
		dirs = append(dirs, abs)
	}
	scratch := o.Scratch
	if scratch == "" && len(dirs) > 0 {
		scratch = filepath.Join(dirs[0], tempDir)
	}
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	e := &Engine{db: sql.OpenDB(connector)}
	settings := lockdown(scratch, dirs)
	if o.Threads > 0 {
		settings = append([]string{fmt.Sprintf("SET threads = %d", o.Threads)}, settings...)
	}
	if o.MemoryLimit != "" {
		settings = append([]string{"SET memory_limit = " + Literal(o.MemoryLimit)}, settings...)
	}
	for _, q := range settings {
		if _, err := e.db.ExecContext(ctx, q); err != nil {
			return nil, errors.Join(fmt.Errorf("configure DuckDB (%s): %w", q, err), e.Close())
		}
	}
	return e, nil
}

// lockdown are the settings that confine a DuckDB. The lock comes last, and allowed_directories cannot be set once external
// access is off.
func lockdown(scratch string, dirs []string) []string {
	return []string{
		"SET GLOBAL TimeZone = 'UTC'", // without GLOBAL only this one connection would be in UTC
		"SET autoinstall_known_extensions = false",
		"SET autoload_known_extensions = false",
		"SET preserve_insertion_order = true",
		"SET temp_directory = " + Literal(scratch),
		"SET allowed_directories = " + literalList(dirs),
		"SET enable_external_access = false",
		"SET lock_configuration = true",
	}
}

// Close stops DuckDB. Statements are closed by their owners before; one that is not keeps its memory and is an error.
func (e *Engine) Close() error { return errors.Join(e.db.Close(), e.direct.close()) }

// DB is the pool of connections, for the packages of this room.
func (e *Engine) DB() *sql.DB { return e.db }

// Scan runs a query and gives each row to yield; dst is reused between rows, its strings are not.
func (e *Engine) Scan(ctx context.Context, query string, yield func(row []driver.Value) error) error {
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(c any) error { return ScanConn(ctx, c.(driver.Conn), query, yield) })
}

// ScanConn is Scan on one connection. It skips database/sql's conversions, which cost more than DuckDB's own work.
func ScanConn(ctx context.Context, c driver.Conn, query string, yield func(row []driver.Value) error) error {
	r, err := c.(driver.QueryerContext).QueryContext(ctx, query, nil)
	if err != nil {
		return err
	}
	return errors.Join(Drain(r, yield), r.Close())
}

// Literal quotes a SQL string.
func Literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Ident quotes a SQL identifier.
func Ident(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func literalList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = Literal(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// tempFile reserves a name in dir that no one else has; DuckDB overwrites the empty file.
func tempFile(dir, pattern string) (string, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}
