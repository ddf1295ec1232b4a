package gateway

import (
	"context"
	"errors"
	"net/http"
	"regexp"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/services/api"
)

// find is the first fact of a type about a name whose payload is the one that is looked for. It reads the ledger, which keeps what
// the read model has forgotten.
func find[T any](ctx context.Context, s *Service, t events.Type, name string, is func(T) bool) (found *T, err error) {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	o := bus.FollowOptions{Subjects: []string{events.FactSubject(t, name)}, CaughtUp: func(uint64) { stop() }}
	err = s.host.Ledger.Follow(reading, o, func(f events.Fact) error {
		p, err := events.PayloadOf[T](f)
		if err == nil && found == nil && is(p) {
			found = &p
			stop()
		}
		return err
	})
	return found, errors.Join(err, ctx.Err())
}

// requestOf is the fact that requested a cycle.
func (s *Service) requestOf(ctx context.Context, model, cycle string) (events.CycleRequested, error) {
	if c, ok := s.projection.Cycle(model, cycle); ok {
		return c.CycleRequested, nil
	}
	p, err := find(ctx, s, events.CycleRequestedType, model, func(p events.CycleRequested) bool { return p.Cycle == cycle })
	if err == nil && p == nil {
		_, err = s.cycle(model, cycle) // says which there are
	}
	if err != nil {
		return events.CycleRequested{}, err
	}
	return *p, nil
}

// resultOf is the result of a trial, nil while it has none.
func (s *Service) resultOf(ctx context.Context, model, trial string) (*events.TrialFinished, error) {
	return find(ctx, s, events.TrialFinishedType, model, func(p events.TrialFinished) bool { return p.Trial == trial })
}

// refitOf is how a version was refitted from a judged one, nil when it was not.
func (s *Service) refitOf(ctx context.Context, model, version string) (*events.CandidateRefitted, error) {
	return find(ctx, s, events.CandidateRefittedType, model, func(p events.CandidateRefitted) bool {
		return p.Refitted != nil && p.Refitted.Version == version
	})
}

// making is a version with what is remembered of how it was made.
type making struct {
	version model.Package
	request events.CycleRequested
	result  *events.TrialFinished
	refit   *events.CandidateRefitted // nil when it is none
}

// making recalls a version; "" is the champion.
func (s *Service) making(ctx context.Context, name, version string) (out making, err error) {
	r, err := s.find(resource.KindModel, name)
	if err != nil {
		return out, err
	}
	if version == "" {
		champion := s.model(r).Champion
		if champion == nil {
			return out, fail(http.StatusConflict, "name a version: "+name+"@1", "%s has no champion", name)
		}
		version = champion.Version.Version
	}
	ref, ok := s.host.Catalog.Version(name, version)
	if !ok {
		return out, unknown("version", version, s.versionNames(name))
	}
	if out.version, err = model.ReadManifest(ctx, s.host.Blobs, ref, s.host.Keys); err != nil {
		return out, err
	}
	l := out.version.Manifest.Lineage
	if out.request, err = s.requestOf(ctx, name, l.Cycle); err != nil {
		return out, err
	}
	if out.result, err = s.resultOf(ctx, name, l.Trial); err != nil {
		return out, err
	}
	if out.result == nil {
		return out, fail(http.StatusConflict, "", "the ledger holds no result of the trial %s", l.Trial)
	}
	out.refit, err = s.refitOf(ctx, name, version)
	return out, err
}

var trialName = regexp.MustCompile(`^(-\d+)-.+$`)

// trialNamed finds a trial by its name, "<model>-<number>-<candidate>-<n>", where hyphens may be anywhere.
func (s *Service) trialNamed(ctx context.Context, name string) (api.TrialDetail, error) {
	var out api.TrialDetail
	for _, r := range s.host.Catalog.List(resource.KindModel) {
		if len(name) <= len(r.Name()) || name[:len(r.Name())] != r.Name() {
			continue
		}
		m := trialName.FindStringSubmatch(name[len(r.Name()):])
		if m == nil {
			continue
		}
		out.Model, out.Cycle = r.Name(), r.Name()+m[1]
		result, err := s.resultOf(ctx, out.Model, name)
		if err != nil {
			return out, err
		}
		out.Result = result
		c, _ := s.projection.Cycle(out.Model, out.Cycle)
		for _, t := range c.Trials {
			if t.Trial == name {
				out.Trial = t
				return out, nil
			}
		}
		if result != nil {
			out.Trial = finishedTrial(result)
			return out, nil
		}
	}
	return out, fail(http.StatusNotFound, "'tidemill get trials CYCLE' lists those of a cycle", "there is no trial %q", name)
}

// finishedTrial is a trial that only its result tells of.
func finishedTrial(p *events.TrialFinished) api.Trial {
	state := "failed"
	if p.Succeeded {
		state = "succeeded"
	}
	return api.Trial{Trial: p.Trial, Candidate: p.Candidate, State: state, Attempt: p.Attempt, Worker: p.Worker, Fraction: 1,
		Validation: p.Validation, Reported: p.Reported, Reason: p.Reason, LogTail: p.LogTail, Seconds: p.Seconds}
}
