// Package catalog is what every service knows without asking: the declared resources in all their revisions, the
// accepted segments of each dataset and the versions of each model, folded from the ledger in memory.
//
// A handler of the fact with sequence S first waits for S (WaitFor), and then reads a catalog that has folded every fact up
// to S: two processes that handle the same fact decide on the same catalog.
package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// Resource is one revision of a declared resource.
type Resource struct {
	resource.Resource
	Revision uint64
	Seq      uint64 // of its resource.applied in FACTS
}

// Name is the resource's name.
func (r Resource) Name() string { return r.Metadata.Name }

type key struct{ kind, name string }

// Catalog is safe for concurrent use. The zero value is not usable; use New.
type Catalog struct {
	mu        sync.RWMutex
	moved     *sync.Cond
	applied   uint64
	current   map[key]Resource
	revisions map[key]map[uint64]Resource
	segments  map[string][]events.SegmentAccepted // by dataset, ascending ordinals
	accepted  map[string][]uint64                 // by dataset, the sequences in FACTS of its segments
	versions  map[key]events.Version              // by model and version
}

// New returns an empty catalog; Run or Apply fills it.
func New() *Catalog {
	c := &Catalog{current: map[key]Resource{}, revisions: map[key]map[uint64]Resource{}, segments: map[string][]events.SegmentAccepted{},
		accepted: map[string][]uint64{},
		versions: map[key]events.Version{}}
	c.moved = sync.NewCond(c.mu.RLocker())
	return c
}

// Apply folds one fact. Facts must come in the ledger's order; one that was folded already changes nothing.
func (c *Catalog) Apply(f events.Fact) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Seq <= c.applied {
		return nil
	}
	if err := c.fold(f); err != nil {
		return fmt.Errorf("fold %s at sequence %d into the catalog: %w", f.Type.Short(), f.Seq, err)
	}
	c.applied = f.Seq
	c.moved.Broadcast()
	return nil
}

func (c *Catalog) fold(f events.Fact) error {
	switch f.Type {
	case events.ResourceAppliedType:
		p, err := events.PayloadOf[events.ResourceApplied](f)
		if err != nil {
			return err
		}
		return c.foldApplied(p, f.Seq)
	case events.ResourceDeletedType:
		p, err := events.PayloadOf[events.ResourceDeleted](f)
		if err != nil {
			return err
		}
		delete(c.current, key{p.Kind, p.Name})
	case events.SegmentAcceptedType:
		p, err := events.PayloadOf[events.SegmentAccepted](f)
		if err != nil {
			return err
		}
		list := c.segments[p.Dataset]
		// Said twice is folded once: ordinals only grow.
		if n := len(list); n == 0 || list[n-1].Ordinal < p.Ordinal {
			c.segments[p.Dataset] = append(list, p)
			c.accepted[p.Dataset] = append(c.accepted[p.Dataset], f.Seq)
		}
	case events.CandidateTrainedType:
		p, err := events.PayloadOf[events.CandidateTrained](f)
		if err != nil {
			return err
		}
		c.versions[key{p.Model, p.Version.Version}] = p.Version
	case events.CandidateRefittedType:
		p, err := events.PayloadOf[events.CandidateRefitted](f)
		if err != nil {
			return err
		}
		if v := p.Refitted; v != nil {
			c.versions[key{v.Model, v.Version}] = *v
		}
	}
	return nil
}

func (c *Catalog) foldApplied(p events.ResourceApplied, seq uint64) error {
	decoded, err := resource.FromJSON(p.Resource)
	if err != nil {
		return err
	}
	k := key{p.Kind, p.Name}
	r := Resource{Resource: decoded, Revision: p.Revision, Seq: seq}
	if old, ok := c.current[k]; ok && old.Revision >= p.Revision {
		return nil
	}
	c.current[k] = r
	if c.revisions[k] == nil {
		c.revisions[k] = map[uint64]Resource{}
	}
	c.revisions[k][p.Revision] = r
	return nil
}

// Applied is the sequence of the last folded fact.
func (c *Catalog) Applied() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.applied
}

// WaitFor blocks until every fact up to seq has been folded, or ctx is done.
func (c *Catalog) WaitFor(ctx context.Context, seq uint64) error {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.moved.Broadcast()
	})
	defer stop()
	c.mu.RLock()
	defer c.mu.RUnlock()
	for c.applied < seq {
		if ctx.Err() != nil {
			return fmt.Errorf("wait for the catalog to reach sequence %d (it is at %d): %w", seq, c.applied, context.Cause(ctx))
		}
		c.moved.Wait()
	}
	return nil
}

// Get returns the current revision of a resource.
func (c *Catalog) Get(kind, name string) (Resource, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, ok := c.current[key{kind, name}]
	return r, ok
}

// At returns one revision of a resource, whether or not it is the current one.
func (c *Catalog) At(kind, name string, revision uint64) (Resource, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, ok := c.revisions[key{kind, name}][revision]
	return r, ok
}

// LastRevision is the highest revision that a resource ever had, deleted or not; 0 when it never was.
func (c *Catalog) LastRevision(kind, name string) uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	last := uint64(0)
	for revision := range c.revisions[key{kind, name}] {
		last = max(last, revision)
	}
	return last
}

// List returns the current resources of a kind, by name.
func (c *Catalog) List(kind string) []Resource {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []Resource
	for k, r := range c.current {
		if k.kind == kind {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Resource) int { return strings.Compare(a.Name(), b.Name()) })
	return out
}

// Dataset is the current declaration of a dataset.
func (c *Catalog) Dataset(name string) (Resource, bool) { return c.Get(resource.KindDataset, name) }

// Model is the current declaration of a model.
func (c *Catalog) Model(name string) (Resource, bool) { return c.Get(resource.KindModel, name) }

// ModelsOf lists the models that learn from a dataset, by name.
func (c *Catalog) ModelsOf(dataset string) []Resource {
	return slices.DeleteFunc(c.List(resource.KindModel), func(r Resource) bool { return r.Model.Dataset != dataset })
}

// PolicyOf is the policy of a model; when several name the same model, the first by name counts.
func (c *Catalog) PolicyOf(model string) (Resource, bool) {
	for _, r := range c.List(resource.KindRetrainingPolicy) {
		if r.Policy.Model == model {
			return r, true
		}
	}
	return Resource{}, false
}

// Segments lists the accepted segments of a dataset with ordinals from 1 up to and with through. The caller must not change it.
func (c *Catalog) Segments(dataset string, through uint64) []events.SegmentAccepted {
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := c.segments[dataset]
	n, found := slices.BinarySearchFunc(list, through, func(s events.SegmentAccepted, o uint64) int { return cmp.Compare(s.Ordinal, o) })
	if found {
		n++
	}
	return list[:n:n]
}

// Newest is the newest segment of a dataset that was accepted before a place in the ledger.
func (c *Catalog) Newest(dataset string, before uint64) (events.SegmentAccepted, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n, _ := slices.BinarySearch(c.accepted[dataset], before)
	if n == 0 {
		return events.SegmentAccepted{}, false
	}
	return c.segments[dataset][n-1], true
}

// Segment finds one accepted segment.
func (c *Catalog) Segment(dataset string, ordinal uint64) (events.SegmentAccepted, bool) {
	list := c.Segments(dataset, ordinal)
	if n := len(list); n > 0 && list[n-1].Ordinal == ordinal {
		return list[n-1], true
	}
	return events.SegmentAccepted{}, false
}

// Version names the package of a model's version, whatever became of it.
func (c *Catalog) Version(model, version string) (events.Version, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.versions[key{model, version}]
	return v, ok
}
