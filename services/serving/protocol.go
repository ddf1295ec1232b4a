package serving

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/services/serving/oip"
)

// routes adds the inference protocol, and the scoring of files behind the guard. The paths are on r itself: a router of their own
// costs a microsecond per request.
func (s *Service) routes(r chi.Router) {
	r.Get("/v2", s.server)
	r.Get("/v2/health/live", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, map[string]bool{"live": true}) })
	r.Get("/v2/health/ready", s.serverReady)
	for _, path := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}"} {
		r.Get(path, s.metadata)
		r.Get(path+"/ready", s.modelReady)
		r.HandleFunc(path+"/infer", func(w http.ResponseWriter, h *http.Request) {
			w.Header().Set("Allow", http.MethodPost)
			refuse(w, fail(http.StatusMethodNotAllowed, "%s takes POST, not %s", h.URL.Path, h.Method))
		})
		r.Post(path+"/infer", s.infer) // after all methods, to replace one
	}
	r.HandleFunc("/v2/*", func(w http.ResponseWriter, h *http.Request) {
		refuse(w, fail(http.StatusNotFound, "there is no %s; see the Open Inference Protocol, version 2", h.URL.Path))
	})
	r.Method(http.MethodPost, "/api/v1/models/{model}/predict", s.options.Guard.Require(http.HandlerFunc(s.predictFile)))
}

func reply(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, oip.AppendString([]byte(`{"error":`), err.Error())
		b = append(b, '}')
	}
	writeJSON(w, status, b)
}

func (s *Service) server(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{"name": "tidemill", "version": s.options.Version, "extensions": []string{"dataset_columns"}})
}

// serverReady tells whether the champions have been loaded. One that can't be loaded doesn't take the others out of service.
func (s *Service) serverReady(w http.ResponseWriter, _ *http.Request) {
	if !s.models.ready.Load() {
		reply(w, http.StatusServiceUnavailable, map[string]bool{"ready": false})
		return
	}
	reply(w, http.StatusOK, map[string]bool{"ready": true})
}

func (s *Service) modelReady(w http.ResponseWriter, h *http.Request) {
	name := chi.URLParam(h, "model")
	v, err := s.models.hold(h.Context(), name, chi.URLParam(h, "version"))
	if err == nil {
		v.release()
		reply(w, http.StatusOK, map[string]any{"name": name, "ready": true})
		return
	}
	var with *httpError
	if errors.As(err, &with) && with.status == http.StatusServiceUnavailable {
		reply(w, with.status, map[string]any{"name": name, "ready": false, "error": err.Error()})
		return
	}
	refuse(w, err)
}

// tensor is the metadata of an input or output; -1 in a shape is any number of rows.
type tensor struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
}

// modelMetadata is the answer to GET /v2/models/{m}. Parameters are an extension: what the protocol has no word for.
type modelMetadata struct {
	Name       string             `json:"name"`
	Versions   []string           `json:"versions"`
	Platform   string             `json:"platform"`
	Inputs     []tensor           `json:"inputs"`
	Outputs    []tensor           `json:"outputs"`
	Parameters metadataParameters `json:"parameters"`
}

type metadataParameters struct {
	Version  string   `json:"version"`            // described and serving
	Champion string   `json:"champion"`           // what deployment wants to serve; another one only while Error says why
	Error    string   `json:"error,omitempty"`    // why the champion isn't loaded
	Task     string   `json:"task"`               //
	Classes  []string `json:"classes,omitempty"`  // in the order of the probabilities
	Dataset  string   `json:"dataset"`            //
	Columns  []tensor `json:"columns"`            // the inputs that may be sent in place of features
	NoRows   string   `json:"noRows,omitempty"`   // why columns can't be sent
	Snapshot string   `json:"snapshot,omitempty"` // what the version was trained on
}

func (s *Service) metadata(w http.ResponseWriter, h *http.Request) {
	name := chi.URLParam(h, "model")
	v, err := s.models.hold(h.Context(), name, chi.URLParam(h, "version"))
	if err != nil {
		refuse(w, err)
		return
	}
	defer v.release()
	out := modelMetadata{Name: name, Versions: []string{}, Platform: v.platform(), Outputs: v.outputs(), Parameters: metadataParameters{
		Version: v.ref.Version, Champion: v.ref.Version, Task: v.manifest.Task, Classes: v.manifest.Classes, Dataset: v.manifest.Dataset,
		Columns: []tensor{}, Snapshot: v.ref.Snapshot}}
	for _, f := range v.manifest.Features {
		datatype := oip.FP32
		if f.Kind == model.KindString {
			datatype = oip.Bytes
		}
		out.Inputs = append(out.Inputs, tensor{f.Name, datatype, []int{-1, 1}})
	}
	if v.raw != nil {
		for _, c := range v.raw.features.Used {
			column, _ := v.raw.spec.Column(c)
			out.Parameters.Columns = append(out.Parameters.Columns, tensor{c, columnDatatype(column.Type), []int{-1, 1}})
		}
	} else {
		out.Parameters.NoRows = v.rawError.Error()
	}
	if d := s.models.deployed(name); d != nil {
		out.Parameters.Champion = d.Champion
		for _, e := range d.Known {
			out.Versions = append(out.Versions, e.Version.Version)
		}
		if d.failure != nil {
			out.Parameters.Error = d.failure.Error()
		}
	}
	reply(w, http.StatusOK, out)
}

// platform says what answers, by the names of the protocol's own servers where there is one.
func (v *version) platform() string {
	if v.manifest.Predict != nil {
		return "tidemill_command"
	}
	return "onnxruntime_onnx"
}

func (v *version) outputs() []tensor {
	if v.manifest.Task == resource.TaskRegression {
		return []tensor{{outputPrediction, oip.FP32, []int{-1, 1}}}
	}
	return []tensor{{outputProbabilities, oip.FP32, []int{-1, v.scorer.Width()}}, {outputLabel, oip.Bytes, []int{-1}}}
}

func columnDatatype(columnType string) string {
	switch columnType {
	case resource.TypeFloat64:
		return oip.FP64
	case resource.TypeInt64:
		return "INT64"
	case resource.TypeBoolean:
		return oip.Bool
	}
	return oip.Bytes
}
