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
	idle    []*lake.Statement
	closed  bool
}

// maxIdle bounds what a burst of callers leaves behind.
const maxIdle = 16

// Online prepares the features for single rows. The caller closes it before the engine.
func (f *Features) Online(ctx context.Context) (*Online, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("prepare features: %w", err)
	}
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
	s, err := o.take() // a statement that cannot be prepared fails here, not at the first request
	if err != nil {
		return nil, err
	}
	o.give(s)
	return o, nil
}

// Close closes the idle connections; those in use close when they are given back.
func (o *Online) Close() error {
	o.mu.Lock()
	idle := o.idle
	o.idle, o.closed = nil, true
	o.mu.Unlock()
	for _, s := range idle {
		s.Close()
	}
	return nil
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
	s, err := o.take()
	if err != nil {
		return nil, err
	}
	defer o.give(s)
	for _, vals := range bound {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("compute features: %w", err)
		}
		if err := s.Run(vals, m.number, m.text); err != nil {
			return nil, fmt.Errorf("compute features: %w", advise(err))
		}
		m.Rows++
	}
	return m, nil
}

func (m *Matrix) number(col int, x float32, valid bool) { m.Columns[col].number(x, valid) }
func (m *Matrix) text(col int, x string, _ bool) {
	m.Columns[col].Texts = append(m.Columns[col].Texts, x)
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

func (o *Online) take() (*lake.Statement, error) {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil, errors.New("compute features: the model is closed")
	}
	if n := len(o.idle); n > 0 {
		s := o.idle[n-1]
		o.idle = o.idle[:n-1]
		o.mu.Unlock()
		return s, nil
	}
	o.mu.Unlock()
	texts := make([]bool, len(o.f.Kinds))
	for i, kind := range o.f.Kinds {
		texts[i] = kind == Text
	}
	s, err := o.f.engine.Prepare(o.single, o.types, texts)
	if err != nil {
		return nil, fmt.Errorf("compute features: %w", err)
	}
	return s, nil
}

func (o *Online) give(s *lake.Statement) {
	o.mu.Lock()
	keep := !o.closed && len(o.idle) < maxIdle
	if keep {
		o.idle = append(o.idle, s)
	}
	o.mu.Unlock()
	if !keep {
		s.Close()
	}
}
