package serving

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/services/serving/oip"
)

// routes adds the Open Inference Protocol (version 2, REST) and the scoring of files.
func (s *Service) routes(r chi.Router) {
	r.Get("/v2", s.server)
	r.Get("/v2/health/live", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]bool{"live": true}) })
	r.Get("/v2/health/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !s.models.ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		reply(w, map[string]bool{"ready": s.models.ready.Load()})
	})
	for _, prefix := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}"} {
		r.Get(prefix, s.metadata)
		r.Get(prefix+"/ready", s.modelReady)
		r.Post(prefix+"/infer", s.infer)
	}
	r.With(s.options.Guard.Require).Post("/api/v1/models/{model}/predict", s.predictFile)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (s *Service) server(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{"name": "tidemill", "version": s.options.Version, "extensions": []string{},
		"models": slices.Sorted(maps.Keys(*s.models.byName.Load()))})
}

// tensorMetadata is how the protocol describes an input or an output.
type tensorMetadata struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
}

func (s *Service) metadata(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	v, err := s.models.hold(r.Context(), chi.URLParam(r, "model"), chi.URLParam(r, "version"))
	if err != nil {
		s.refuse(w, "", began, err)
		return
	}
	defer v.release()
	versions := []string{}
	failure := ""
	if served := (*s.models.byName.Load())[v.ref.Model]; served != nil {
		d := served.state.Load()
		for _, e := range d.Known {
			versions = append(versions, e.Version.Version)
		}
		if d.failure != nil {
			failure = d.failure.Error()
		}
	}
	out := map[string]any{"name": v.ref.Model, "versions": versions, "version": v.ref.Version, "platform": "onnx", "inputs": v.inputs(), "outputs": v.outputs()}
	if failure != "" {
		out["failure"] = failure
	}
	reply(w, out)
}

func (v *version) inputs() (out []tensorMetadata) {
	for _, f := range v.manifest.Features {
		datatype := oip.FP32
		if f.Kind == model.KindString {
			datatype = oip.Bytes
		}
		out = append(out, tensorMetadata{f.Name, datatype, []int{-1, 1}})
	}
	return out
}

func (v *version) outputs() []tensorMetadata {
	if len(v.labels) == 0 {
		return []tensorMetadata{{"prediction", oip.FP32, []int{-1, 1}}}
	}
	return []tensorMetadata{{"probabilities", oip.FP32, []int{-1, len(v.labels)}}, {"label", oip.Bytes, []int{-1}}}
}

func (s *Service) modelReady(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	v, err := s.models.hold(r.Context(), chi.URLParam(r, "model"), chi.URLParam(r, "version"))
	if err != nil {
		s.refuse(w, "", began, err)
		return
	}
	defer v.release()
	reply(w, map[string]any{"name": v.ref.Model, "version": v.ref.Version, "ready": true})
}
