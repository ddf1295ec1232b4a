package serving

import (
	"context"
	"errors"
	"net/http"

	"github.com/tidemill/tidemill/core/lake/features"
	lakerows "github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/services/serving/oip"
)

// fromColumns computes the batch from columns of the dataset, by the SQL that the version was trained with. A column that is
// left out is null.
func (v *version) fromColumns(ctx context.Context, q *request) error {
	if v.raw == nil {
		return fail(http.StatusServiceUnavailable, "version %s takes features only: %v", v.ref.Version, v.rawError)
	}
	q.rows = -1
	var bound [][]lakerows.Value
	for i := range q.wire.Inputs {
		t := &q.wire.Inputs[i]
		n, err := t.Rows()
		if err != nil {
			return fail(http.StatusBadRequest, "%v", err)
		}
		if q.rows >= 0 && n != q.rows {
			return fail(http.StatusBadRequest, "input %q has %d rows, the inputs before it have %d", t.Name, n, q.rows)
		}
		if q.rows < 0 {
			q.rows, bound = n, v.raw.nulls(n)
		}
		if err := v.raw.fill(t, n, bound); err != nil {
			return err
		}
	}
	if q.rows == 0 {
		return fail(http.StatusBadRequest, "the request has no rows")
	}
	m, err := v.raw.online.Compute(ctx, bound)
	if errors.Is(err, features.ErrData) {
		return fail(http.StatusUnprocessableEntity, "%v", err)
	}
	if err != nil {
		return err
	}
	q.batch = toBatch(m)
	return nil
}

// nulls are n rows of nulls for the columns that the features use.
func (r *rawColumns) nulls(n int) [][]lakerows.Value {
	width := len(r.types)
	flat := make([]lakerows.Value, n*width)
	for i := range flat {
		flat[i].Null = true
	}
	bound := make([][]lakerows.Value, n)
	for i := range bound {
		bound[i] = flat[i*width : (i+1)*width : (i+1)*width]
	}
	return bound
}

// fill reads one column. A column that no feature uses is checked and forgotten.
func (r *rawColumns) fill(t *oip.Tensor, n int, bound [][]lakerows.Value) error {
	column, refusal := r.checker.Find(string(t.Name))
	if refusal != nil {
		return fail(http.StatusBadRequest, "input %q is neither a feature nor a column of the dataset: %s", t.Name, refusal.Detail)
	}
	place, used := r.place[string(t.Name)]
	if !used {
		if err := t.Check(n); err != nil {
			return fail(http.StatusBadRequest, "%v", err)
		}
		return nil
	}
	err := t.Values(n, func(i int, x any) error {
		value, refusal := bind(r.checker, column, x)
		if refusal != nil {
			return fail(http.StatusBadRequest, "input %q, row %d: %s", t.Name, i, refusal.Detail)
		}
		bound[i][place] = value
		return nil
	})
	var known *httpError
	if err == nil || errors.As(err, &known) {
		return err
	}
	return fail(http.StatusBadRequest, "%v", err)
}
