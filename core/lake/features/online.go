package features

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
)

// manyRows is from how many rows on a table beats as many single statements.
const manyRows = 32

// Online computes features of rows that are not at rest, as serving does. It is safe for concurrent use; each concurrent
// caller has a connection with a prepared statement of its own, kept for the next.
type Online struct {
	f       *Features
	checker *rows.Checker
	types   []string // of Used
	single  string
	mu      sync.Mutex
	idle    []*prepared
	closed  bool
}

type prepared struct {
	conn driver.Conn
	stmt driver.Stmt
	args []driver.NamedValue
}

// maxIdle bounds what a burst of callers leaves behind.
const maxIdle = 16

// Online prepares the features for single rows. The caller closes it before the engine.
func (f *Features) Online(ctx context.Context) (*Online, error) {
	checker, err := rows.Compile(f.spec)
	if err != nil {
		return nil, fmt.Errorf("prepare features: %w", err)
	}
	o := &Online{f: f, checker: checker}
	var params []string
	for i, name := range f.Used {
		c, _ := f.spec.Column(name)
		o.types = append(o.types, c.Type)
		params = append(params, fmt.Sprintf("$%d::%s AS %s", i+1, lake.SQLType(c.Type), lake.Ident(name)))
	}
	if len(params) == 0 {
		params = []string{"NULL AS unused"}
	}
	o.single = "SELECT " + strings.Join(f.items(false), ", ") + " FROM " + f.inner("(SELECT "+strings.Join(params, ", ")+") t")
	p, err := o.take(ctx) // a statement that cannot be prepared fails here, not at the first request
	if err != nil {
		return nil, err
	}
	o.give(p)
	return o, nil
}

// Close closes the idle connections; those in use close when they are given back.
func (o *Online) Close() error {
	o.mu.Lock()
	idle := o.idle
	o.idle, o.closed = nil, true
	o.mu.Unlock()
	var err error
	for _, p := range idle {
		err = errors.Join(err, p.close())
	}
	return err
}

// Bind turns one raw row into the values of Features.Used: a column that is absent is null, one that the dataset does not
// have is refused, and so is a value of another type. Columns that no feature uses (the label's, say) are not looked at.
func (o *Online) Bind(row map[string]any) ([]rows.Value, *rows.Refusal) {
	vals := make([]rows.Value, len(o.f.Used))
	n := 0
	for j, name := range o.f.Used {
		x, ok := row[name]
		vals[j].Null = true
		if !ok {
			continue
		}
		n++
		i, _ := o.checker.Index(name)
		v, bad := o.checker.Coerce(i, x)
		if bad != nil {
			return nil, bad
		}
		vals[j] = v
	}
	if n < len(row) {
		for name := range row {
			if _, bad := o.checker.Find(name); bad != nil {
				return nil, bad
			}
		}
	}
	return vals, nil
}

// Compute gives the features of bound rows: each holds the values of Features.Used in that order.
func (o *Online) Compute(ctx context.Context, bound [][]rows.Value) (*Matrix, error) {
	m := o.f.newMatrix(len(bound))
	if len(bound) >= manyRows {
		return m, o.table(ctx, bound, m)
	}
	p, err := o.take(ctx)
	if err != nil {
		return nil, err
	}
	for _, vals := range bound {
		if err := ctx.Err(); err != nil {
			o.give(p)
			return nil, fmt.Errorf("compute features: %w", err)
		}
		if err := p.one(o.types, vals, m); err != nil {
			// DuckDB keeps a failed statement usable, but not a failed connection: start afresh.
			return nil, errors.Join(fmt.Errorf("compute features: %w", advise(err)), p.close())
		}
	}
	o.give(p)
	return m, nil
}

func (p *prepared) one(types []string, vals []rows.Value, m *Matrix) error {
	if len(vals) != len(p.args) {
		return fmt.Errorf("the row has %d values, %d columns are used", len(vals), len(p.args))
	}
	for i := range vals {
		p.args[i].Value = vals[i].Any(types[i])
	}
	// Without cancellation: the driver would start a goroutine per row to watch for it, for work of microseconds.
	r, err := p.stmt.(driver.StmtQueryContext).QueryContext(context.Background(), p.args)
	if err != nil {
		return err
	}
	return errors.Join(lake.Drain(r, m.addRow), r.Close())
}

func (m *Matrix) addRow(v []driver.Value) error {
	for i := range m.Columns {
		m.Columns[i].add(v[i], nil)
	}
	m.Rows++
	return nil
}

// table computes many rows at once.
func (o *Online) table(ctx context.Context, bound [][]rows.Value, m *Matrix) error {
	columns := []string{"unused BOOLEAN"} // a table needs a column, even for features that are constants
	for i, name := range o.f.Used {
		columns = append(columns, lake.Ident(name)+" "+lake.SQLType(o.types[i]))
	}
	for _, vals := range bound {
		if len(vals) != len(o.types) {
			return fmt.Errorf("compute features: a row has %d values, %d columns are used", len(vals), len(o.types))
		}
	}
	fill := func(row int, dst []driver.Value) {
		for i, v := range bound[row] {
			dst[i+1] = v.Any(o.types[i])
		}
	}
	err := o.f.engine.WithTable(ctx, columns, len(bound), fill, func(c driver.Conn, table string) error {
		q := "SELECT " + strings.Join(o.f.items(false), ", ") + " FROM " + o.f.inner(table+" t")
		return lake.ScanConn(ctx, c, q, m.addRow)
	})
	if err != nil {
		return fmt.Errorf("compute features: %w", advise(err))
	}
	return nil
}

func (o *Online) take(ctx context.Context) (*prepared, error) {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil, errors.New("compute features: the model is closed")
	}
	if n := len(o.idle); n > 0 {
		p := o.idle[n-1]
		o.idle = o.idle[:n-1]
		o.mu.Unlock()
		return p, nil
	}
	o.mu.Unlock()
	conn, err := o.f.engine.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare features: %w", err)
	}
	stmt, err := conn.(driver.ConnPrepareContext).PrepareContext(ctx, o.single)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare features: %w", err), conn.Close())
	}
	p := &prepared{conn: conn, stmt: stmt, args: make([]driver.NamedValue, len(o.types))}
	for i := range p.args {
		p.args[i].Ordinal = i + 1
	}
	return p, nil
}

func (o *Online) give(p *prepared) {
	o.mu.Lock()
	keep := !o.closed && len(o.idle) < maxIdle
	if keep {
		o.idle = append(o.idle, p)
	}
	o.mu.Unlock()
	if !keep {
		_ = p.close() // an in-memory connection has nothing to lose
	}
}

func (p *prepared) close() error { return errors.Join(p.stmt.Close(), p.conn.Close()) }
