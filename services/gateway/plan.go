package gateway

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/internal/catalog"
	"github.com/tidemill/tidemill/services/internal/recipe"
	"github.com/tidemill/tidemill/workers/runtime"
)

// TrialWish says of which trial of a model somebody wants to see what a trainer sees: that of a version, that of a cycle, or the one
// that would run now.
type TrialWish struct {
	Candidate string `query:"candidate" doc:"default: the only one, or the one that the cycle chose"`
	Window    string `query:"window" doc:"rows to train on instead of the policy's"`
	Cycle     string `query:"cycle" doc:"as this cycle saw it; default: as a cycle would see it now"`
	Version   string `query:"version" doc:"exactly as this version was trained"`
}

func (s *Service) trialRoutes(h huma.API) {
	on(s, h, http.MethodGet, "/api/v1/models/{model}/trial", "plan-trial", "A trial as a worker is told it; nothing runs",
		func(ctx context.Context, in *struct {
			ModelInput
			TrialWish
		}) (*answer[api.Plan], error) {
			spec, err := s.plan(ctx, in.Model, in.TrialWish)
			if err != nil {
				return nil, err
			}
			b, err := json.Marshal(spec)
			if err != nil {
				return nil, err
			}
			keys, err := s.host.Keys.TrustedPEM()
			return answered(api.Plan{Spec: b, Keys: string(keys)}, err)
		})
	on(s, h, http.MethodGet, "/api/v1/models/{model}/lineage", "lineage", "Everything that a version was made from",
		func(ctx context.Context, in *struct {
			ModelInput
			Version string `query:"version" doc:"default: the champion"`
		}) (*answer[api.Lineage], error) {
			return answered(s.lineage(ctx, in.Model, in.Version))
		})
	on(s, h, http.MethodGet, "/api/v1/trials/{trial}", "get-trial", "One trial with its result",
		func(ctx context.Context, in *struct {
			Trial string `path:"trial"`
		}) (*answer[api.TrialDetail], error) {
			return answered(s.trialNamed(ctx, in.Trial))
		})
}

// plan is the trial that is wished for.
func (s *Service) plan(ctx context.Context, model string, w TrialWish) (spec runtime.Spec, err error) {
	r, err := s.find(resource.KindModel, model)
	if err != nil {
		return spec, err
	}
	switch {
	case w.Version != "" && (w.Cycle != "" || w.Window != "" || w.Candidate != ""):
		err = fail(http.StatusUnprocessableEntity, "", "a version says its cycle, candidate and window itself")
	case w.Version != "":
		spec, err = s.planVersion(ctx, model, w.Version)
	default:
		spec, err = s.planCandidate(ctx, r, w)
	}
	if reason := recipe.Impossibility(err); reason != "" {
		err = fail(http.StatusConflict, "", "%s", reason)
	}
	if err != nil {
		return spec, err
	}
	if spec.Import == nil {
		if spec.Candidate.Code, err = recipe.Code(ctx, s.host.Blobs, spec.Candidate); err != nil {
			return spec, fail(http.StatusConflict, "apply the model again with 'tidemill apply'", "%s", err)
		}
	}
	if spec.Code == nil {
		spec.Code = spec.Candidate.Code
	}
	return spec, nil
}

// planVersion is the trial that made a version, from its result.
func (s *Service) planVersion(ctx context.Context, model, version string) (spec runtime.Spec, err error) {
	m, err := s.making(ctx, model, version)
	if err != nil {
		return spec, err
	}
	if m.request.Import != nil {
		return spec, fail(http.StatusConflict, "", "version %s of %s was imported: nothing trained it here", version, model)
	}
	declared, err := recipe.Model(s.host.Catalog, m.request)
	if err != nil {
		return spec, err
	}
	i := slices.IndexFunc(declared.Candidates, func(c resource.Candidate) bool { return c.Name == m.result.Candidate })
	if i < 0 {
		return spec, fail(http.StatusConflict, "", "the candidate %s is not declared in revision %d of %s", m.result.Candidate, m.request.ModelRevision, model)
	}
	candidate := declared.Candidates[i]
	if m.result.Code != nil {
		candidate.Code = m.result.Code
	}
	if m.refit == nil {
		base, err := recipe.Base(s.host.Catalog, m.request)
		if err != nil {
			return spec, err
		}
		spec = recipe.Trial(base, candidate, m.result.Params, 1)
	} else {
		judged, err := s.making(ctx, model, m.refit.Judged.Version)
		if err != nil {
			return spec, err
		}
		base, err := recipe.RefitBase(s.host.Catalog, m.request)
		if err != nil {
			return spec, err
		}
		spec = recipe.Refit(base, candidate, m.result.Params, judged.result.Reported)
	}
	spec.Trial = m.result.Trial
	return spec, nil
}

// planCandidate is a trial of a candidate: of a cycle, or of the one that would begin now.
func (s *Service) planCandidate(ctx context.Context, r catalog.Resource, w TrialWish) (spec runtime.Spec, err error) {
	var request events.CycleRequested
	chosen := ""
	if w.Cycle == "" {
		request, err = s.nextRequest(r)
	} else {
		request, err = s.requestOf(ctx, r.Name(), w.Cycle)
		for _, v := range s.projection.Versions(r.Name()) {
			if v.Cycle == w.Cycle && chosen == "" {
				chosen = v.Candidate
			}
		}
	}
	if err != nil {
		return spec, err
	}
	if w.Window != "" {
		if request.Snapshot.Window, err = events.ParseWindow(w.Window); err != nil {
			return spec, fail(http.StatusUnprocessableEntity, "", "%s", err)
		}
		request.Snapshot.ID = events.SnapshotID(request.Snapshot.Chain, request.Snapshot.Window)
	}
	declared, err := recipe.Model(s.host.Catalog, request)
	if err != nil {
		return spec, err
	}
	candidate, err := choose(declared.Candidates, w.Candidate, chosen)
	if err != nil {
		return spec, err
	}
	base, err := recipe.Base(s.host.Catalog, request)
	if err != nil {
		return spec, err
	}
	return recipe.Trial(base, candidate, nil, 1), nil
}

// choose finds the candidate that is named, else the one that was chosen, else the only one.
func choose(all []resource.Candidate, named, chosen string) (resource.Candidate, error) {
	if named == "" {
		named = chosen
	}
	var names []string
	for _, c := range all {
		if c.Name == named || named == "" && len(all) == 1 {
			return c, nil
		}
		names = append(names, c.Name)
	}
	if named == "" {
		return resource.Candidate{}, fail(http.StatusUnprocessableEntity, "there are: "+strings.Join(names, ", "), "name the candidate")
	}
	return resource.Candidate{}, unknown("candidate", named, names)
}

// nextRequest is the cycle that would be requested if one were now. It has no number: nothing is.
func (s *Service) nextRequest(r catalog.Resource) (events.CycleRequested, error) {
	name := r.Name()
	accepted := s.host.Catalog.Segments(r.Model.Dataset, math.MaxUint64)
	if len(accepted) == 0 {
		return events.CycleRequested{}, fail(http.StatusConflict, "publish rows first", "the dataset %s has no accepted rows yet", r.Model.Dataset)
	}
	last := accepted[len(accepted)-1]
	out := events.CycleRequested{Cycle: name + "-local", Model: name, ModelRevision: r.Revision, Causes: []events.Cause{},
		Snapshot: events.Snapshot{Dataset: r.Model.Dataset, Through: last.Ordinal, Chain: last.Chain, Rows: last.TotalRows, Watermark: last.Watermark}}
	for _, a := range accepted {
		if a.MaxTime.After(out.Snapshot.MaxTime) {
			out.Snapshot.MaxTime = a.MaxTime
		}
	}
	if p, ok := s.host.Catalog.PolicyOf(name); ok {
		out.Snapshot.Window, out.WarmStart, out.Policy = p.Policy.Window, p.Policy.WarmStart, p.Name()
	}
	out.Snapshot.ID = events.SnapshotID(last.Chain, out.Snapshot.Window)
	if champion := s.model(r).Champion; champion != nil {
		out.Champion = champion.Version.Version
	}
	return out, nil
}
