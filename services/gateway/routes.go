package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

// routes registers everything that the gateway answers. What streams is a plain handler, described in the same OpenAPI document.
func (s *Service) routes(r chi.Router) error {
	guarded := r.With(s.metrics.measure, s.o.Guard.Require)
	h := humachi.New(guarded, configuration(s.o.Version))
	s.resourceRoutes(h)
	s.datasetRoutes(h)
	s.modelRoutes(h)
	s.trialRoutes(h)
	s.factRoutes(h)
	s.systemRoutes(h)

	const bodies = "rows as NDJSON, CSV or Parquet, by Content-Type"
	s.stream(h, guarded, http.MethodPost, "/api/v1/datasets/{dataset}/rows", "publish-rows", "Publish "+bodies, s.postRows)
	s.stream(h, guarded, http.MethodPost, "/api/v1/datasets/{dataset}/files", "publish-file", "Publish a file of "+bodies+", as one batch", s.postFile)
	s.stream(h, guarded, http.MethodPut, "/api/v1/code/{sha256}", "put-code", "Store a packed source folder (tar.gz)", s.put(s.code()))
	s.stream(h, guarded, http.MethodHead, "/api/v1/code/{sha256}", "has-code", "Whether packed source is stored", s.has(s.code()))
	s.stream(h, guarded, http.MethodPut, "/api/v1/imports/{sha256}", "put-import", "Store an ONNX model that is to be imported", s.put(s.brought()))
	s.stream(h, guarded, http.MethodHead, "/api/v1/imports/{sha256}", "has-import", "Whether a model that is to be imported is stored", s.has(s.brought()))
	s.stream(h, guarded, http.MethodGet, "/api/v1/blobs/{key}", "get-blob", "Bytes that facts name: segments, code, models, what trials left; the key holds slashes", s.getBlob)
	s.stream(h, guarded, http.MethodGet, "/api/v1/models/{model}/snapshot", "export-snapshot", "What a trainer would see, as a tar", s.getSnapshot)
	s.stream(h, guarded, http.MethodGet, "/api/v1/trials/{trial}/log", "get-log", "What a trial printed", s.getLog)
	s.stream(h, guarded, http.MethodGet, "/api/v1/facts", "follow-facts", "Facts, progress and rates as server-sent events", s.getFacts)

	spec, err := json.Marshal(h.OpenAPI())
	if err != nil {
		return fmt.Errorf("describe the API: %w", err)
	}
	r.Get("/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
		_, _ = w.Write(spec)
	})
	r.Get("/login", s.o.Guard.Login)
	r.Post("/login", s.postLogin)
	r.Handle("/api/*", http.HandlerFunc(s.nothingHere))
	if s.o.Dashboard != nil {
		r.Handle("/*", s.o.Dashboard)
	}
	return nil
}

func (s *Service) nothingHere(w http.ResponseWriter, r *http.Request) {
	s.write(w, r, fail(http.StatusNotFound, "/openapi.json lists what there is", "the API has no %s %s", r.Method, r.URL.Path))
}

func configuration(version string) huma.Config {
	if version == "" {
		version = "development"
	}
	registry := huma.NewMapRegistry("#/components/schemas/", func(t reflect.Type, hint string) string {
		name := huma.DefaultSchemaNamer(t, hint)
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if strings.HasSuffix(t.PkgPath(), "/events") { // its names are the API's too: Version, Segment
			name = "Event" + name
		}
		return name
	})
	// Types that write themselves.
	registry.RegisterTypeAlias(reflect.TypeFor[events.Window](), reflect.TypeFor[window]())
	registry.RegisterTypeAlias(reflect.TypeFor[api.FactEvent](), reflect.TypeFor[cloudEvent]())
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Tidemill", Version: version,
				Description: "Rows in, better models out. Errors are RFC 9457 problem documents. Send the token as a bearer token."},
			Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
				"token": {Type: "http", Scheme: "bearer"}}},
			Security: []map[string][]string{{"token": {}}},
		},
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
	}
}

// window and cloudEvent are how those types look on the wire.
type window struct {
	Expanding *struct{} `json:"expanding,omitempty"`
	Sliding   *struct {
		Duration string `json:"duration,omitempty"`
		Rows     int64  `json:"rows,omitempty"`
		Segments int64  `json:"segments,omitempty"`
	} `json:"sliding,omitempty"`
	Sample *struct {
		Rows   int64  `json:"rows"`
		Method string `json:"method,omitempty" enum:"reservoir,balanced"`
	} `json:"sample,omitempty"`
}

type cloudEvent struct {
	SpecVersion  string `json:"specversion"`
	ID           string `json:"id"`
	Type         string `json:"type" doc:"dev.tidemill.<noun>.<verb>.v1"`
	Source       string `json:"source"`
	Subject      string `json:"subject"`
	Time         string `json:"time" format:"date-time"`
	Sequence     string `json:"sequence" doc:"in the ledger"`
	Text         string `json:"text" doc:"one plain sentence"`
	CycleID      string `json:"cycleid,omitempty"`
	CausationID  string `json:"causationid,omitempty"`
	CausationSeq string `json:"causationseq,omitempty"`
	TraceParent  string `json:"traceparent,omitempty"`
	Data         any    `json:"data"`
}

// answer is the output of an operation.
type answer[T any] struct{ Body T }

func answered[T any](x T, err error) (*answer[T], error) {
	if err != nil {
		return nil, err
	}
	return &answer[T]{Body: x}, nil
}

// listed is a list that is [] and never null.
func listed[T any](items []T, err error) (*answer[api.List[T]], error) {
	if items == nil {
		items = []T{}
	}
	return answered(api.List[T]{Items: items}, err)
}

// on registers a typed operation.
func on[I, O any](s *Service, h huma.API, method, path, id, summary string, handle func(context.Context, *I) (*O, error)) {
	// Without the -1 huma would leave a deadline on the connection, which ends handlers that take longer than it.
	huma.Register(h, huma.Operation{Method: method, Path: path, OperationID: id, Summary: summary, BodyReadTimeout: -1},
		func(ctx context.Context, in *I) (*O, error) {
			out, err := handle(ctx, in)
			if err != nil {
				return nil, s.asProblem(method, path, err)
			}
			return out, nil
		})
}

// stream registers a handler that reads or writes without end, and describes it.
func (s *Service) stream(h huma.API, r chi.Router, method, path, id, summary string, handle func(http.ResponseWriter, *http.Request) error) {
	// A key is all that is left of a path.
	r.Method(method, strings.Replace(path, "{key}", "*", 1), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := handle(w, r); err != nil {
			s.write(w, r, err)
		}
	}))
	o := &huma.Operation{Method: method, Path: path, OperationID: id, Summary: summary, Responses: map[string]*huma.Response{}}
	for part := range strings.SplitSeq(path, "/") {
		if name := strings.Trim(part, "{}"); name != part {
			o.Parameters = append(o.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: "string"}})
		}
	}
	describe(h, o)
	h.OpenAPI().AddOperation(o)
}

// describe adds the parameters and bodies of the streaming operations.
func describe(h huma.API, o *huma.Operation) {
	text := func(names ...string) {
		for _, name := range names {
			o.Parameters = append(o.Parameters, &huma.Param{Name: name, In: "query", Schema: &huma.Schema{Type: "string"}})
		}
	}
	binary := &huma.MediaType{Schema: &huma.Schema{Type: "string", Format: "binary"}}
	answers := func(what, contentType string, body *huma.MediaType) {
		o.Responses["200"] = &huma.Response{Description: what, Content: map[string]*huma.MediaType{contentType: body}}
	}
	typed := func(t reflect.Type, name string) *huma.MediaType {
		return &huma.MediaType{Schema: h.OpenAPI().Components.Schemas.Schema(t, true, name)}
	}
	plain := &huma.MediaType{Schema: &huma.Schema{Type: "string"}}
	switch o.OperationID {
	case "follow-facts":
		text("types", "model", "since", "follow")
		answers("events named fact, progress and rates", eventStream, plain)
	case "export-snapshot":
		text("candidate", "window", "cycle", "version")
		answers("train/, validation/, hyperparameters.json and trial.json", "application/x-tar", binary)
	case "get-log":
		text("follow")
		answers("lines", "text/plain", plain)
	case "get-blob":
		answers("the bytes", "application/octet-stream", binary)
	case "has-code", "has-import":
		o.Responses["200"] = &huma.Response{Description: "it is stored"}
	case "put-code", "put-import":
		o.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/octet-stream": binary}}
		answers("on disk", "application/json", typed(reflect.TypeFor[events.Blob](), "EventBlob"))
	default:
		text("id", "name", "again")
		o.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			events.ContentNDJSON: binary, events.ContentCSV: binary, events.ContentParquet: binary, events.ContentJSON: binary}}
		answers("on disk", "application/json", typed(reflect.TypeFor[api.Published](), "Published"))
	}
}

// reply writes an answer as JSON.
func reply(w http.ResponseWriter, status int, x any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(x) // who asked may be gone
}
