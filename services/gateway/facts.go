package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/internal/narrate"
)

const (
	eventStream    = "text/event-stream"
	heartbeatEvery = 15 * time.Second
	ratesEvery     = time.Second
	writeTimeout   = 30 * time.Second
)

func (s *Service) factRoutes(h huma.API) {
	on(s, h, http.MethodGet, "/api/v1/facts/{seq}", "get-fact", "One fact of the ledger",
		func(ctx context.Context, in *struct {
			Seq uint64 `path:"seq"`
		}) (*answer[api.FactEvent], error) {
			f, err := s.host.Ledger.Get(ctx, in.Seq)
			if errors.Is(err, bus.ErrNoFact) {
				err = fail(http.StatusNotFound, "", "the ledger has no fact %d", in.Seq)
			}
			return answered(told(f), err)
		})
	s.subscriptionRoutes(h)
}

func told(f events.Fact) api.FactEvent { return api.FactEvent{Fact: f, Text: narrate.Text(f)} }

// wanted says which facts somebody asks for.
type wanted struct {
	types   []events.Type // none: all
	model   string        // "": all
	dataset string        // of model
}

// wants reads ?types= and ?model=.
func (s *Service) wants(types, model string) (wanted, error) {
	w := wanted{model: model}
	for short := range strings.SplitSeq(types, ",") {
		if short = strings.TrimSpace(short); short == "" {
			continue
		}
		t, ok := events.TypeFromShort(short)
		if !ok {
			var known []string
			for _, t := range events.Types() {
				known = append(known, t.Short())
			}
			hint := nearest(short, known, "type of fact")
			return w, fail(http.StatusUnprocessableEntity, hint, "there is no type of fact %q", short)
		}
		w.types = append(w.types, t)
	}
	if model != "" {
		r, err := s.find(resource.KindModel, model)
		if err != nil {
			return w, err
		}
		w.dataset = r.Model.Dataset
	}
	return w, nil
}

// has tells whether a type is asked for by name.
func (w wanted) has(t events.Type) bool {
	for _, x := range w.types {
		if x == t {
			return true
		}
	}
	return false
}

// subjects are the filters of the ledger for the types; none when all are wanted.
func (w wanted) subjects() []string { return events.FactFilters(w.types...) }

// about tells whether a fact concerns the model that is asked for: its own facts, and those of its dataset.
func (w wanted) about(f events.Fact) bool {
	if w.model == "" {
		return true
	}
	var p struct{ Kind, Name, Model, Dataset string }
	if f.Decode(&p) != nil {
		return f.Subject == w.model
	}
	switch {
	case p.Model != "":
		return p.Model == w.model
	case p.Kind == resource.KindDataset:
		return p.Name == w.dataset
	case p.Kind != "" || p.Dataset == "":
		return f.Subject == w.model
	}
	return p.Dataset == w.dataset
}

// begin is the first sequence to tell: after Last-Event-ID, from since on, so many before the newest, or the next one.
func (s *Service) begin(r *http.Request) (uint64, error) {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		seq, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			return 0, fail(http.StatusBadRequest, "", "Last-Event-ID %q is not a sequence of the ledger", id)
		}
		return seq + 1, nil
	}
	return s.since(r.Context(), r.URL.Query().Get("since"))
}

func (s *Service) since(ctx context.Context, text string) (uint64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if text != "" && err != nil {
		return 0, fail(http.StatusUnprocessableEntity, "1 begins with the first fact, -200 begins 200 facts before the newest", "since=%q is not a whole number", text)
	}
	if n > 0 {
		return uint64(n), nil
	}
	last, err := s.host.Ledger.LastSeq(ctx)
	if err != nil {
		return 0, err
	}
	return uint64(max(int64(last)+1+n, 1)), nil
}

// getFacts tells facts as server-sent events, from the ledger itself: a stream that was interrupted goes on where it was.
func (s *Service) getFacts(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	want, err := s.wants(q.Get("types"), q.Get("model"))
	if err == nil && want.has(events.PolicyEvaluatedType) {
		err = fail(http.StatusUnprocessableEntity, "GET /api/v1/models/{model}/why-not tells the newest", "evaluations are kept beside the ledger, and not streamed")
	}
	if err != nil {
		return err
	}
	from, err := s.begin(r)
	if err != nil {
		return err
	}
	out := &eventWriter{w: w, c: http.NewResponseController(w)}
	header := w.Header()
	header.Set("Content-Type", eventStream)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()
	out.comment("facts from " + strconv.FormatUint(from, 10))
	s.tell(r.Context(), out, want, from, q.Get("follow") != "false")
	_ = out.c.SetWriteDeadline(time.Time{}) // the connection may carry other requests
	return nil
}

// tell writes events until the reader or the platform is gone, or all facts are told when nothing is to follow.
func (s *Service) tell(ctx context.Context, out *eventWriter, want wanted, from uint64, follow bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	facts, ended := make(chan events.Fact), make(chan struct{})
	go func() {
		defer close(ended)
		o := bus.FollowOptions{From: from, Subjects: want.subjects()}
		if !follow {
			o.CaughtUp = func(uint64) { cancel() }
		}
		_ = s.host.Ledger.Follow(ctx, o, func(f events.Fact) error {
			select {
			case facts <- f:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	progress, leave := s.live.join()
	defer leave()
	beat, rates := time.NewTicker(heartbeatEvery), time.NewTicker(ratesEvery)
	defer beat.Stop()
	defer rates.Stop()
	for out.err == nil {
		select {
		case <-ended:
			return
		case f := <-facts:
			if want.about(f) {
				out.event("fact", strconv.FormatUint(f.Seq, 10), told(f))
			}
		case p := <-progress:
			if follow && (want.model == "" || p.Model == want.model) && (len(want.types) == 0 || want.has(events.TrialProgressedType)) {
				out.event("progress", "", p)
			}
		case <-rates.C:
			if follow && len(want.types) == 0 {
				out.event("rates", "", s.projection.Rates(s.host.Clock()))
			}
		case <-beat.C:
			out.comment("still here")
		}
	}
	cancel()
	<-ended
}

// eventWriter writes server-sent events; after an error it writes nothing more.
type eventWriter struct {
	w   io.Writer
	c   *http.ResponseController
	err error
}

func (e *eventWriter) event(name, id string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		e.err = err
		return
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	e.write(fmt.Sprintf("%sevent: %s\ndata: %s\n\n", id, name, text))
}

func (e *eventWriter) comment(text string) { e.write(": " + text + "\n\n") }

func (e *eventWriter) write(text string) {
	if e.err != nil {
		return
	}
	// A reader that takes nothing for so long is gone. Writers without deadlines end with their request.
	_ = e.c.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, e.err = io.WriteString(e.w, text); e.err == nil {
		e.err = e.c.Flush()
	}
}
