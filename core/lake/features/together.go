package features

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
)

// most is how many rows go together.
const most = 64

var errClosed = errors.New("the model is closed")

// job is one caller's rows.
type job struct {
	bound [][]rows.Value
	m     *Matrix
	err   error
}

var jobs = sync.Pool{New: func() any { return &job{} }}

func (j *job) weight() int { return len(j.bound) }

// together computes the features of bound rows into m, by itself or by another caller that takes them along.
func (o *Online) together(bound [][]rows.Value, m *Matrix) error {
	j := jobs.Get().(*job)
	*j = job{bound: bound, m: m}
	o.group.Do(j)
	err := j.err
	*j = job{}
	jobs.Put(j)
	return err
}

// serve computes what callers ask for.
func (o *Online) serve(batch []*job) {
	r := o.take()
	r.run(batch)
	o.give(r)
}

func (o *Online) take() *runner {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.idle); n > 0 {
		r := o.idle[n-1]
		o.idle = o.idle[:n-1]
		return r
	}
	return &runner{o: o}
}

func (o *Online) give(r *runner) {
	o.mu.Lock()
	keep := !o.closed
	if keep {
		o.idle = append(o.idle, r)
	}
	o.mu.Unlock()
	if !keep {
		r.close()
	}
}

// runner has the way to compute of one who does.
type runner struct {
	o      *Online
	stream *lake.Stream
	one    *lake.Statement // over a row without nulls
	many   *lake.Statement // over any rows
	work   []place
	vals   []rows.Value
}

// place is a row of a job.
type place struct {
	*job
	row int
}

func (r *runner) close() {
	if r.stream != nil {
		r.stream.Close()
	}
	for _, s := range []*lake.Statement{r.one, r.many} {
		if s != nil {
			s.Close()
		}
	}
}

// statement is the one for r.vals.
func (r *runner) statement(n int) (*lake.Statement, error) {
	s, prepare, many := &r.many, r.o.f.engine.PrepareMany, true
	if n == 1 && len(r.o.f.Used) > 0 && !slices.ContainsFunc(r.vals, func(v rows.Value) bool { return v.Null }) {
		s, prepare, many = &r.one, r.o.f.engine.Prepare, false
	}
	if *s == nil {
		if r.o.isClosed() {
			return nil, errClosed
		}
		made, err := prepare(r.o.query(many), r.o.types, r.o.texts)
		if err != nil {
			return nil, err
		}
		*s = made
	}
	return *s, nil
}

// query computes the features of rows of values.
func (o *Online) query(many bool) string {
	params := make([]string, len(o.types))
	for i, t := range o.types {
		params[i] = lake.Param(i, t, many) + " AS " + lake.Ident(o.names[i])
	}
	return "SELECT " + strings.Join(o.f.items(false), ", ") + " FROM " + o.f.inner("(SELECT "+strings.Join(params, ", ")+") t")
}

// streamed computes the features of what a stream's source gives.
func (o *Online) streamed(source string) string {
	items := append(o.f.items(false), "f.x0")
	return "SELECT " + strings.Join(items, ", ") + " FROM " + o.f.inner(source+" t", "t."+lake.Tag)
}

// run computes the batch. When some rows fail, each is tried alone: a caller must not suffer from another's row.
func (r *runner) run(batch []*job) {
	r.work = r.work[:0]
	for _, j := range batch {
		for row := range j.bound {
			r.work = append(r.work, place{j, row})
		}
	}
	all := r.work
	for len(all) > 0 {
		some := all[:min(most, len(all))]
		all = all[len(some):]
		if err := r.rows(some); err == nil || len(some) == 1 {
			some[0].fail(err)
			continue
		}
		for i := range some {
			if some[i].err == nil {
				some[i].fail(r.rows(some[i : i+1]))
			}
		}
	}
	clear(r.work)
}

func (j *job) fail(err error) {
	if j.err == nil {
		j.err = err
	}
}

// rows computes up to most rows.
func (r *runner) rows(work []place) error {
	r.vals = r.vals[:0]
	for _, p := range work {
		r.vals = append(r.vals, p.bound[p.row]...)
		if len(r.o.f.Used) == 0 {
			r.vals = append(r.vals, rows.Value{Null: true}) // constants need rows too
		}
	}
	err := r.compute(len(work), func(row, col int, x float32, valid bool) {
		work[row].m.Columns[col].number(x, valid)
	}, func(row, col int, x string, _ bool) {
		c := &work[row].m.Columns[col]
		c.Texts = append(c.Texts, x)
	})
	if err != nil {
		return err
	}
	for _, p := range work {
		p.m.Rows++
	}
	return nil
}

// compute computes n rows of r.vals by a stream, or by statements when the features can't be streamed.
func (r *runner) compute(n int, number func(row, col int, x float32, valid bool), text func(row, col int, x string, valid bool)) error {
	if !r.o.unstreamed.Load() {
		err := r.open()
		if err == nil {
			err = r.stream.Run(n, r.vals, number, text)
		}
		if !errors.Is(err, lake.ErrNoStream) {
			return err
		}
		r.o.unstreamed.Store(true)
	}
	s, err := r.statement(n)
	if err != nil {
		return err
	}
	return s.Run(n, r.vals, number, text)
}

// open makes the stream if there is none.
func (r *runner) open() (err error) {
	if r.stream != nil {
		return nil
	}
	if r.o.isClosed() {
		return errClosed
	}
	r.stream, err = r.o.f.engine.Stream(r.o.streamed, r.o.names, r.o.types, r.o.texts)
	return err
}
