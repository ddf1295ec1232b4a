package gateway_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/auth"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/schemas"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/gateway"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/internal/hosttest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

const token = "secret"

const declarations = `apiVersion: tidemill.dev/v1
kind: Dataset
metadata: {name: flights}
spec:
  columns:
    - {name: date, type: timestamp, eventTime: true}
    - {name: delay, type: float64, required: true, min: -120, max: 1440}
    - {name: distance, type: float64, min: 0}
    - {name: origin, type: string}
---
apiVersion: tidemill.dev/v1
kind: Model
metadata: {name: flight-delay}
spec:
  dataset: flights
  task: binaryClassification
  features: hour(date)::VARCHAR AS hour, distance, origin
  label: delay >= 15
  split: {by: time, validation: 3d, test: 7d}
  candidates:
    - {name: logistic, trainer: builtin/linear}
  evaluation:
    primary: logloss
    gates:
      - {metric: logloss, versus: champion, nonInferiority: 0.002}
  rollout: {strategy: direct}
---
apiVersion: tidemill.dev/v1
kind: RetrainingPolicy
metadata: {name: flight-delay}
spec:
  model: flight-delay
  initial: {rows: 40000}
  when: {newData: {fraction: 0.25}}
  window: {expanding: {}}
`

// place is a gateway over a world of its own.
type place struct {
	*hosttest.World
	t    *testing.T
	host *host.Host
	api  *call.Client
	url  string
	stop func()

	component lifecycle.Component
}

// open starts a gateway.
func open(t *testing.T, change ...func(*gateway.Options)) *place {
	t.Helper()
	w := hosttest.New(t)
	return openIn(t, w, change...)
}

func openIn(t *testing.T, w *hosttest.World, change ...func(*gateway.Options)) *place {
	t.Helper()
	return openOn(t, w, w.Host(t), change...)
}

func openOn(t *testing.T, w *hosttest.World, h *host.Host, change ...func(*gateway.Options)) *place {
	t.Helper()
	o := gateway.Options{Guard: auth.New(token, h.Clock), Version: "1.2.3", Started: time.Unix(100, 0).UTC(), Targets: []string{"gateway"}, NATSURL: "nats://x"}
	for _, f := range change {
		f(&o)
	}
	routes := chi.NewRouter()
	component, err := gateway.New(t.Context(), h, routes, o)
	require.NoError(t, err)
	stop := w.Run(t, component)
	// As the platform's server: requests end with it.
	base, cancel := context.WithCancel(context.Background())
	server := httptest.NewUnstartedServer(routes)
	server.Config.BaseContext = func(net.Listener) context.Context { return base }
	server.Start()
	t.Cleanup(func() { cancel(); server.Close() })
	return &place{World: w, t: t, host: h, api: call.New(server.URL, token), url: server.URL, stop: stop, component: component}
}

func (p *place) apply(yaml string) []api.Applied {
	p.t.Helper()
	out, err := p.tryApply(yaml, nil)
	require.NoError(p.t, err)
	return out
}

func (p *place) tryApply(yaml string, query url.Values) ([]api.Applied, error) {
	out, err := call.PostBody[api.List[api.Applied]](p.t.Context(), p.api, "/api/v1/resources", query, text("application/yaml", yaml))
	return out.Items, err
}

func text(contentType, body string) call.Body {
	return call.Body{Type: contentType, Reader: strings.NewReader(body), Length: int64(len(body))}
}

// get reads what must be there.
func get[T any](p *place, path string, query url.Values) T {
	p.t.Helper()
	out, err := call.Get[T](p.t.Context(), p.api, path, query)
	require.NoError(p.t, err, path)
	return out
}

// refused is the problem of a request that must fail.
func refused(t *testing.T, err error, status int, says ...string) *call.Error {
	t.Helper()
	var p *call.Error
	require.ErrorAs(t, err, &p)
	require.Equal(t, status, p.Status, p.Error())
	for _, s := range says {
		require.Contains(t, p.Error(), s)
	}
	return p
}

// example is the golden example of a fact type.
func example(t *testing.T, ty events.Type) events.Fact {
	t.Helper()
	b, err := schemas.Example(ty.Short())
	require.NoError(t, err)
	var f events.Fact
	require.NoError(t, json.Unmarshal(b, &f))
	return f
}

// payload is the golden payload of a fact type, changed.
func payload[T any](t *testing.T, ty events.Type, change func(*T)) T {
	t.Helper()
	p, err := events.PayloadOf[T](example(t, ty))
	require.NoError(t, err)
	if change != nil {
		change(&p)
	}
	return p
}

// say says a fact with a cause, and waits until the gateway has folded it.
func (p *place) say(cause events.Fact, ty events.Type, subject, cycle string, payload any) events.Fact {
	p.t.Helper()
	f, err := events.NewFact(events.DeriveID("test", nats.NewInbox()), ty, "test", subject, time.Now(), payload)
	require.NoError(p.t, err)
	f = f.Caused(cause).InCycle(cycle)
	f.Seq, err = p.Bus.Say(p.t.Context(), f)
	require.NoError(p.t, err)
	return f
}

// settle waits until the gateway has folded a fact: applying what is there already waits for nothing else.
func (p *place) settle(f events.Fact) {
	p.t.Helper()
	hosttest.Await(p.t, "the gateway has folded the fact", func() bool { return gateway.Applied(p.component) >= f.Seq })
}

func status(t *testing.T, method, url, bearer string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}
