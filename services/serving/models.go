package serving

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/tidemill/tidemill/core/rollout"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/host"
)

// keepEarlier is how many earlier champions stay open for requests that name them.
const keepEarlier = 4

// served is one model. Requests read it without locks.
type served struct {
	name     string
	champion atomic.Pointer[version]
	state    atomic.Pointer[deployed]
	tried    chan struct{} // closed when its first load has succeeded or failed
}

// patience is how long a request waits for the first version of a model that is being loaded: who hears of a promotion asks at once.
const patience = 10 * time.Second

// deployed is what deployment wants and what keeps it from being served.
type deployed struct {
	rollout.State
	failure error
	tries   int
	again   time.Time // when the failed load is tried again
}

// models holds the versions in use.
type models struct {
	host    *host.Host
	metrics *metrics
	ready   atomic.Bool
	byName  atomic.Pointer[map[string]*served] // replaced, never changed

	mu sync.Mutex // held while champions change

	loading  singleflight.Group
	earlyMu  sync.Mutex
	earlier  []*version // newest use last
	shutdown bool
}

func newModels(h *host.Host, m *metrics) *models {
	x := &models{host: h, metrics: m}
	x.byName.Store(&map[string]*served{})
	return x
}

// httpError is an error with the status that it is answered with.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

func fail(status int, format string, args ...any) error {
	return &httpError{status, fmt.Sprintf(format, args...)}
}

// hold gives the champion of a model, or a version that is or was its champion. The caller releases it.
func (x *models) hold(ctx context.Context, name, wanted string) (*version, error) {
	s := (*x.byName.Load())[name]
	if s == nil {
		return nil, x.unknown(name)
	}
	for {
		v := s.champion.Load()
		if wanted != "" && (v == nil || v.ref.Version != wanted) {
			return x.holdEarlier(ctx, s, wanted)
		}
		if v == nil {
			if s.await(ctx) && s.champion.Load() != nil {
				continue
			}
			return nil, x.unloaded(s)
		}
		if v.acquire() {
			return v, nil
		}
		// It was replaced between the two lines; the pointer is new already.
	}
}

// await waits until the first load of a model has ended.
func (s *served) await(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-s.tried:
		return true
	case <-ctx.Done():
		return false
	}
}

func (x *models) unknown(name string) error {
	if !x.ready.Load() {
		return fail(http.StatusServiceUnavailable, "starting: the models are being loaded; try again in a moment")
	}
	if _, declared := x.host.Catalog.Model(name); declared {
		return fail(http.StatusNotFound, "model %s has no champion yet: no version has passed its gates", name)
	}
	names := slices.Sorted(maps.Keys(*x.byName.Load()))
	if len(names) == 0 {
		return fail(http.StatusNotFound, "there is no model %q; none has a champion yet", name)
	}
	return fail(http.StatusNotFound, "there is no model %q; the models are %s", name, strings.Join(names, ", "))
}

func (x *models) unloaded(s *served) error {
	if !x.ready.Load() {
		return fail(http.StatusServiceUnavailable, "serving is stopping")
	}
	if d := s.state.Load(); d.failure != nil {
		return fail(http.StatusServiceUnavailable, "no version of model %s could be loaded: %v", s.name, d.failure)
	}
	select {
	case <-s.tried:
		return fail(http.StatusNotFound, "model %s has no champion", s.name)
	default:
		return fail(http.StatusServiceUnavailable, "version %s of model %s is being loaded; try again in a moment", s.state.Load().Champion, s.name)
	}
}

func (x *models) holdEarlier(ctx context.Context, s *served, wanted string) (*version, error) {
	d := s.state.Load()
	entry, ok := d.Find(wanted)
	if !ok {
		known := make([]string, len(d.Known))
		for i, e := range d.Known {
			known[i] = e.Version.Version
		}
		return nil, fail(http.StatusNotFound, "model %s has no version %q that is or was champion; there are %s", s.name, wanted, strings.Join(known, ", "))
	}
	for {
		if v := x.findEarlier(entry.Version); v != nil {
			return v, nil
		}
		// Who joins a load must not depend on the request that began it.
		_, err, _ := x.loading.Do(entry.SHA256, func() (any, error) { return nil, x.loadEarlier(context.WithoutCancel(ctx), entry.Version) })
		if err != nil {
			return nil, fail(http.StatusServiceUnavailable, "%v", err)
		}
	}
}

func (x *models) findEarlier(ref events.Version) *version {
	x.earlyMu.Lock()
	defer x.earlyMu.Unlock()
	i := slices.IndexFunc(x.earlier, func(v *version) bool { return v.ref.SHA256 == ref.SHA256 && v.ref.Model == ref.Model })
	if i < 0 {
		return nil
	}
	v := x.earlier[i]
	x.earlier = append(slices.Delete(x.earlier, i, i+1), v)
	v.acquire() // never false: what is in the list is not closed
	return v
}

func (x *models) loadEarlier(ctx context.Context, ref events.Version) error {
	v, err := openVersion(ctx, x.host, x.metrics, ref)
	if err != nil {
		x.metrics.failed.WithLabelValues(ref.Model).Inc()
		return err
	}
	x.earlyMu.Lock()
	defer x.earlyMu.Unlock()
	if x.shutdown {
		v.close()
		return fmt.Errorf("load version %s of %s: serving is stopping", ref.Version, ref.Model)
	}
	x.earlier = append(x.earlier, v)
	for len(x.earlier) > keepEarlier {
		x.earlier[0].close()
		x.earlier = slices.Delete(x.earlier, 0, 1)
	}
	return nil
}

// dropEarlier closes the earlier champions that gone names.
func (x *models) dropEarlier(gone func(*version) bool) {
	x.earlyMu.Lock()
	defer x.earlyMu.Unlock()
	x.earlier = slices.DeleteFunc(x.earlier, func(v *version) bool {
		if gone(v) {
			v.close()
			return true
		}
		return false
	})
}

// follow brings a model to the state that deployment decided. It fails only when ctx ends.
func (x *models) follow(ctx context.Context, name string, st rollout.State) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := (*x.byName.Load())[name]
	if st.Champion == "" {
		if s != nil {
			x.unload(s)
		}
		return nil
	}
	if s == nil {
		s = &served{name: name, tried: make(chan struct{})}
		defer close(s.tried)
		// Nobody must see a model without a state.
		s.state.Store(&deployed{State: st})
		all := maps.Clone(*x.byName.Load())
		all[name] = s
		x.byName.Store(&all)
	}
	x.load(ctx, s, st, 0)
	return ctx.Err()
}

func (x *models) unload(s *served) {
	all := maps.Clone(*x.byName.Load())
	delete(all, s.name)
	x.byName.Store(&all)
	s.state.Store(&deployed{State: rollout.New(s.name)})
	if old := s.champion.Swap(nil); old != nil {
		old.close() // its last requests finish; new ones find no model
	}
	x.dropEarlier(func(v *version) bool { return v.ref.Model == s.name })
	x.metrics.forget(s.name)
	x.host.Log.Info("model unloaded", zap.String("model", s.name))
}

// load makes the wanted champion the served one. What can't be loaded leaves the previous one in place.
func (x *models) load(ctx context.Context, s *served, st rollout.State, tries int) {
	next := &deployed{State: st}
	defer func() { s.state.Store(next) }()
	entry, ok := st.Find(st.Champion)
	if !ok {
		next.failure = fmt.Errorf("version %s is champion, but the deployment doesn't say where its package is", st.Champion)
		return
	}
	old := s.champion.Load()
	dataset := uint64(0)
	if old != nil {
		d, _ := x.host.Catalog.Dataset(old.manifest.Dataset)
		dataset = d.Revision
	}
	if old != nil && old.ref.SHA256 == entry.SHA256 && old.revision == dataset {
		return
	}
	began := time.Now() // for the log alone
	v, err := openVersion(ctx, x.host, x.metrics, entry.Version)
	if err != nil {
		if ctx.Err() == nil {
			x.failed(s, next, err, tries)
		}
		return
	}
	s.champion.Store(v)
	if old != nil {
		old.close()
	}
	x.dropEarlier(func(e *version) bool { return e.ref.SHA256 == v.ref.SHA256 && e.ref.Model == s.name })
	fields := []zap.Field{zap.String("model", s.name), zap.String("version", v.ref.Version), zap.Duration("after", time.Since(began))}
	if v.rawError != nil {
		x.host.Log.Warn("version serves features only, rows of its dataset can't be turned into them", append(fields, zap.Error(v.rawError))...)
		return
	}
	x.host.Log.Info("version serves", fields...)
}

func (x *models) failed(s *served, next *deployed, err error, tries int) {
	const most = time.Minute
	next.failure, next.tries = err, tries+1
	next.again = x.host.Clock().Add(min(most, time.Second<<min(tries, 6)))
	x.metrics.failed.WithLabelValues(s.name).Inc()
	serves := ""
	if v := s.champion.Load(); v != nil {
		serves = v.ref.Version
	}
	x.host.Log.Error("the new champion can't be loaded; the previous version serves on", zap.String("model", s.name),
		zap.String("version", next.Champion), zap.String("serves", serves), zap.Int("attempt", next.tries), zap.Error(err))
}

// refresh tries failed loads again, and opens versions anew whose dataset was declared anew.
func (x *models) refresh(ctx context.Context) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.host.Clock()
	for _, s := range *x.byName.Load() {
		d, v := s.state.Load(), s.champion.Load()
		if d.failure != nil && now.Before(d.again) {
			continue
		}
		if d.failure == nil && v != nil {
			if dataset, _ := x.host.Catalog.Dataset(v.manifest.Dataset); dataset.Revision == v.revision {
				continue
			}
		}
		x.load(ctx, s, d.State, d.tries)
	}
	x.dropEarlier(func(v *version) bool {
		dataset, _ := x.host.Catalog.Dataset(v.manifest.Dataset)
		return dataset.Revision != v.revision // loaded anew when somebody asks
	})
}

// close lets everything go.
func (x *models) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ready.Store(false)
	all := *x.byName.Load()
	x.byName.Store(&map[string]*served{})
	for _, s := range all {
		if v := s.champion.Swap(nil); v != nil {
			v.close()
		}
	}
	x.earlyMu.Lock()
	x.shutdown = true
	x.earlyMu.Unlock()
	x.dropEarlier(func(*version) bool { return true })
}

// knows tells whether the model has a champion.
func (x *models) knows(name string) bool { return (*x.byName.Load())[name] != nil }

// deployed is the state of a model; nil when it has no champion.
func (x *models) deployed(name string) *deployed {
	if s := (*x.byName.Load())[name]; s != nil {
		return s.state.Load()
	}
	return nil
}
