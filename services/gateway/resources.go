package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/state"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/internal/catalog"
)

// declared is the document of one resource in the bucket "resources".
type declared struct {
	Revision uint64          `json:"revision"`
	Digest   string          `json:"digest"`
	Deleted  bool            `json:"deleted,omitempty"` // kept, so that a revision is never used twice
	Resource json.RawMessage `json:"resource,omitempty"`
}

// What applying does to a resource.
const (
	actionCreated    = "created"
	actionConfigured = "configured"
	actionUnchanged  = "unchanged"
	actionDeleted    = "deleted"
)

// kinds maps the words of paths to kinds.
var kinds = map[string]string{
	"datasets": resource.KindDataset, "models": resource.KindModel, "policies": resource.KindRetrainingPolicy,
}

func kindOf(word string) (string, error) {
	if kind, ok := kinds[word]; ok {
		return kind, nil
	}
	return "", unknown("kind of resource", word, []string{"datasets", "models", "policies"})
}

func (s *Service) resourceRoutes(h huma.API) {
	const path = "/api/v1/resources"
	on(s, h, http.MethodPost, path, "apply-resources", "Apply YAML or JSON documents", s.apply)
	on(s, h, http.MethodGet, path+"/{kind}", "list-resources", "Resources of a kind",
		func(_ context.Context, in *struct {
			Kind string `path:"kind"`
		}) (*answer[api.List[api.Resource]], error) {
			return listed(s.listResources(in.Kind))
		})
	type named struct {
		Kind string `path:"kind"`
		Name string `path:"name"`
	}
	on(s, h, http.MethodGet, path+"/{kind}/{name}", "get-resource", "One resource",
		func(_ context.Context, in *named) (*answer[api.Resource], error) {
			return answered(s.getResource(in.Kind, in.Name))
		})
	on(s, h, http.MethodDelete, path+"/{kind}/{name}", "delete-resource", "Delete a resource that nothing else uses",
		func(ctx context.Context, in *named) (*answer[api.Applied], error) {
			return answered(s.delete(ctx, in.Kind, in.Name))
		})
}

func (s *Service) listResources(word string) ([]api.Resource, error) {
	kind, err := kindOf(word)
	var out []api.Resource
	for _, r := range s.host.Catalog.List(kind) {
		out = append(out, s.shown(r))
	}
	return out, err
}

func (s *Service) getResource(word, name string) (api.Resource, error) {
	kind, err := kindOf(word)
	if err != nil {
		return api.Resource{}, err
	}
	r, err := s.find(kind, name)
	return s.shown(r), err
}

func (s *Service) shown(r catalog.Resource) api.Resource {
	return api.Resource{Kind: r.Kind, Name: r.Name(), Revision: r.Revision, Digest: r.Digest, Document: r.Canonical,
		At: s.projection.Declared(r.Kind, r.Name())}
}

// find gives a declared resource, or the problem that there is none.
func (s *Service) find(kind, name string) (catalog.Resource, error) {
	r, ok := s.host.Catalog.Get(kind, name)
	if ok {
		return r, nil
	}
	var names []string
	for _, other := range s.host.Catalog.List(kind) {
		names = append(names, other.Name())
	}
	what := map[string]string{resource.KindDataset: "dataset", resource.KindModel: "model"}[kind]
	return r, unknown(cmp.Or(what, "policy"), name, names)
}

type ApplyInput struct {
	ContentType string `header:"Content-Type"`
	File        string `query:"file" doc:"what the documents come from, for the places in errors"`
	DryRun      bool   `query:"dryRun" doc:"only compare"`
	RawBody     []byte `contentType:"application/yaml"`
}

// apply declares resources: all of them, or none when one is wrong.
func (s *Service) apply(ctx context.Context, in *ApplyInput) (*answer[api.List[api.Applied]], error) {
	list, err := parse(in)
	if err != nil {
		return nil, err
	}
	if list, err = s.pin(ctx, list, !in.DryRun); err != nil {
		return nil, err
	}
	s.deciding.Lock()
	defer s.deciding.Unlock()
	if err := s.check(ctx, list); err != nil {
		return nil, err
	}
	order := resource.Kinds()
	slices.SortStableFunc(list, func(a, b resource.Resource) int {
		return cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind))
	})
	var out []api.Applied
	last := uint64(0)
	for _, r := range list {
		applied, err := s.compare(r)
		if err == nil && !in.DryRun && applied.Action != actionUnchanged {
			applied, err = s.declare(ctx, r, applied)
			last = max(last, applied.Seq)
		}
		if err != nil {
			return nil, fmt.Errorf("apply %s %s: %w", r.Kind, r.Metadata.Name, err)
		}
		out = append(out, applied)
	}
	return listed(out, s.folded(ctx, last))
}

func parse(in *ApplyInput) ([]resource.Resource, error) {
	if len(strings.TrimSpace(string(in.RawBody))) == 0 {
		return nil, fail(http.StatusBadRequest, "send YAML or JSON documents", "the body is empty")
	}
	if t, _, err := mime.ParseMediaType(in.ContentType); err != nil || t != "application/json" {
		return resource.Parse(in.RawBody, in.File)
	}
	return resource.ParseJSON(in.RawBody)
}

// compare says what applying r would do.
func (s *Service) compare(r resource.Resource) (api.Applied, error) {
	out := api.Applied{Kind: r.Kind, Name: r.Metadata.Name, Action: actionCreated, Revision: s.host.Catalog.LastRevision(r.Kind, r.Metadata.Name) + 1}
	old, exists := s.host.Catalog.Get(r.Kind, r.Metadata.Name)
	if exists {
		out.Action, out.Revision = actionConfigured, old.Revision+1
		if old.Digest == r.Digest {
			out.Action, out.Revision = actionUnchanged, old.Revision
			return out, nil
		}
	}
	changes, err := resource.Diff(old.Resource, r)
	for _, c := range changes {
		out.Changes = append(out.Changes, api.Change(c))
	}
	return out, err
}

// declare writes the resource and says so. The document decides what really changed: another process may have been faster.
func (s *Service) declare(ctx context.Context, r resource.Resource, out api.Applied) (api.Applied, error) {
	seqs := &sayer{service: s}
	doc, err := s.resources.Decide(ctx, resourceKey(r.Kind, r.Metadata.Name), events.Fact{}, seqs,
		func(d declared, exists bool) (declared, []events.Fact, error) {
			if exists && !d.Deleted && d.Digest == r.Digest {
				out.Action, out.Changes = actionUnchanged, nil
				return d, nil, state.ErrUnchanged
			}
			next := declared{Revision: d.Revision + 1, Digest: r.Digest, Resource: r.Canonical}
			f, err := events.NewFact(events.DeriveID("resource", r.Kind, r.Metadata.Name, fmt.Sprint(next.Revision)), events.ResourceAppliedType,
				Name, r.Metadata.Name, s.host.Clock(), events.ResourceApplied{Kind: r.Kind, Name: r.Metadata.Name, Revision: next.Revision,
					Digest: next.Digest, Resource: next.Resource})
			return next, []events.Fact{f}, err
		})
	if err == nil && len(doc.Outbox) > 0 { // a process died before it had said this very change
		_, err = s.resources.Sweep(ctx, seqs)
	}
	out.Revision, out.Seq = doc.Value.Revision, seqs.last
	return out, err
}

// delete removes a resource that nothing refers to.
func (s *Service) delete(ctx context.Context, word, name string) (api.Applied, error) {
	kind, err := kindOf(word)
	if err != nil {
		return api.Applied{}, err
	}
	s.deciding.Lock()
	defer s.deciding.Unlock()
	if _, err := s.find(kind, name); err != nil {
		return api.Applied{}, err
	}
	if err := resource.CheckDelete(s.declaredNow(), kind, name); err != nil {
		var found resource.Errors
		if errors.As(err, &found) {
			return api.Applied{}, fail(http.StatusConflict, found[0].Hint, "%s", found[0].Message)
		}
		return api.Applied{}, err
	}
	seqs := &sayer{service: s}
	doc, err := s.resources.Decide(ctx, resourceKey(kind, name), events.Fact{}, seqs, func(d declared, _ bool) (declared, []events.Fact, error) {
		if d.Deleted {
			return d, nil, state.ErrUnchanged
		}
		next := declared{Revision: d.Revision + 1, Deleted: true}
		f, err := events.NewFact(events.DeriveID("resource", kind, name, fmt.Sprint(next.Revision)), events.ResourceDeletedType, Name, name,
			s.host.Clock(), events.ResourceDeleted{Kind: kind, Name: name, Revision: next.Revision})
		return next, []events.Fact{f}, err
	})
	if err == nil {
		err = s.folded(ctx, seqs.last)
	}
	return api.Applied{Kind: kind, Name: name, Action: actionDeleted, Revision: doc.Value.Revision, Seq: seqs.last}, err
}

func resourceKey(kind, name string) string { return strings.ToLower(kind) + "." + name }

// sayer says facts and remembers where the last one is.
type sayer struct {
	service *Service
	last    uint64
}

// Say says one fact.
func (x *sayer) Say(ctx context.Context, f events.Fact) (uint64, error) {
	seq, err := x.service.host.Bus.Say(ctx, f)
	x.last = max(x.last, seq)
	return seq, err
}

// declaredNow are all current resources.
func (s *Service) declaredNow() []resource.Resource {
	var out []resource.Resource
	for _, kind := range resource.Kinds() {
		for _, r := range s.host.Catalog.List(kind) {
			out = append(out, r.Resource)
		}
	}
	return out
}
