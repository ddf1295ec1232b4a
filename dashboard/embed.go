// Package dashboard serves the ops dashboard that `make dashboard` builds into dist. Without a build it still compiles and
// serves a page that says how to make one.
package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// dist always exists, since dist/.gitkeep is committed: a fresh clone compiles without npm.
//
//go:embed all:dist
var dist embed.FS

// Policy is the Content-Security-Policy of the page: nothing inline, nothing from elsewhere.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

const notBuilt = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Tidemill</title></head>
<body><h1>Tidemill</h1><p>It is running, but this binary was built without the dashboard. Run <code>make dashboard</code>,
then <code>make build</code>, and start it again.</p><p>The command line shows the same: <code>tidemill get models</code>,
<code>tidemill watch</code>.</p></body></html>
`

// types are written down, since the system's own table differs from machine to machine.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".json": "application/json", ".png": "image/png", ".woff2": "font/woff2",
}

type file struct {
	body        []byte
	contentType string
	etag        string
	cache       string
}

// Built reports whether the dashboard is in this binary.
func Built() bool {
	_, err := fs.Stat(dist, "dist/index.html")
	return err == nil
}

// Handler serves the dashboard's files: "/" is the page. Files under /assets/ carry a hash in their names and may be kept for
// ever; everything else is asked for again, cheaply, by its ETag. Unknown paths are 404.
func Handler() http.Handler {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(fmt.Sprintf("dashboard: %v", err)) // "dist" is a constant that embed has checked
	}
	return handler(sub)
}

func handler(root fs.FS) http.Handler {
	files, err := load(root)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", Policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "the dashboard is only read", http.StatusMethodNotAllowed)
			return
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
		if name == "" {
			name = "index.html"
		}
		f, ok := files[name]
		if !ok {
			http.Error(w, "the dashboard has no page "+r.URL.Path+"; it lives at /", http.StatusNotFound)
			return
		}
		f.serve(w, r)
	})
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", f.cache)
	h.Set("ETag", f.etag)
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", fmt.Sprint(len(f.body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(f.body) // a reader that has gone is no error of ours
}

// load reads every file once. Without an index.html the page is the one that says how to build it.
func load(root fs.FS) (map[string]file, error) {
	files := map[string]file{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		body, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		files[name] = newFile(name, body)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the dashboard's files: %w", err)
	}
	if _, ok := files["index.html"]; !ok {
		files["index.html"] = newFile("index.html", []byte(notBuilt))
	}
	return files, nil
}

func newFile(name string, body []byte) file {
	sum := sha256.Sum256(body)
	f := file{body: body, etag: `"` + hex.EncodeToString(sum[:12]) + `"`, cache: "no-cache", contentType: types[path.Ext(name)]}
	if f.contentType == "" {
		f.contentType = "application/octet-stream"
	}
	if strings.HasPrefix(name, "assets/") {
		f.cache = "public, max-age=31536000, immutable"
	}
	return f
}
