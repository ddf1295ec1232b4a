// Package call is the HTTP client of /api/v1 that the command line and the demo use. It finds a running Tidemill as people
// expect, and turns problem documents into errors that say what to do.
package call

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tidemill/tidemill/events/client"
	"github.com/tidemill/tidemill/services/api"
)

// Client calls one Tidemill. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New calls the Tidemill at base ("http://127.0.0.1:8080") with the token.
func New(base, token string) *Client {
	return &Client{base: strings.TrimRight(base, "/"), token: token, http: &http.Client{}}
}

// Find calls the Tidemill named by url and token (flags; empty when not given), then by TIDEMILL_URL and TIDEMILL_TOKEN, then by
// the nearest endpoint.json.
func Find(base, token string) (*Client, error) {
	if base == "" {
		base = os.Getenv("TIDEMILL_URL")
	}
	if token == "" {
		token = os.Getenv("TIDEMILL_TOKEN")
	}
	if base != "" {
		return New(base, token), nil
	}
	e, err := client.FindEndpoint()
	if err != nil {
		if errors.Is(err, client.ErrNotFound) {
			err = errors.New("no running Tidemill found: start one with 'tidemill up', or name it with --url and --token (TIDEMILL_URL, TIDEMILL_TOKEN)")
		}
		return nil, err
	}
	if token == "" {
		token = e.Token
	}
	return New(e.HTTP, token), nil
}

// Base is the URL that is called.
func (c *Client) Base() string { return c.base }

// Error is a refusal of the API.
type Error struct{ api.Problem }

// Error is the problem's detail with every single error and the hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Detail)
	if e.Detail == "" {
		fmt.Fprintf(&b, "%d %s", e.Status, http.StatusText(e.Status))
	}
	for _, d := range e.Errors {
		b.WriteString("\n  ")
		if d.Location != "" {
			b.WriteString(d.Location + ": ")
		}
		b.WriteString(d.Message)
		if d.Hint != "" {
			b.WriteString(" (" + d.Hint + ")")
		}
	}
	if e.Hint != "" {
		b.WriteString("\n" + e.Hint)
	}
	return b.String()
}

// Body is what a request carries.
type Body struct {
	Type   string // content type
	Reader io.Reader
	Length int64 // -1 when unknown
}

// Do sends a request and returns the response, whose body the caller closes. An answer of 400 or more is an *Error.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, body *Body, accept string) (*http.Response, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var reader io.Reader
	if body != nil {
		reader = body.Reader
	}
	req, err := http.NewRequestWithContext(ctx, method, target, reader)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", body.Type)
		if body.Length > 0 {
			req.ContentLength = body.Length
		}
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode >= 400 {
		defer resp.Body.Close()
		return nil, problem(resp)
	}
	return resp, nil
}

func (c *Client) unreachable(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return fmt.Errorf("nothing answers at %s: is 'tidemill up' running? (%w)", c.base, op.Err)
	}
	return err
}

func problem(resp *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	e := &Error{}
	if json.Unmarshal(b, &e.Problem) != nil || e.Detail == "" {
		e.Detail = strings.TrimSpace(string(b))
	}
	e.Status = resp.StatusCode
	return e
}

// Get reads a T.
func Get[T any](ctx context.Context, c *Client, path string, query url.Values) (T, error) {
	return send[T](ctx, c, http.MethodGet, path, query, nil)
}

// Post sends in as JSON (nothing when nil) and reads a T.
func Post[T any](ctx context.Context, c *Client, path string, query url.Values, in any) (T, error) {
	var body *Body
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			var zero T
			return zero, err
		}
		body = &Body{Type: "application/json", Reader: bytes.NewReader(b), Length: int64(len(b))}
	}
	return send[T](ctx, c, http.MethodPost, path, query, body)
}

// PostBody sends a body of another type and reads a T.
func PostBody[T any](ctx context.Context, c *Client, path string, query url.Values, body Body) (T, error) {
	return send[T](ctx, c, http.MethodPost, path, query, &body)
}

// Delete deletes, and reads a T.
func Delete[T any](ctx context.Context, c *Client, path string) (T, error) {
	return send[T](ctx, c, http.MethodDelete, path, nil, nil)
}

func send[T any](ctx context.Context, c *Client, method, path string, query url.Values, body *Body) (T, error) {
	var out T
	resp, err := c.Do(ctx, method, path, query, body, "application/json")
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return out, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("answer to %s %s: %w", method, path, err)
	}
	return out, nil
}

// WaitReady waits until Tidemill says that it is ready, or ctx ends.
func (c *Client) WaitReady(ctx context.Context) error {
	for {
		resp, err := c.Do(ctx, http.MethodGet, "/readyz", nil, nil, "")
		if err == nil {
			resp.Body.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
