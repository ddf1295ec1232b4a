package serving

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/tidemill/tidemill/core/lake/features"
	lakerows "github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/services/internal/rows"
	"github.com/tidemill/tidemill/services/serving/oip"
)

// What a request's inputs are: "parameters": {"input": …} says it, else their names do.
const (
	inputFeatures = "features"
	inputColumns  = "columns"
)

// matrixInput is the one tensor [N,F] that may stand for all numeric features, in the manifest's order.
const matrixInput = "features"

// prepare turns the request's inputs into r.batch.
//
// Features: one tensor per feature by its name, or one matrix named "features". Columns: one tensor per column of the dataset
// by its name; a column that is left out is null, and a timestamp is RFC 3339 (BYTES) or milliseconds since 1970 (INT64), as in
// rows that are published. Inputs are columns when one of their names is no feature's, or when features are missing and all
// names are columns'.
func (r *request) prepare(ctx context.Context, v *version) error {
	switch kind := string(r.message.Input); kind {
	case inputFeatures:
		return r.features(v)
	case inputColumns:
		return r.columns(ctx, v)
	case "":
	default:
		return fmt.Errorf("parameters.input is %q; use %q or %q, or leave it out", kind, inputFeatures, inputColumns)
	}
	if r.isMatrix(v) {
		return r.features(v)
	}
	for i := range r.message.Inputs {
		if _, ok := v.place[string(r.message.Inputs[i].Name)]; !ok {
			return r.columns(ctx, v)
		}
	}
	if len(r.message.Inputs) < len(v.manifest.Features) && r.allColumns(v) {
		return r.columns(ctx, v)
	}
	return r.features(v)
}

func (r *request) allColumns(v *version) bool {
	if v.raw == nil {
		return false
	}
	for i := range r.message.Inputs {
		if _, ok := v.raw.checker.Index(string(r.message.Inputs[i].Name)); !ok {
			return false
		}
	}
	return true
}

func (r *request) isMatrix(v *version) bool {
	if len(r.message.Inputs) != 1 || string(r.message.Inputs[0].Name) != matrixInput {
		return false
	}
	if _, ok := v.place[matrixInput]; ok {
		return false
	}
	if v.raw != nil {
		if _, ok := v.raw.checker.Index(matrixInput); ok {
			return len(r.message.Inputs[0].Shape) == 2 && r.message.Inputs[0].Shape[1] != 1
		}
	}
	return true
}

// features reads tensors of features.
func (r *request) features(v *version) error {
	r.raw = nil
	if r.isMatrix(v) {
		return r.readMatrix(v)
	}
	n, err := r.rows(func(t *oip.Tensor) bool { _, ok := v.place[string(t.Name)]; return ok })
	if err != nil {
		return err
	}
	r.reset(v.manifest.Features, n)
	seen := uint64(0)
	for i := range r.message.Inputs {
		t := &r.message.Inputs[i]
		at, ok := v.place[string(t.Name)]
		if !ok {
			return fmt.Errorf("input %q: the model has no such feature; its features are %s", t.Name, v.featureList())
		}
		if at < 64 {
			if seen&(1<<at) != 0 {
				return fmt.Errorf("input %q: it is there twice", t.Name)
			}
			seen |= 1 << at
		}
		c := &r.batch.Columns[at]
		if v.manifest.Features[at].Kind == model.KindString {
			err = t.Texts(c.Text)
		} else {
			err = t.Floats(c.Numeric)
		}
		if err != nil {
			return err
		}
	}
	if len(r.message.Inputs) != len(v.manifest.Features) {
		return r.missing(v)
	}
	return nil
}

func (v *version) featureList() string {
	list := make([]string, len(v.manifest.Features))
	for i, f := range v.manifest.Features {
		list[i] = f.Name + " (" + f.Kind + ")"
	}
	return strings.Join(list, ", ")
}

// missing says which features no input gave.
func (r *request) missing(v *version) error {
	given := map[string]bool{}
	for i := range r.message.Inputs {
		given[string(r.message.Inputs[i].Name)] = true
	}
	var names []string
	for _, f := range v.manifest.Features {
		if !given[f.Name] {
			names = append(names, f.Name)
		}
	}
	if len(names) == 0 {
		return errors.New("an input is there twice")
	}
	return fmt.Errorf("the features %s are missing; the model takes %s. If the inputs are columns of dataset %s, say so: \"parameters\": {\"input\": \"columns\"}",
		strings.Join(names, ", "), v.featureList(), v.manifest.Dataset)
}

// rows is the number of rows that all inputs agree on.
func (r *request) rows(counts func(*oip.Tensor) bool) (n int, err error) {
	n = -1
	for i := range r.message.Inputs {
		t := &r.message.Inputs[i]
		if !counts(t) {
			continue
		}
		rows, err := t.Rows()
		if err != nil {
			return 0, err
		}
		if n >= 0 && rows != n {
			return 0, fmt.Errorf("input %q: it has %d rows, the inputs before it have %d", t.Name, rows, n)
		}
		n = rows
	}
	return max(n, 0), nil
}

// reset makes the batch n rows of the features, reusing its memory.
func (r *request) reset(features []model.Feature, n int) {
	if cap(r.batch.Columns) < len(features) {
		r.batch.Columns = make([]model.Column, len(features))
	}
	r.batch.N, r.batch.Columns = n, r.batch.Columns[:len(features)]
	for i, f := range features {
		c := &r.batch.Columns[i]
		if f.Kind == model.KindString {
			c.Numeric = nil
			if cap(c.Text) < n || c.Text == nil {
				c.Text = make([]string, n)
			}
			c.Text = c.Text[:n]
			continue
		}
		c.Text = nil
		if cap(c.Numeric) < n || c.Numeric == nil {
			c.Numeric = make([]float32, n)
		}
		c.Numeric = c.Numeric[:n]
	}
}

func (r *request) readMatrix(v *version) error {
	width := len(v.manifest.Features)
	for _, f := range v.manifest.Features {
		if f.Kind == model.KindString {
			return fmt.Errorf("input %q: the feature %s is text, so a matrix of numbers is not enough; send one tensor per feature: %s", matrixInput, f.Name, v.featureList())
		}
	}
	t := &r.message.Inputs[0]
	n, err := t.Matrix(width)
	if err != nil {
		return fmt.Errorf("%w, the features in the order %s", err, v.featureList())
	}
	if n > maxBody/width {
		return fmt.Errorf("input %q: its shape says %d rows, but there is less data", t.Name, n)
	}
	if cap(r.matrix) < n*width {
		r.matrix = make([]float32, n*width)
	}
	r.matrix = r.matrix[:n*width]
	if err := t.Floats(r.matrix); err != nil {
		return err
	}
	r.reset(v.manifest.Features, n)
	for i := range r.batch.Columns {
		for row := range n {
			r.batch.Columns[i].Numeric[row] = r.matrix[row*width+i]
		}
	}
	return nil
}

// columns reads tensors of the dataset's columns and computes the features.
func (r *request) columns(ctx context.Context, v *version) error {
	if v.raw == nil {
		return fail(http.StatusServiceUnavailable, "version %s of %s takes only features at present (%s), since its dataset can't be used: %v",
			v.ref.Version, v.ref.Model, v.featureList(), v.rawError)
	}
	r.raw = v.raw
	n, err := r.rows(func(*oip.Tensor) bool { return true })
	if err != nil {
		return err
	}
	r.bind(len(v.raw.types), n)
	for i := range r.message.Inputs {
		if err := r.column(v, &r.message.Inputs[i], n); err != nil {
			return err
		}
		for j := range i {
			if string(r.message.Inputs[j].Name) == string(r.message.Inputs[i].Name) {
				return fmt.Errorf("input %q: it is there twice", r.message.Inputs[i].Name)
			}
		}
	}
	m, err := v.raw.online.Compute(ctx, r.bound)
	if err != nil {
		return computing(err)
	}
	// Copies nothing: the batch takes the matrix' memory for its own.
	r.batch = rows.ToBatch(m)
	return nil
}

func computing(err error) error {
	if errors.Is(err, features.ErrData) {
		return fail(http.StatusBadRequest, "%v", err)
	}
	return fail(http.StatusInternalServerError, "%v", err)
}

// bind makes n rows of null values.
func (r *request) bind(width, n int) {
	if cap(r.values) < n*width {
		r.values = make([]lakerows.Value, n*width)
	}
	if cap(r.bound) < n {
		r.bound = make([][]lakerows.Value, n)
	}
	r.values, r.bound = r.values[:n*width], r.bound[:n]
	for i := range r.values {
		r.values[i] = lakerows.Value{Null: true}
	}
	for i := range r.bound {
		r.bound[i] = r.values[i*width : (i+1)*width : (i+1)*width]
	}
}

func (r *request) column(v *version, t *oip.Tensor, n int) error {
	i, refused := v.raw.checker.Find(string(t.Name))
	if refused != nil {
		return fmt.Errorf("input %q: it is neither a column of dataset %s (%s) nor one of the features %s", t.Name, v.manifest.Dataset,
			refused.Detail, v.featureList())
	}
	at, used := v.raw.place[string(t.Name)]
	if !used {
		return t.Check(n) // the label's, say: no feature needs it
	}
	return t.Values(n, func(row int, x any) error {
		value, refused := v.raw.checker.Coerce(i, x)
		if refused != nil {
			return fmt.Errorf("input %q: row %d: %s", t.Name, row, refused.Detail)
		}
		r.bound[row][at] = value
		return nil
	})
}
