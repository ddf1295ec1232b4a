package features

import (
	"context"
	"database/sql/driver"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/core/together"
)

// manyRows is from how many rows on a table beats as many single statements.
const manyRows = 32

// Online computes features of rows that are not at rest, as serving does. It is safe for concurrent use. Callers that come while
// others are served are served together: DuckDB takes hardly longer for some rows than for one.
type Online struct {
	f       *Features
	checker *rows.Checker
	names   []string // Used; without any, a column that holds nothing
	types   []string // of the names
	texts   []bool   // by feature
	// unstreamed is set when the features turned out to be more than a projection.
	unstreamed atomic.Bool

	group *together.Group[*job]

	mu     sync.Mutex
	closed bool
	idle   []*runner
}

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
	// As many at work as leave room for what else a server does: waiting callers go together.
	o.group = together.New(max(1, runtime.GOMAXPROCS(0)/2), most, (*job).weight, o.serve)
	for _, name := range f.Used {
		c, _ := f.spec.Column(name)
		o.names, o.types = append(o.names, name), append(o.types, c.Type)
	}
	if len(o.types) == 0 {
		o.names, o.types = []string{"unused"}, []string{resource.TypeBoolean}
	}
	for _, kind := range f.Kinds {
		o.texts = append(o.texts, kind == Text)
	}
	r := &runner{o: o}
	if err := r.open(); err != nil { // what cannot be prepared fails here, not at the first request
		r.close()
		return nil, fmt.Errorf("prepare features: %w", err)
	}
	o.give(r)
	return o, nil
}

// Close closes the statements; those in use close when they are given back.
func (o *Online) Close() error {
	o.mu.Lock()
	idle := o.idle
	o.idle, o.closed = nil, true
	o.mu.Unlock()
	for _, r := range idle {
		r.close()
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
	for _, vals := range bound {
		if len(vals) != len(o.f.Used) {
			return nil, fmt.Errorf("compute features: the row has %d values, %d columns are used", len(vals), len(o.f.Used))
		}
	}
	if o.isClosed() {
		return nil, fmt.Errorf("compute features: %w", errClosed)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("compute features: %w", err)
	}
	if err := o.together(bound, m); err != nil {
		return nil, fmt.Errorf("compute features: %w", advise(err))
	}
	return m, nil
}

func (o *Online) isClosed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
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
		if len(vals) != len(o.f.Used) {
			return fmt.Errorf("compute features: a row has %d values, %d columns are used", len(vals), len(o.f.Used))
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
