package gateway

import (
	"cmp"
	"context"
	"errors"
	"io/fs"

	"github.com/tidemill/tidemill/core/model/archive"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/internal/recipe"
	"github.com/tidemill/tidemill/workers/runtime"
)

// lineage is everything that a version was made from; "" is the champion.
func (s *Service) lineage(ctx context.Context, name, version string) (api.Lineage, error) {
	m, err := s.making(ctx, name, version)
	if err != nil {
		return api.Lineage{}, err
	}
	p, l, t := m.version, m.version.Manifest.Lineage, m.result
	out := api.Lineage{Model: name, Version: p.Manifest.Version, Cycle: l.Cycle, Causes: m.request.Causes, Environment: t.Environment, Validation: t.Validation,
		Trial: api.LineageTrial{Trial: t.Trial, Worker: t.Worker, Attempt: t.Attempt, Seconds: t.Seconds, Refit: m.refit != nil},
		Code:  api.LineageCode{Candidate: t.Candidate, Trainer: l.Trainer, Params: t.Params, Seed: l.Seed, Digest: t.CodeDigest, Blob: t.Code},
		Package: api.LineagePackage{URI: p.URI(), SHA256: p.SHA256, Files: p.Manifest.Files, SignedBy: p.SignedBy, CreatedAt: p.Manifest.CreatedAt,
			Command: t.Command, Import: m.request.Import}}
	if out.Code.Params == nil {
		out.Code.Params = l.Params
	}
	if v, _, ok := s.projection.Version(name, out.Version); ok {
		out.State = v.State
		if v.Verdict != nil {
			out.Judged, out.JudgedRows, out.ChampionJudged = v.Verdict.Metrics, v.Verdict.Rows, v.Verdict.ChampionMetrics
		}
	}
	if err := s.lineageCode(ctx, m, &out.Code); err != nil {
		return out, err
	}
	out.Parents = s.parents(m)
	out.Data, err = s.lineageData(ctx, m)
	return out, err
}

// lineageCode adds what the declaration and the packed source tell.
func (s *Service) lineageCode(ctx context.Context, m making, out *api.LineageCode) error {
	if declared, err := recipe.Model(s.host.Catalog, m.request); err == nil {
		for _, c := range declared.Candidates {
			if c.Name == out.Candidate {
				out.Trainer, out.Command = cmp.Or(out.Trainer, c.Trainer), c.Command
				if out.Blob == nil && c.Code != nil && c.Code.SHA256 == out.Digest {
					out.Blob = c.Code
				}
			}
		}
	}
	if out.Digest == "" {
		return nil
	}
	b, err := s.host.Blobs.Get(ctx, s.code().key(out.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if out.Blob == nil {
		out.Blob = &events.Blob{Key: s.code().key(out.Digest), SHA256: out.Digest, Bytes: int64(len(b))}
	}
	out.Requirements = requirements(b)
	return nil
}

// requirements is the digest of requirements.txt in packed source; "" when there is none.
func requirements(packed []byte) (digest string) {
	err := archive.Each(packed, runtime.MaxSource, func(name string, content []byte) {
		if name == "requirements.txt" {
			digest = events.SHA256(content)
		}
	})
	if err != nil {
		return ""
	}
	return digest
}

// parents are the versions that a version comes from.
func (s *Service) parents(m making) []api.Parent {
	out := []api.Parent{}
	add := func(kind, version string) {
		if v, ok := s.host.Catalog.Version(m.request.Model, version); ok {
			out = append(out, api.Parent{Kind: kind, Version: version, SHA256: v.SHA256})
		}
	}
	if m.refit != nil {
		add(api.ParentRefitOf, m.refit.Judged.Version)
	}
	if m.request.WarmStart && m.request.Import == nil {
		add(api.ParentWarmStart, m.request.Champion)
	}
	add(api.ParentChampion, m.request.Champion)
	return out
}

// lineageData is which rows the version saw.
func (s *Service) lineageData(ctx context.Context, m making) (api.LineageData, error) {
	manifest := m.version.Manifest
	out := api.LineageData{Snapshot: m.request.Snapshot, TrainRows: manifest.TrainRows, ValidationRows: manifest.ValidationRows, Missing: []uint64{},
		TrainedThrough: manifest.TrainedThrough, Features: manifest.FeatureSQL, Label: manifest.LabelSQL, ModelRevision: m.request.ModelRevision}
	if declared, err := recipe.Model(s.host.Catalog, m.request); err == nil && m.request.Import == nil {
		out.Weight = declared.Weight
		if w := declared.ClassWeights; w != nil {
			out.ClassWeights = w
		}
	}
	base, err := recipe.Base(s.host.Catalog, m.request)
	if m.refit != nil {
		base, err = recipe.RefitBase(s.host.Catalog, m.request)
	}
	if err != nil { // a dataset that was deleted since: the rest is known all the same
		return out, nil
	}
	for _, segment := range base.Segments {
		there, err := s.host.Blobs.Exists(ctx, segment.Parquet.Key)
		if err != nil {
			return out, err
		}
		if !there {
			out.Missing = append(out.Missing, segment.Ordinal)
		}
		out.Segments++
	}
	return out, nil
}
