package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/services/api"
)

// problem is an error of a request as it is answered: an RFC 9457 document. It is huma's own kind of error too.
type problem struct {
	api.Problem
	headers http.Header
}

var (
	_ huma.StatusError       = (*problem)(nil)
	_ huma.ContentTypeFilter = (*problem)(nil)
	_ huma.HeadersError      = (*problem)(nil)
)

// fail makes a problem. hint says what to do; it may be empty.
func fail(status int, hint, format string, args ...any) *problem {
	return &problem{Problem: api.Problem{Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...), Hint: hint}}
}

func (p *problem) Error() string             { return p.Detail }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) ContentType(string) string { return "application/problem+json" }
func (p *problem) GetHeaders() http.Header   { return p.headers }
func (p *problem) after(seconds int) *problem {
	p.headers = http.Header{"Retry-After": {fmt.Sprint(seconds)}}
	return p
}

// asProblem turns any error into what is answered. What is nobody's mistake is logged, and told without its insides.
func (s *Service) asProblem(method, path string, err error) *problem {
	var p *problem
	var found resource.Errors
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &found):
		return wrong(found)
	case errors.Is(err, context.Canceled):
		return fail(http.StatusServiceUnavailable, "", "the request was given up")
	}
	if unreachable(err) {
		s.log.Warn("the broker does not answer", zap.String("path", path), zap.Error(err))
		return fail(http.StatusServiceUnavailable, "try again", "the broker does not answer").after(retrySeconds)
	}
	s.log.Error("a request failed", zap.String("method", method), zap.String("path", path), zap.Error(err))
	return fail(http.StatusInternalServerError, "try again; the platform's log says more", "%s", err)
}

// wrong is the problem of resources that are not as they should be.
func wrong(found resource.Errors) *problem {
	p := fail(http.StatusUnprocessableEntity, "", "the resources were not applied: %s", plural(len(found), "one thing is wrong", "%d things are wrong"))
	for _, e := range found {
		p.Errors = append(p.Errors, api.ErrorDetail{Message: e.Message, Location: e.Where(), Hint: e.Hint})
	}
	return p
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf(many, n)
}

// write answers a request with a problem.
func (s *Service) write(w http.ResponseWriter, r *http.Request, err error) {
	p := s.asProblem(r.Method, r.URL.Path, err)
	for name, values := range p.headers {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p.Problem) // who asked may be gone
}

// unknown is the problem of a name that nothing has.
func unknown(what, name string, known []string) *problem {
	return fail(http.StatusNotFound, nearest(name, known, what), "there is no %s %q", what, name)
}

// nearest suggests what was probably meant, or lists what there is.
func nearest(name string, known []string, what string) string {
	if s := resource.Suggest(name, known); s != "" {
		return s
	}
	const most = 20
	switch n := len(known); {
	case n == 0:
		return fmt.Sprintf("there is no %s at all yet", what)
	case n > most:
		known = known[:most]
	}
	known = slices.Clone(known)
	slices.Sort(known)
	return "there are: " + strings.Join(known, ", ")
}

// unreachable tells whether err says that the broker is away.
func unreachable(err error) bool {
	return errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrConnectionClosed) ||
		errors.Is(err, nats.ErrNoStreamResponse) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, context.DeadlineExceeded)
}
