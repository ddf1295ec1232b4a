package auth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/infra/auth"
)

func ask(g *auth.Guard, change func(*http.Request)) int {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/x", nil)
	change(r)
	w := httptest.NewRecorder()
	g.Require(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })).ServeHTTP(w, r)
	return w.Code
}

func login(g *auth.Guard, code string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	g.Login(w, httptest.NewRequest(http.MethodGet, "/login?code="+code, nil))
	return w
}

func TestTokenAndSession(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	g := auth.New("secret", func() time.Time { return now })
	require.Equal(t, 401, ask(g, func(*http.Request) {}))
	require.Equal(t, 401, ask(g, func(r *http.Request) { r.Header.Set("Authorization", "Bearer wrong") }))
	require.Equal(t, 401, ask(g, func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }))
	require.Equal(t, 200, ask(g, func(r *http.Request) { r.Header.Set("Authorization", "Bearer secret") }))

	code := g.NewCode()
	first := login(g, code)
	require.Equal(t, http.StatusSeeOther, first.Code)
	require.Equal(t, 401, login(g, code).Code, "a link works once")
	cookie := first.Result().Cookies()[0]
	require.True(t, cookie.HttpOnly)
	require.Equal(t, 200, ask(g, func(r *http.Request) { r.AddCookie(cookie) }))
	require.Equal(t, 401, ask(g, func(r *http.Request) { r.AddCookie(cookie); r.Header.Set("Sec-Fetch-Site", "cross-site") }))
	require.Equal(t, 401, ask(auth.New("other", func() time.Time { return now }), func(r *http.Request) { r.AddCookie(cookie) }))
	now = now.Add(8 * 24 * time.Hour)
	require.Equal(t, 401, ask(g, func(r *http.Request) { r.AddCookie(cookie) }), "a session ends")
}

func TestOldLinkIsRefused(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	g := auth.New("secret", func() time.Time { return now })
	code := g.NewCode()
	now = now.Add(25 * time.Hour)
	require.Equal(t, 401, login(g, code).Code)
	require.Equal(t, 401, login(g, "").Code)
}
