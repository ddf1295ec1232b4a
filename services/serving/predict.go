package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

// maxFile is the largest file that is scored at once, in bytes.
const maxFile = 2 << 30

// formats of files, by their content types.
var formats = map[string]string{events.ContentParquet: lake.FormatParquet, events.ContentCSV: lake.FormatCSV, events.ContentNDJSON: lake.FormatNDJSON}

// predictFile answers POST /api/v1/models/{m}/predict: a file of rows by Content-Type, scored by the champion or ?version=. The
// answer, by Accept Parquet (the default), CSV or NDJSON, has the file's rows in their order with the file's columns and the
// predictions: probability (of the second of two classes) or probability_<class>, and predicted, the likeliest class; of a
// regression prediction. Columns that the dataset doesn't have go through as they are.
func (s *Service) predictFile(w http.ResponseWriter, r *http.Request) {
	dir, err := os.MkdirTemp(s.host.Blobs.Scratch(), "predict-")
	if err != nil {
		problem(w, fmt.Errorf("make room for the file: %w", err))
		return
	}
	defer os.RemoveAll(dir)
	path, contentType, err := s.scoreFile(w, r, dir)
	if err != nil {
		problem(w, err)
		return
	}
	f, err := os.Open(path)
	if err != nil {
		problem(w, fmt.Errorf("read the answer: %w", err))
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", contentType)
	if info, err := f.Stat(); err == nil {
		w.Header().Set("Content-Length", fmt.Sprint(info.Size()))
	}
	_ = os.RemoveAll(dir) // what is open can be read on, and an answer that was read has left nothing behind
	_, _ = io.Copy(w, f)  // a client that is gone needs no answer
}

// scoreFile leaves the answer in dir.
func (s *Service) scoreFile(w http.ResponseWriter, r *http.Request, dir string) (path, contentType string, err error) {
	format, ok := formats[mediaType(r.Header.Get("Content-Type"))]
	if !ok {
		return "", "", fail(http.StatusUnsupportedMediaType, "the Content-Type %q is not one of %s, %s and %s", r.Header.Get("Content-Type"),
			events.ContentParquet, events.ContentCSV, events.ContentNDJSON)
	}
	if contentType, err = accepted(r.Header.Get("Accept")); err != nil {
		return "", "", err
	}
	v, err := s.models.hold(r.Context(), chi.URLParam(r, "model"), r.URL.Query().Get("version"))
	if err != nil {
		return "", "", err
	}
	defer v.release()
	if v.raw == nil {
		return "", "", fail(http.StatusServiceUnavailable, "version %s of %s can't score rows at present, since its dataset can't be used: %v",
			v.ref.Version, v.ref.Model, v.rawError)
	}
	in := lake.File{Path: filepath.Join(dir, "in."+format), Name: "the file", Format: format}
	if err := receive(http.MaxBytesReader(w, r.Body, maxFile), in.Path); err != nil {
		return "", "", err
	}
	path = filepath.Join(dir, "out")
	return path, contentType, blame(r.Context(), s.scoreRows(r.Context(), v, in, path, formats[contentType]))
}

func (s *Service) scoreRows(ctx context.Context, v *version, in lake.File, path, format string) error {
	sheet, err := newSheet(ctx, s.host.Engine, v, in)
	if err != nil {
		return err
	}
	return sheet.score(ctx, s.host.Clock(), path, format)
}

// blame gives errors of the caller's file the status that says so.
func blame(ctx context.Context, err error) error {
	var with *httpError
	switch {
	case err == nil, errors.As(err, &with):
		return err
	case ctx.Err() != nil:
		return fail(http.StatusServiceUnavailable, "the request was given up")
	case errors.Is(err, lake.ErrBadFile):
		return fail(http.StatusUnprocessableEntity, "%v", err)
	}
	return err
}

// accepted picks the first content type of an Accept header that can be written.
func accepted(header string) (string, error) {
	if strings.TrimSpace(header) == "" {
		return events.ContentParquet, nil
	}
	for part := range strings.SplitSeq(header, ",") {
		switch kind := mediaType(part); {
		case formats[kind] != "":
			return kind, nil
		case kind == "*/*", kind == "application/*":
			return events.ContentParquet, nil
		}
	}
	return "", fail(http.StatusNotAcceptable, "Accept: %s is none of %s, %s and %s", header, events.ContentParquet, events.ContentCSV, events.ContentNDJSON)
}

func mediaType(header string) string {
	kind, _, _ := strings.Cut(header, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

func receive(body io.Reader, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("receive the file: %w", err)
	}
	_, err = io.Copy(f, body)
	err = errors.Join(err, f.Close())
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return fail(http.StatusRequestEntityTooLarge, "the file is larger than %d GiB; send it in parts", maxFile>>30)
	case err != nil:
		return fail(http.StatusBadRequest, "the file broke off: %v", err)
	}
	return nil
}

// problem answers an error of the API.
func problem(w http.ResponseWriter, err error) {
	p := api.Problem{Status: http.StatusInternalServerError, Detail: err.Error()}
	var known *httpError
	if errors.As(err, &known) {
		p.Status = known.status
	}
	p.Title = http.StatusText(p.Status)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
