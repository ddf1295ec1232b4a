package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/services/api"
)

type DeadInput struct {
	Seq uint64 `path:"seq"`
}

func (s *Service) systemRoutes(h huma.API) {
	on(s, h, http.MethodGet, "/api/v1/alerts", "list-alerts", "Alerts, newest first",
		func(_ context.Context, in *struct {
			Open bool `query:"open" doc:"only those that are not resolved"`
		}) (*answer[api.List[api.Alert]], error) {
			return listed(s.projection.Alerts(in.Open), nil)
		})
	on(s, h, http.MethodGet, "/api/v1/dead", "list-dead", "Messages that a handler gave up on", s.listDead)
	on(s, h, http.MethodGet, "/api/v1/dead/{seq}", "get-dead", "A dead letter with its message",
		func(ctx context.Context, in *DeadInput) (*answer[api.Dead], error) {
			l, err := s.dead.Show(ctx, in.Seq)
			return answered(letter(l), noLetter(in.Seq, err))
		})
	on(s, h, http.MethodPost, "/api/v1/dead/{seq}/replay", "replay-dead", "Send a dead letter to its handler again",
		func(ctx context.Context, in *DeadInput) (*answer[api.Asked], error) {
			err := s.dead.Replay(ctx, in.Seq)
			return answered(api.Asked{Seq: in.Seq}, noLetter(in.Seq, err))
		})
	on(s, h, http.MethodGet, "/api/v1/workers", "list-workers", "Workers that are there, by pool and name", s.listWorkers)
	on(s, h, http.MethodGet, "/api/v1/status", "status", "The platform as it stands", s.status)
	on(s, h, http.MethodPost, "/api/v1/login-codes", "login-code", "A link that opens the dashboard once",
		func(_ context.Context, in *struct {
			HostInput
		}) (*answer[api.LoginLink], error) {
			code := s.o.Guard.NewCode()
			link := url.URL{Scheme: "http", Host: in.host, Path: "/login", RawQuery: url.Values{"code": {code}}.Encode()}
			if in.tls {
				link.Scheme = "https"
			}
			return answered(api.LoginLink{URL: link.String(), Code: code}, nil)
		})
}

// HostInput is how the caller reached this process.
type HostInput struct {
	host string
	tls  bool
}

// Resolve reads it off the request.
func (h *HostInput) Resolve(ctx huma.Context) []error {
	h.host, h.tls = ctx.Host(), ctx.TLS() != nil
	return nil
}

func noLetter(seq uint64, err error) error {
	if errors.Is(err, bus.ErrNoLetter) {
		return fail(http.StatusNotFound, "'tidemill dead list' names those that there are", "there is no dead letter %d", seq)
	}
	return err
}

func (s *Service) listDead(ctx context.Context, _ *struct{}) (*answer[api.List[api.Dead]], error) {
	letters, err := s.dead.List(ctx, "")
	out := make([]api.Dead, len(letters))
	for i, l := range letters {
		out[i] = letter(l)
	}
	return listed(out, err)
}

func (s *Service) listWorkers(ctx context.Context, _ *struct{}) (*answer[api.List[api.Worker]], error) {
	here, err := jobs.Workers(ctx, s.host.JS)
	out := make([]api.Worker, len(here))
	for i, w := range here {
		out[i] = api.Worker{Name: w.Name, Pool: w.Pool, Slots: w.Slots, Busy: w.Busy, Host: w.Host, Version: w.Version, Since: w.Since, Draining: w.Draining}
	}
	return listed(out, err)
}

func letter(l bus.Letter) api.Dead {
	out := api.Dead{Seq: l.ID, Handler: l.Handler, Subject: l.Subject, Source: l.Seq, Error: l.Error, At: l.Time}
	switch {
	case len(l.Data) == 0:
	case json.Valid(l.Data):
		out.Message = l.Data
	default:
		out.Message, _ = json.Marshal(string(l.Data)) // strings always encode
	}
	return out
}

func (s *Service) status(ctx context.Context, _ *struct{}) (*answer[api.Status], error) {
	leases, err := s.leases(ctx)
	return answered(api.Status{Version: s.o.Version, Started: s.o.Started, Targets: s.o.Targets, NATS: s.o.NATSURL,
		Rates: s.projection.Rates(s.host.Clock()), Leases: leases}, err)
}

// leases are who decides in each deciding service.
func (s *Service) leases(ctx context.Context) (map[string]string, error) {
	kv, err := s.host.JS.KeyValue(ctx, events.BucketLeases)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	keys, err := kv.Keys(ctx)
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, nil
	}
	out := map[string]string{}
	for _, key := range keys {
		var held struct {
			Holder string `json:"holder"`
		}
		if e, err := kv.Get(ctx, key); err == nil && json.Unmarshal(e.Value(), &held) == nil {
			out[key] = held.Holder
		}
	}
	return out, err
}

// postLogin opens a session with the token of a form, for the page that asks for it.
func (s *Service) postLogin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	query := url.Values{"code": {r.PostFormValue("token")}}
	again := r.Clone(r.Context())
	again.URL.RawQuery = query.Encode()
	s.o.Guard.Login(w, again)
}
