package serving

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tidemill/tidemill/core/lake/features"
	lakerows "github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/services/internal/rows"
	"github.com/tidemill/tidemill/services/serving/oip"
)

const maxBody = 16 << 20

// request is the memory of one inference request, used again and again.
type request struct {
	body   []byte
	wire   oip.Request
	answer []byte
	batch  model.Batch
	flat   []float32
	rows   int
}

// requestPool keeps the memory of requests.
type requestPool struct{ pool sync.Pool }

func (p *requestPool) take() *request {
	if r, ok := p.pool.Get().(*request); ok {
		return r
	}
	return &request{body: make([]byte, 0, 4096), answer: make([]byte, 0, 1024)}
}

func (p *requestPool) give(r *request) {
	if cap(r.body) < 1<<20 {
		p.pool.Put(r)
	}
}

// infer answers an inference request.
func (s *Service) infer(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	name := chi.URLParam(r, "model")
	q := s.requests.take()
	defer s.requests.give(q)
	v, err := s.models.hold(r.Context(), name, chi.URLParam(r, "version"))
	if err != nil {
		s.refuse(w, "", began, err)
		return
	}
	defer v.release()
	answers, err := s.answer(r, v, q)
	if err != nil {
		s.refuse(w, name, began, err)
		return
	}
	q.answer = appendAnswer(q.answer[:0], v, &q.wire, answers, q.rows)
	header := w.Header()
	header["Content-Type"] = jsonType
	header["Content-Length"] = []string{strconv.Itoa(len(q.answer))}
	_, _ = w.Write(q.answer) // a client that is gone needs no answer
	v.observed.Observe(time.Since(began).Seconds())
	s.log.add(v, q, answers)
}

var jsonType = []string{"application/json"}

// answer reads the request and lets the version score its rows.
func (s *Service) answer(r *http.Request, v *version, q *request) ([]float32, error) {
	if err := q.read(r); err != nil {
		return nil, err
	}
	if err := q.wire.Decode(q.body); err != nil {
		return nil, fail(http.StatusBadRequest, "%v", err)
	}
	raw, err := v.wantsColumns(&q.wire)
	if err != nil {
		return nil, err
	}
	if raw {
		err = v.fromColumns(r.Context(), q)
	} else {
		err = v.fromFeatures(q)
	}
	if err != nil {
		return nil, err
	}
	answers, err := v.scorer.Score(r.Context(), q.batch)
	var nan *model.NotFinite
	if errors.As(err, &nan) {
		return nil, fail(http.StatusUnprocessableEntity, "version %s of %s: %v", v.ref.Version, v.ref.Model, err)
	}
	return answers, err
}

func (q *request) read(r *http.Request) error {
	q.body = q.body[:0]
	body := io.LimitReader(r.Body, maxBody+1)
	for {
		if len(q.body) == cap(q.body) {
			q.body = append(q.body, 0)[:len(q.body)]
		}
		n, err := body.Read(q.body[len(q.body):cap(q.body)])
		q.body = q.body[:len(q.body)+n]
		if len(q.body) > maxBody {
			return fail(http.StatusRequestEntityTooLarge, "the request is larger than %d MiB; score files with POST /api/v1/models/{model}/predict", maxBody>>20)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fail(http.StatusBadRequest, "the request broke off: %v", err)
		}
	}
}

// wantsColumns tells whether the inputs are columns of the dataset: when the request says so, or when one is no feature.
func (v *version) wantsColumns(r *oip.Request) (bool, error) {
	switch string(r.Input) {
	case "columns":
		return true, nil
	case "features":
		return false, nil
	case "":
	default:
		return false, fail(http.StatusBadRequest, "parameters.input is %q; use features or columns", r.Input)
	}
	if v.isMatrix(r) {
		return false, nil
	}
	for i := range r.Inputs {
		if _, ok := v.place[string(r.Inputs[i].Name)]; !ok {
			return true, nil
		}
	}
	return len(r.Inputs) < len(v.place) && v.raw != nil, nil
}

// isMatrix: one input named features, which is no feature's name, holds all of them in the manifest's order.
func (v *version) isMatrix(r *oip.Request) bool {
	_, feature := v.place["features"]
	return len(r.Inputs) == 1 && string(r.Inputs[0].Name) == "features" && !feature
}

// fromFeatures fills the batch with feature tensors.
func (v *version) fromFeatures(q *request) error {
	wanted := v.manifest.Features
	if len(q.batch.Columns) != len(wanted) {
		q.batch.Columns = make([]model.Column, len(wanted))
	}
	if v.isMatrix(&q.wire) {
		return v.fromMatrix(q)
	}
	q.rows = -1
	seen := 0
	for i := range q.wire.Inputs {
		t := &q.wire.Inputs[i]
		k, ok := v.place[string(t.Name)]
		if !ok {
			return fail(http.StatusBadRequest, "input %q is no feature of version %s; the features are %s", t.Name, v.ref.Version, v.names())
		}
		n, err := t.Rows()
		if err == nil && q.rows >= 0 && n != q.rows {
			return fail(http.StatusBadRequest, "input %q has %d rows, the inputs before it have %d", t.Name, n, q.rows)
		}
		if err != nil {
			return fail(http.StatusBadRequest, "%v", err)
		}
		q.rows = n
		c := &q.batch.Columns[k]
		if wanted[k].Kind == model.KindString {
			c.Numeric, c.Text = nil, resized(c.Text, n)
			err = t.Texts(c.Text)
		} else {
			c.Text, c.Numeric = nil, resized(c.Numeric, n)
			err = t.Floats(c.Numeric)
		}
		if err != nil {
			return fail(http.StatusBadRequest, "%v", err)
		}
		seen++
	}
	if seen != len(wanted) {
		return fail(http.StatusBadRequest, "%d of %d features are given; all are needed: %s", seen, len(wanted), v.names())
	}
	q.batch.N = q.rows
	return q.some()
}

func (q *request) some() error {
	if q.batch.N == 0 {
		return fail(http.StatusBadRequest, "the request has no rows")
	}
	return nil
}

func (v *version) fromMatrix(q *request) error {
	width := len(v.manifest.Features)
	for _, f := range v.manifest.Features {
		if f.Kind == model.KindString {
			return fail(http.StatusBadRequest, "feature %s is text: send one tensor per feature instead of the matrix \"features\"", f.Name)
		}
	}
	n, err := q.wire.Inputs[0].Matrix(width)
	if err != nil {
		return fail(http.StatusBadRequest, "%v", err)
	}
	q.flat = resized(q.flat, n*width)
	if err := q.wire.Inputs[0].Floats(q.flat); err != nil {
		return fail(http.StatusBadRequest, "%v", err)
	}
	for k := range width {
		c := &q.batch.Columns[k]
		c.Text, c.Numeric = nil, resized(c.Numeric, n)
		for i := range n {
			c.Numeric[i] = q.flat[i*width+k]
		}
	}
	q.rows, q.batch.N = n, n
	return q.some()
}

func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

func (v *version) names() string {
	names := make([]string, len(v.manifest.Features))
	for i, f := range v.manifest.Features {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// appendAnswer writes the response.
func appendAnswer(b []byte, v *version, r *oip.Request, answers []float32, n int) []byte {
	b = append(b, v.head...)
	if r.ID != nil {
		b = oip.AppendString(append(b, `,"id":`...), string(r.ID))
	}
	b = append(b, `,"outputs":[`...)
	width := len(answers) / n
	if len(v.labels) == 0 {
		b = oip.AppendFloats(oip.AppendTensor(b, "prediction", oip.FP32, n, 1), answers)
		return append(b, "]}]}"...)
	}
	b = oip.AppendFloats(oip.AppendTensor(b, "probabilities", oip.FP32, n, width), answers)
	b = oip.AppendTensor(append(b, "]},"...), "label", oip.Bytes, n, 0)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, v.labels[likeliest(answers[i*width:(i+1)*width])]...)
	}
	return append(b, "]}]}"...)
}

func likeliest(row []float32) int {
	best := 0
	for k, p := range row {
		if p > row[best] {
			best = k
		}
	}
	return best
}

// refuse answers an error in the protocol's form.
func (s *Service) refuse(w http.ResponseWriter, name string, began time.Time, err error) {
	status := http.StatusInternalServerError
	var known *httpError
	if errors.As(err, &known) {
		status = known.status
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
	s.metrics.observe(name, status, time.Since(began).Seconds())
}

// bind turns one value of a request into the type of a column.
func bind(c *lakerows.Checker, i int, x any) (lakerows.Value, *lakerows.Refusal) {
	if n, ok := x.(json.Number); ok {
		if whole, err := n.Int64(); err == nil {
			x = whole
		} else if f, err := n.Float64(); err == nil {
			x = f
		}
	}
	return c.Coerce(i, x)
}

// toBatch is the batch of a matrix that SQL computed.
func toBatch(m *features.Matrix) model.Batch { return rows.ToBatch(m) }
