package serving

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/services/serving/oip"
)

// Names of outputs.
const (
	outputProbabilities = "probabilities" // FP32 [N,C], in the order of the manifest's classes
	outputLabel         = "label"         // BYTES [N], the likeliest class
	outputPrediction    = "prediction"    // FP32 [N,1], of a regression
)

// jsonType is shared by all answers, so that none allocates it.
var jsonType = []string{"application/json"}

// infer answers POST /v2/models/{m}[/versions/{v}]/infer.
func (s *Service) infer(w http.ResponseWriter, h *http.Request) {
	began := time.Now()
	r := s.requests.get()
	name := chi.URLParam(h, "model")
	v, err := s.models.hold(h.Context(), name, chi.URLParam(h, "version"))
	if err != nil {
		s.requests.put(r)
		if !s.models.knows(name) {
			name = "" // names that people make up must not become metrics
		}
		s.metrics.observe(name, refuse(w, err), time.Since(began).Seconds())
		return
	}
	err = s.answer(h, r, v)
	if err != nil {
		v.release()
		s.metrics.observe(name, refuse(w, err), time.Since(began).Seconds())
		s.requests.put(r)
		return
	}
	writeJSON(w, http.StatusOK, r.out)
	v.observed.Observe(time.Since(began).Seconds())
	v.release()
	s.log.add(r) // and with it goes r
}

// answer scores the request into r.out.
func (s *Service) answer(h *http.Request, r *request, v *version) error {
	if h.Header.Get("Inference-Header-Content-Length") != "" {
		return errors.New("binary tensor data is not supported; send the data as JSON")
	}
	if err := r.read(h); err != nil {
		return err
	}
	if err := r.message.Decode(r.body); err != nil {
		return err
	}
	asked, err := v.asked(r.message.Outputs)
	if err != nil {
		return err
	}
	if err := r.prepare(h.Context(), v); err != nil {
		return err
	}
	if r.answers, err = v.scorer.Score(h.Context(), r.batch); err != nil {
		return scoring(err)
	}
	r.version, r.at, r.id = v, s.host.Clock(), string(r.message.ID)
	r.write(v, asked)
	return nil
}

// scoring gives an error of the model the status that fits.
func scoring(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fail(http.StatusServiceUnavailable, "the request was given up: %v", err)
	}
	var nan *model.NotFinite
	if errors.As(err, &nan) {
		return fail(http.StatusUnprocessableEntity, "%v", err)
	}
	var unavailable *model.Unavailable
	if errors.As(err, &unavailable) {
		return fail(http.StatusServiceUnavailable, "the model can't answer now: %v", unavailable)
	}
	return fail(http.StatusInternalServerError, "the model failed: %v", err)
}

// outputs is a set of outputs.
type outputs struct{ scores, label bool }

// scoreName is the name of the version's main output.
func (v *version) scoreName() string {
	if v.manifest.Task == resource.TaskRegression {
		return outputPrediction
	}
	return outputProbabilities
}

func (v *version) asked(names [][]byte) (outputs, error) {
	classes := v.manifest.Task != resource.TaskRegression
	if len(names) == 0 {
		return outputs{scores: true, label: classes}, nil
	}
	var out outputs
	for _, name := range names {
		switch {
		case string(name) == v.scoreName():
			out.scores = true
		case string(name) == outputLabel && classes:
			out.label = true
		case classes:
			return out, fmt.Errorf("output %q: the model has none of that name; its outputs are %s and %s", name, outputProbabilities, outputLabel)
		default:
			return out, fmt.Errorf("output %q: the model has none of that name; its output is %s", name, outputPrediction)
		}
	}
	return out, nil
}

// write puts the answer into r.out.
func (r *request) write(v *version, asked outputs) {
	b := append(r.out[:0], v.head...)
	if r.message.ID != nil {
		b = oip.AppendString(append(b, `,"id":`...), r.id)
	}
	b = append(b, `,"outputs":[`...)
	n, width := r.batch.N, v.scorer.Width()
	if asked.scores {
		b = oip.AppendTensor(b, v.scoreName(), oip.FP32, n, width)
		b = append(oip.AppendFloats(b, r.answers), `]}`...)
	}
	if asked.label {
		if asked.scores {
			b = append(b, ',')
		}
		b = oip.AppendTensor(b, outputLabel, oip.Bytes, n, 0)
		for row := range n {
			if row > 0 {
				b = append(b, ',')
			}
			b = append(b, v.labels[likeliest(r.answers[row*width:(row+1)*width])]...)
		}
		b = append(b, `]}`...)
	}
	r.out = append(b, `]}`...)
}

// likeliest is the index of the highest probability; the first of equals.
func likeliest(p []float32) int {
	best := 0
	for i, x := range p {
		if x > p[best] {
			best = i
		}
	}
	return best
}

// refuse answers an error of the protocol: {"error": …}, and gives its status. Errors without a status are the caller's.
func refuse(w http.ResponseWriter, err error) (status int) {
	status = http.StatusBadRequest
	var with *httpError
	if errors.As(err, &with) {
		status = with.status
	}
	writeJSON(w, status, append(oip.AppendString([]byte(`{"error":`), err.Error()), '}'))
	return status
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	header := w.Header()
	header["Content-Type"] = jsonType
	if len(body) > 1024 { // the server itself counts a short answer
		header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	if status != http.StatusOK {
		w.WriteHeader(status)
	}
	_, _ = w.Write(body) // a client that went away has nobody to tell
}
