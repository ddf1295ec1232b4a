package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/gateway"
	"github.com/tidemill/tidemill/services/internal/hosttest"
)

func TestApplyingTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	p := open(t)
	dry, err := p.tryApply(declarations, url.Values{"dryRun": {"true"}})
	require.NoError(t, err)
	require.Len(t, dry, 3)
	require.Equal(t, "created", dry[0].Action)
	require.Empty(t, get[api.List[api.Resource]](p, "/api/v1/resources/datasets", nil).Items, "a dry run applied something")

	// The order of the documents doesn't matter.
	documents := strings.Split(declarations, "---\n")
	first := p.apply(strings.Join([]string{documents[2], documents[1], documents[0]}, "---\n"))
	require.Equal(t, []string{"Dataset", "Model", "RetrainingPolicy"}, []string{first[0].Kind, first[1].Kind, first[2].Kind})
	for _, a := range first {
		require.Equal(t, "created", a.Action)
		require.EqualValues(t, 1, a.Revision)
		require.NotZero(t, a.Seq)
	}
	for _, a := range p.apply(declarations) {
		require.Equal(t, "unchanged", a.Action)
		require.Zero(t, a.Seq)
	}
	require.Len(t, p.Said(t, events.ResourceAppliedType, "flights"), 1)

	changed := p.apply(strings.Replace(declarations, "fraction: 0.25", "fraction: 0.5", 1))
	require.Equal(t, "configured", changed[2].Action)
	require.EqualValues(t, 2, changed[2].Revision)
	require.Equal(t, "spec.when.newData.fraction", changed[2].Changes[0].Path)

	r := get[api.Resource](p, "/api/v1/resources/policies/flight-delay", nil)
	require.EqualValues(t, 2, r.Revision)
	require.False(t, r.At.IsZero())
	require.Contains(t, string(r.Document), `"fraction":0.5`)
	m := get[api.Model](p, "/api/v1/models/flight-delay", nil)
	require.Equal(t, "flights", m.Dataset)
	require.Equal(t, "logloss", m.Primary)
	require.Equal(t, "flight-delay", m.Policy)
}

// TestWrongDeclarationsSayWhere applies files with one mistake each; nothing of them may be applied.
func TestWrongDeclarationsSayWhere(t *testing.T) {
	t.Parallel()
	p := open(t)
	cases := []struct {
		name, old, with string
		says            []string
	}{
		{"typo", "min: -120", "mim: -120", []string{"f.yaml:7:", `"mim"`, "min"}},
		{"no YAML", "kind: Dataset", "kind: [Dataset", []string{"f.yaml:"}},
		{"unknown dataset", "dataset: flights", "dataset: flight", []string{"f.yaml:15:", `did you mean "flights"?`}},
		{"unknown column", "distance, origin\n", "distance, origen\n", []string{"f.yaml:17:", "origen"}},
		{"now", "distance, origin\n", "distance, now() AS now\n", []string{"f.yaml:17:", "now"}},
		{"reads a file", "distance, origin\n", "(SELECT count(*) FROM read_csv('/etc/passwd')) AS n\n", []string{"f.yaml:17:"}},
		{"label in features", "distance, origin\n", "delay\n", []string{"f.yaml:17:", "delay"}},
		{"weight", "  label: delay >= 15\n", "  label: delay >= 15\n  weight: speed * 2\n", []string{"f.yaml:19:", "weight near", "no column \"speed\""}},
		{"label", "label: delay >= 15", "label: delay + 15", []string{"f.yaml:18:", "boolean"}},
	}
	for _, c := range cases {
		require.Contains(t, declarations, c.old, c.name)
		_, err := p.tryApply(strings.Replace(declarations, c.old, c.with, 1), url.Values{"file": {"f.yaml"}})
		refused(t, err, http.StatusUnprocessableEntity, c.says...)
	}
	_, err := p.tryApply(" \n", nil)
	refused(t, err, http.StatusBadRequest, "empty")
	require.Empty(t, p.Said(t, events.ResourceAppliedType, "*"))
}

func TestADatasetMustNotBreakItsModels(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	dataset := strings.Split(declarations, "---\n")[0]
	_, err := p.tryApply(strings.Replace(dataset, "name: origin", "name: airport", 1), nil)
	refused(t, err, http.StatusUnprocessableEntity, "flight-delay would no longer work", "origin")
	p.apply(strings.Replace(dataset, "    - {name: origin", "    - {name: carrier, type: string}\n    - {name: origin", 1))
}

func TestDocumentsMayBeJSON(t *testing.T) {
	t.Parallel()
	p := open(t)
	const dataset = `{"apiVersion":"tidemill.dev/v1","kind":"Dataset","metadata":{"name":"a"},"spec":{"columns":[{"name":"at","type":"timestamp","eventTime":true}]}}`
	apply := func(body string) ([]api.Applied, error) {
		out, err := call.PostBody[api.List[api.Applied]](t.Context(), p.api, "/api/v1/resources", nil, text("application/json", body))
		return out.Items, err
	}
	out, err := apply(dataset)
	require.NoError(t, err)
	require.Equal(t, "created", out[0].Action)
	out, err = apply("[" + dataset + "," + strings.Replace(dataset, `"a"`, `"b"`, 1) + "]")
	require.NoError(t, err)
	require.Equal(t, []string{"unchanged", "created"}, []string{out[0].Action, out[1].Action})
	_, err = apply("[" + dataset + "," + strings.Replace(dataset, `"timestamp"`, `"time"`, 1) + "]")
	refused(t, err, http.StatusUnprocessableEntity, "[1].spec.columns[0].type")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	remove := func(path string) (api.Applied, error) {
		return call.Delete[api.Applied](t.Context(), p.api, "/api/v1/resources/"+path)
	}
	_, err := remove("datasets/flights")
	refused(t, err, http.StatusConflict, "Model flight-delay uses it", "delete")
	_, err = remove("datasets/flight")
	refused(t, err, http.StatusNotFound, `did you mean "flights"?`)
	_, err = remove("widgets/flights")
	refused(t, err, http.StatusNotFound, "datasets, models, policies")
	for _, path := range []string{"policies/flight-delay", "models/flight-delay", "datasets/flights"} {
		out, err := remove(path)
		require.NoError(t, err)
		require.Equal(t, "deleted", out.Action)
		_, err = call.Get[api.Resource](t.Context(), p.api, "/api/v1/resources/"+path, nil)
		refused(t, err, http.StatusNotFound)
	}
	_, err = call.Get[api.Model](t.Context(), p.api, "/api/v1/models/flight-delay", nil)
	refused(t, err, http.StatusNotFound)
	again := p.apply(declarations)
	require.Equal(t, "created", again[0].Action)
	require.EqualValues(t, 3, again[0].Revision, "a revision is used once")
}

// TestACrashBetweenDecisionAndFactIsMended loses the fact of a resource; the next gateway says it.
func TestACrashBetweenDecisionAndFactIsMended(t *testing.T) {
	t.Parallel()
	w := hosttest.New(t)
	h := w.Host(t)
	var crashed atomic.Bool
	h.Crash = func(point string) {
		if point == "state.resources.decided" && crashed.CompareAndSwap(false, true) {
			panic(http.ErrAbortHandler)
		}
	}
	p := openOn(t, w, h)
	_, err := p.tryApply(declarations, nil)
	require.Error(t, err)
	require.True(t, crashed.Load())
	require.Empty(t, w.Said(t, events.ResourceAppliedType, "flights"))
	openIn(t, w)
	hosttest.Await(t, "the fact is said", func() bool { return len(w.Said(t, events.ResourceAppliedType, "flights")) == 1 })
}

func TestEverythingIsGuardedAndDescribed(t *testing.T) {
	t.Parallel()
	dashboard := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("dashboard")) })
	p := open(t, func(o *gateway.Options) { o.Dashboard = dashboard })
	resp, err := http.Get(p.url + "/openapi.json")
	require.NoError(t, err)
	defer resp.Body.Close()
	var spec struct {
		OpenAPI    string                                `json:"openapi"`
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		} `json:"components"`
	}
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &spec))
	require.Equal(t, "3.1.0", spec.OpenAPI)
	require.Greater(t, len(spec.Paths), 30)
	for _, ref := range regexp.MustCompile(`"\$ref":"#/components/schemas/([^"]+)"`).FindAllSubmatch(raw, -1) {
		require.Contains(t, spec.Components.Schemas, string(ref[1]))
	}
	for path, operations := range spec.Paths {
		for method := range operations {
			require.Equal(t, http.StatusUnauthorized, status(t, strings.ToUpper(method), p.url+path, ""), "%s %s", method, path)
			require.Equal(t, http.StatusUnauthorized, status(t, strings.ToUpper(method), p.url+path, "wrong"), "%s %s", method, path)
		}
	}
	require.Equal(t, http.StatusOK, status(t, http.MethodGet, p.url+"/", ""))
	require.Equal(t, http.StatusNotFound, status(t, http.MethodGet, p.url+"/api/v1/nothing", token))
	_, err = call.Get[api.Status](t.Context(), p.api, "/api/v1/nothing", nil)
	refused(t, err, http.StatusNotFound, "/openapi.json")
}

func TestLogin(t *testing.T) {
	t.Parallel()
	p := open(t)
	link, err := call.Post[api.LoginLink](t.Context(), p.api, "/api/v1/login-codes", nil, nil)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(link.URL, p.url+"/login?code="), link.URL)
	enter := func(resp *http.Response, err error) []*http.Cookie {
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.Cookies()
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	cookies := enter(client.Get(link.URL))
	require.Len(t, cookies, 1)
	require.Empty(t, enter(client.Get(link.URL)), "a link works once")
	require.Len(t, enter(client.PostForm(p.url+"/login", url.Values{"token": {token}})), 1)
	require.Empty(t, enter(client.PostForm(p.url+"/login", url.Values{"token": {"wrong"}})))

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/api/v1/status", nil)
	require.NoError(t, err)
	req.AddCookie(cookies[0])
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	var s api.Status
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&s))
	require.Equal(t, "1.2.3", s.Version)
	require.Equal(t, []string{"gateway"}, s.Targets)
}
