package dashboard

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func get(t *testing.T, h http.Handler, method, path, etag string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandlerServesTheBuild(t *testing.T) {
	t.Parallel()
	h := handler(fstest.MapFS{
		".gitkeep":            {},
		"index.html":          {Data: []byte("<html>page</html>")},
		"assets/index-1a2.js": {Data: []byte("let x")},
	})
	page := get(t, h, http.MethodGet, "/", "")
	require.Equal(t, http.StatusOK, page.Code)
	require.Equal(t, "<html>page</html>", page.Body.String())
	require.Equal(t, "text/html; charset=utf-8", page.Header().Get("Content-Type"))
	require.Equal(t, "no-cache", page.Header().Get("Cache-Control"))
	require.Equal(t, Policy, page.Header().Get("Content-Security-Policy"))
	require.NotContains(t, Policy, "unsafe")

	again := get(t, h, http.MethodGet, "/", page.Header().Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.Code)
	require.Empty(t, again.Body.String())

	js := get(t, h, http.MethodGet, "/assets/index-1a2.js", "")
	require.Equal(t, "text/javascript; charset=utf-8", js.Header().Get("Content-Type"))
	require.Contains(t, js.Header().Get("Cache-Control"), "immutable")

	head := get(t, h, http.MethodHead, "/assets/index-1a2.js", "")
	require.Equal(t, "5", head.Header().Get("Content-Length"))
	require.Empty(t, head.Body.String())

	for _, p := range []string{"/nothing", "/.gitkeep", "/assets/", "/../embed.go"} {
		require.Equal(t, http.StatusNotFound, get(t, h, http.MethodGet, p, "").Code, p)
	}
	require.Equal(t, http.StatusMethodNotAllowed, get(t, h, http.MethodPost, "/", "").Code)
}

func TestHandlerSaysHowToBuild(t *testing.T) {
	t.Parallel()
	w := get(t, handler(fstest.MapFS{".gitkeep": {}}), http.MethodGet, "/", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "make dashboard")
}

func TestEmbeddedHandlerAnswers(t *testing.T) {
	t.Parallel()
	w := get(t, Handler(), http.MethodGet, "/", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, Built(), w.Header().Get("ETag") != newFile("index.html", []byte(notBuilt)).etag)
}
