// Package auth guards HTTP: programs show a bearer token, browsers a session that a one-time link opened.
package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	cookieName = "tidemill-session"
	sessionAge = 7 * 24 * time.Hour
	codeAge    = 24 * time.Hour
)

// Guard checks requests. It is safe for concurrent use.
type Guard struct {
	token string
	clock func() time.Time

	mu    sync.Mutex
	codes map[string]time.Time // unused one-time codes and when they end
}

// New guards with one token, which must not be empty.
func New(token string, clock func() time.Time) *Guard {
	return &Guard{token: token, clock: clock, codes: map[string]time.Time{}}
}

// NewToken makes a random secret of 256 bits.
func NewToken() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails; it would end the program
	return base64.RawURLEncoding.EncodeToString(b)
}

// NewCode makes a code that opens one session: for the link that a person clicks.
func (g *Guard) NewCode() string {
	code := NewToken()
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock()
	for c, end := range g.codes {
		if now.After(end) {
			delete(g.codes, c)
		}
	}
	g.codes[code] = now.Add(codeAge)
	return code
}

// Login handles GET /login?code=…: it opens a session and goes on to the dashboard. A code works once.
func (g *Guard) Login(w http.ResponseWriter, r *http.Request) {
	code := r.URL.Query().Get("code")
	if !g.use(code) && !g.is(code) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte("This link has been used, or is too old. 'tidemill link' prints a new one.\n"))
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: g.session(), Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil, MaxAge: int(sessionAge.Seconds())})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (g *Guard) use(code string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	end, ok := g.codes[code]
	delete(g.codes, code)
	return ok && g.clock().Before(end)
}

// Require lets only requests with the token or a session pass. A session's request that changes something must come from the
// same origin.
func (g *Guard) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && g.is(bearer) {
			next.ServeHTTP(w, r)
			return
		}
		if c, err := r.Cookie(cookieName); err == nil && g.valid(c.Value) && sameOrigin(r) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": http.StatusUnauthorized, "title": "Unauthorized",
			"detail": "this needs the token of the platform",
			"hint":   "send 'Authorization: Bearer <token>' with the token of endpoint.json, or open the link that 'tidemill link' prints"})
	})
}

func sameOrigin(r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "" || site == "same-origin"
}

func (g *Guard) is(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(g.token)) == 1
}

// session is "<end as Unix seconds>.<HMAC of it by the token>": it needs no store and dies with the token.
func (g *Guard) session() string {
	end := strconv.FormatInt(g.clock().Add(sessionAge).Unix(), 10)
	return end + "." + g.sign(end)
}

func (g *Guard) sign(text string) string {
	mac := hmac.New(sha256.New, []byte(g.token))
	mac.Write([]byte("session " + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (g *Guard) valid(session string) bool {
	end, sum, _ := strings.Cut(session, ".")
	seconds, err := strconv.ParseInt(end, 10, 64)
	return err == nil && g.clock().Unix() < seconds && hmac.Equal([]byte(sum), []byte(g.sign(end)))
}
