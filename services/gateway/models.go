package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/core/rollout"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/internal/catalog"
)

type ModelInput struct {
	Model string `path:"model"`
}

func (s *Service) modelRoutes(h huma.API) {
	const path = "/api/v1/models"
	on(s, h, http.MethodGet, path, "list-models", "Models as they stand",
		func(context.Context, *struct{}) (*answer[api.List[api.Model]], error) {
			var out []api.Model
			for _, r := range s.host.Catalog.List(resource.KindModel) {
				out = append(out, s.model(r))
			}
			return listed(out, nil)
		})
	on(s, h, http.MethodGet, path+"/{model}", "get-model", "A model as it stands",
		func(_ context.Context, in *ModelInput) (*answer[api.Model], error) {
			r, err := s.find(resource.KindModel, in.Model)
			if err != nil {
				return nil, err
			}
			return answered(s.model(r), nil)
		})
	on(s, h, http.MethodGet, path+"/{model}/cycles", "list-cycles", "Cycles of a model, newest first",
		func(_ context.Context, in *struct {
			ModelInput
			Limit int `query:"limit" minimum:"1" default:"500"`
		}) (*answer[api.List[api.Cycle]], error) {
			_, err := s.find(resource.KindModel, in.Model)
			return listed(s.projection.Cycles(in.Model, in.Limit), err)
		})
	on(s, h, http.MethodGet, path+"/{model}/cycles/{cycle}", "get-cycle", "One cycle",
		func(_ context.Context, in *struct {
			ModelInput
			Cycle string `path:"cycle"`
		}) (*answer[api.Cycle], error) {
			return answered(s.cycle(in.Model, in.Cycle))
		})
	on(s, h, http.MethodGet, path+"/{model}/versions", "list-versions", "Versions of a model, newest first",
		func(_ context.Context, in *ModelInput) (*answer[api.List[api.Version]], error) {
			_, err := s.find(resource.KindModel, in.Model)
			return listed(s.projection.Versions(in.Model), err)
		})
	on(s, h, http.MethodGet, path+"/{model}/metrics", "get-metrics", "Figures over event time, each row scored before anything trained on it", s.getMetrics)
	on(s, h, http.MethodGet, path+"/{model}/why", "why", "Why a version is what it is",
		func(ctx context.Context, in *struct {
			ModelInput
			Version string `query:"version" doc:"default: the champion"`
		}) (*answer[api.Why], error) {
			return answered(s.why(ctx, in.Model, in.Version))
		})
	on(s, h, http.MethodGet, path+"/{model}/why-not", "why-not", "Why no cycle runs now",
		func(_ context.Context, in *ModelInput) (*answer[api.WhyNot], error) {
			return answered(s.whyNot(in.Model))
		})
	s.askRoutes(h, path)
}

// model is a model as it stands.
func (s *Service) model(r catalog.Resource) api.Model {
	out := s.projection.Model(r.Name(), r.Model.Dataset)
	out.Task, out.Primary = r.Model.Task, r.Model.Evaluation.Primary
	if p, ok := s.host.Catalog.PolicyOf(r.Name()); ok {
		out.Policy = p.Name()
	}
	return out
}

func (s *Service) cycle(model, id string) (api.Cycle, error) {
	if _, err := s.find(resource.KindModel, model); err != nil {
		return api.Cycle{}, err
	}
	if c, ok := s.projection.Cycle(model, id); ok {
		return c, nil
	}
	var known []string
	for _, c := range s.projection.Cycles(model, 0) {
		known = append(known, c.Cycle)
	}
	return api.Cycle{}, unknown("cycle", id, known)
}

// versionNames are the versions that a model has.
func (s *Service) versionNames(model string) []string {
	var known []string
	for _, v := range s.projection.Versions(model) {
		known = append(known, v.Version.Version)
	}
	return known
}

func (s *Service) askRoutes(h huma.API, path string) {
	on(s, h, http.MethodPost, path+"/{model}/retrain", "retrain", "Ask for a cycle now",
		func(ctx context.Context, in *struct {
			ModelInput
			Body *api.Retrain `required:"false"`
		}) (*answer[api.Asked], error) {
			return answered(s.retrain(ctx, in.Model, orZero(in.Body)))
		})
	on(s, h, http.MethodPost, path+"/{model}/rollback", "rollback", "Put an earlier champion back",
		func(ctx context.Context, in *struct {
			ModelInput
			Body *api.Rollback `required:"false"`
		}) (*answer[api.Asked], error) {
			return answered(s.rollback(ctx, in.Model, orZero(in.Body)))
		})
	on(s, h, http.MethodPost, path+"/{model}/pause", "pause", "Stop automatic cycles",
		func(ctx context.Context, in *struct {
			ModelInput
			Body *api.Pause `required:"false"`
		}) (*answer[api.Asked], error) {
			return answered(s.pause(ctx, in.Model, true, orZero(in.Body).Reason))
		})
	on(s, h, http.MethodPost, path+"/{model}/resume", "resume", "Let automatic cycles go on",
		func(ctx context.Context, in *struct {
			ModelInput
			Body *api.Pause `required:"false"`
		}) (*answer[api.Asked], error) {
			return answered(s.pause(ctx, in.Model, false, ""))
		})
}

func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func (s *Service) retrain(ctx context.Context, model string, in api.Retrain) (api.Asked, error) {
	if _, err := s.find(resource.KindModel, model); err != nil {
		return api.Asked{}, err
	}
	wish := events.RetrainAsked{Model: model, Reason: in.Reason, Import: in.Import}
	if err := s.checkImport(ctx, in.Import); err != nil {
		return api.Asked{}, err
	}
	if in.Window != "" {
		w, err := events.ParseWindow(in.Window)
		if err != nil {
			return api.Asked{}, fail(http.StatusUnprocessableEntity, "", "%s", err)
		}
		wish.Window = &w
	}
	return s.ask(ctx, events.RetrainAskedType, requestID(), model, wish)
}

// checkImport refuses a model that is not there.
func (s *Service) checkImport(ctx context.Context, in *events.Import) error {
	if in == nil {
		return nil
	}
	const hint = "store it with PUT /api/v1/imports/{sha256}, or use 'tidemill import'"
	if !digestPattern.MatchString(in.ONNX.SHA256) || in.ONNX.Key != s.brought().key(in.ONNX.SHA256) {
		return fail(http.StatusUnprocessableEntity, hint, "import.onnx does not name a stored model")
	}
	there, err := s.host.Blobs.Exists(ctx, in.ONNX.Key)
	if err == nil && !there {
		return fail(http.StatusUnprocessableEntity, hint, "the model %.12s… is not stored", in.ONNX.SHA256)
	}
	return err
}

// rollback asks deployment to put an earlier champion back. Whether that can be is seen as deployment itself will see it.
func (s *Service) rollback(ctx context.Context, model string, in api.Rollback) (api.Asked, error) {
	if _, err := s.find(resource.KindModel, model); err != nil {
		return api.Asked{}, err
	}
	wish := events.RollbackAsked{Model: model, To: in.To, Reason: in.Reason}
	if known := s.versionNames(model); in.To != "" && !slices.Contains(known, in.To) {
		return api.Asked{}, unknown("version", in.To, known)
	}
	doc, err := s.rollouts.Get(ctx, model)
	if errors.Is(err, state.ErrNotFound) {
		doc.Value, err = rollout.New(model), nil
	}
	if err != nil {
		return api.Asked{}, err
	}
	if _, d := rollout.Decide(doc.Value, rollout.RollbackAsked(wish)); d.Refused != "" {
		return api.Asked{}, fail(http.StatusConflict, "", "%s", d.Refused)
	}
	return s.ask(ctx, events.RollbackAskedType, requestID(), model, wish)
}

func (s *Service) pause(ctx context.Context, model string, pause bool, reason string) (api.Asked, error) {
	r, err := s.find(resource.KindModel, model)
	if err != nil {
		return api.Asked{}, err
	}
	s.deciding.Lock()
	defer s.deciding.Unlock()
	switch paused := s.projection.Model(model, r.Model.Dataset).Paused; {
	case pause && paused:
		return api.Asked{}, fail(http.StatusConflict, "", "automatic retraining of %s is paused already", model)
	case !pause && !paused:
		return api.Asked{}, fail(http.StatusConflict, "", "automatic retraining of %s is not paused", model)
	case pause:
		return s.ask(ctx, events.ModelPausedType, requestID(), model, events.ModelPaused{Model: model, Reason: reason})
	}
	return s.ask(ctx, events.ModelResumedType, requestID(), model, events.ModelResumed{Model: model})
}

// requestID is the id of a wish: each is one of its own.
func requestID() string { return events.DeriveID("request", uuid.NewString()) }
