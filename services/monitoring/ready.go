package monitoring

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tidemill/tidemill/core/profile"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/rows"
)

// ready takes in a new champion: what was found about the one before is over, and its windows begin anew.
func (s *Service) ready(ctx context.Context, f events.Fact, p events.ModelReady) error {
	reference, dataset, err := s.reference(ctx, p)
	if err != nil {
		return fmt.Errorf("what version %s of %s was trained on: %w", p.Version.Version, p.Model, err)
	}
	_, err = s.docs.Decide(ctx, p.Model, f, s.host.Bus, func(w watch, _ bool) (watch, []events.Fact, error) {
		b := &book{service: s, cause: f, model: p.Model, dataset: dataset, ordinal: w.Last, at: p.TrainedThrough, open: maps.Clone(w.Open)}
		if n := len(w.Recent); n > 0 {
			b.at = w.Recent[n-1].MaxTime
		}
		for _, key := range slices.Sorted(maps.Keys(b.open)) {
			b.resolve(key, b.open[key].Value, "version "+p.Version.Version+" is champion now")
		}
		w.Champion, w.Open = &champion{Version: p.Version, Metrics: p.Metrics, Reference: reference}, b.open
		return w, b.facts, b.err
	})
	if err != nil {
		return fmt.Errorf("monitoring of %s on %s: %w", p.Model, f.Type.Short(), err)
	}
	return nil
}

// reference merges the profiles of the segments that the version was trained on and stores the result by its content.
func (s *Service) reference(ctx context.Context, p events.ModelReady) (*events.Blob, string, error) {
	v, err := s.versions.Open(ctx, p.Version)
	if err != nil {
		return nil, "", err
	}
	defer v.Release()
	snapshot := v.Manifest.Lineage.Snapshot
	accepted := s.host.Catalog.Segments(snapshot.Dataset, snapshot.Through)
	profiles := make(map[uint64]events.Blob, len(accepted))
	for _, a := range accepted {
		profiles[a.Ordinal] = a.Profile
	}
	split := resource.Split{}
	if m, ok := s.host.Catalog.Model(p.Model); ok {
		split = m.Model.Split
	}
	plan, err := rows.Plan(accepted, snapshot.Window, split)
	if err != nil {
		return nil, snapshot.Dataset, nil // the split was changed to one that the snapshot can't meet: drift has no reference
	}
	var parts []*profile.Profile
	for _, x := range plan.Train.Parts {
		part, err := s.profileOf(ctx, profiles[x.Ordinal])
		if err != nil {
			return nil, "", err
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return nil, snapshot.Dataset, nil
	}
	merged, err := profile.MergeAll(parts...)
	if err != nil {
		return nil, "", err
	}
	raw, err := merged.Encode()
	if err != nil {
		return nil, "", err
	}
	blob, err := s.host.Blobs.PutBytes(ctx, "profiles/"+events.SHA256(raw)+".json", raw)
	return &blob, snapshot.Dataset, err
}
