package serving

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/features"
	lakerows "github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

const (
	maxFile   = 2 << 30
	farFuture = events.Duration(100 * 365 * 24 * time.Hour) // rows to predict may be of tomorrow
)

var formats = map[string]string{events.ContentParquet: lake.FormatParquet, events.ContentCSV: lake.FormatCSV, events.ContentNDJSON: lake.FormatNDJSON}

// predictFile scores a file of rows and answers with its columns and the predictions, row by row.
func (s *Service) predictFile(w http.ResponseWriter, r *http.Request) {
	path, contentType, err := s.scoreFile(w, r)
	if err != nil {
		problem(w, err)
		return
	}
	defer os.Remove(path)
	w.Header().Set("Content-Type", contentType)
	f, err := os.Open(path)
	if err != nil {
		problem(w, err)
		return
	}
	defer f.Close()
	_, _ = io.Copy(w, f) // a client that is gone needs no answer
}

func (s *Service) scoreFile(w http.ResponseWriter, r *http.Request) (path, contentType string, err error) {
	format, ok := formats[mediaType(r.Header.Get("Content-Type"))]
	if !ok {
		return "", "", fail(http.StatusUnsupportedMediaType, "the Content-Type %q is not one of %s, %s and %s", r.Header.Get("Content-Type"), events.ContentParquet, events.ContentCSV, events.ContentNDJSON)
	}
	contentType = mediaType(r.Header.Get("Accept"))
	if formats[contentType] == "" {
		contentType = events.ContentParquet
	}
	v, err := s.models.hold(r.Context(), chi.URLParam(r, "model"), r.URL.Query().Get("version"))
	if err != nil {
		return "", "", err
	}
	defer v.release()
	if v.raw == nil {
		return "", "", fail(http.StatusServiceUnavailable, "version %s takes features only: %v", v.ref.Version, v.rawError)
	}
	in, err := s.receive(http.MaxBytesReader(w, r.Body, maxFile), format)
	if err != nil {
		return "", "", err
	}
	defer os.Remove(in)
	t, err := s.readRows(r.Context(), v, lake.File{Path: in, Name: "the file", Format: format})
	if err != nil {
		return "", "", err
	}
	if err := t.score(r.Context(), v); err != nil {
		return "", "", err
	}
	out := in + ".out"
	if err := t.write(r.Context(), s.host.Engine, v, out, formats[contentType]); err != nil {
		return "", "", errors.Join(err, os.Remove(out))
	}
	return out, contentType, nil
}

func mediaType(header string) string {
	kind, _, _ := strings.Cut(header, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

func (s *Service) receive(body io.Reader, format string) (string, error) {
	if err := os.MkdirAll(s.host.Blobs.Scratch(), 0o700); err != nil {
		return "", fmt.Errorf("receive the file: %w", err)
	}
	f, err := os.CreateTemp(s.host.Blobs.Scratch(), "predict-*."+format)
	if err != nil {
		return "", fmt.Errorf("receive the file: %w", err)
	}
	_, err = io.Copy(f, body)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(fail(http.StatusBadRequest, "the file broke off: %v", err), os.Remove(f.Name()))
	}
	return filepath.Clean(f.Name()), nil
}

// table is a file in memory with its predictions.
type table struct {
	columns []resource.Column
	values  [][]lakerows.Value // by row
	bound   [][]lakerows.Value // by row: the columns that the features use
	answers []float32
	width   int
}

// readRows reads the file by the dataset's types. Rows to predict need no label and no allowed range, but what is there must have
// its type.
func (s *Service) readRows(ctx context.Context, v *version, file lake.File) (*table, error) {
	spec := *v.raw.spec
	spec.Rules, spec.Clock.MaxFuture = nil, farFuture
	spec.Columns = append([]resource.Column(nil), spec.Columns...)
	for i := range spec.Columns {
		c := &spec.Columns[i]
		c.Required, c.Min, c.Max, c.Values = c.EventTime, nil, nil, nil
	}
	checker, err := lakerows.Compile(&spec)
	if err != nil {
		return nil, err
	}
	reader, err := lake.OpenFile(ctx, s.host.Engine, file, checker, 0)
	if errors.Is(err, lake.ErrBadFile) {
		return nil, fail(http.StatusUnprocessableEntity, "%v", err)
	}
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	t := &table{columns: spec.Columns}
	row := checker.NewRow()
	for {
		refused, err := reader.Next(ctx, s.host.Clock(), row)
		switch {
		case errors.Is(err, io.EOF):
			if len(t.values) == 0 {
				return nil, fail(http.StatusUnprocessableEntity, "the file has no rows")
			}
			return t, nil
		case errors.Is(err, lake.ErrBadFile):
			return nil, fail(http.StatusUnprocessableEntity, "%v", err)
		case err != nil:
			return nil, err
		case refused != nil:
			return nil, fail(http.StatusUnprocessableEntity, "row %d can't be scored: %s", refused.Offset+1, refused.Refusal.Detail)
		}
		values := append([]lakerows.Value(nil), row.Values...)
		for i := range values {
			values[i].S = strings.Clone(values[i].S)
		}
		bound := make([]lakerows.Value, len(v.raw.types))
		for name, place := range v.raw.place {
			i, _ := checker.Index(name)
			bound[place] = values[i]
		}
		t.values, t.bound = append(t.values, values), append(t.bound, bound)
	}
}

func (t *table) score(ctx context.Context, v *version) error {
	m, err := v.raw.online.Compute(ctx, t.bound)
	if errors.Is(err, features.ErrData) {
		return fail(http.StatusUnprocessableEntity, "%v", err)
	}
	if err != nil {
		return err
	}
	if t.answers, err = v.scorer.Score(ctx, toBatch(m)); err != nil {
		return fail(http.StatusUnprocessableEntity, "%v", err)
	}
	t.width = len(t.answers) / len(t.values)
	return nil
}

// write writes the columns of the file and the predictions: for two classes the probability of the second, for more one
// probability each, and the likeliest class; for a regression the prediction.
func (t *table) write(ctx context.Context, e *lake.Engine, v *version, path, format string) error {
	var columns []string
	for _, c := range t.columns {
		columns = append(columns, lake.Ident(c.Name)+" "+lake.SQLType(c.Type))
	}
	classes := v.manifest.Classes
	switch {
	case len(classes) == 0:
		columns = append(columns, "prediction DOUBLE")
	case len(classes) == 2:
		columns = append(columns, "probability DOUBLE", "predicted VARCHAR")
	default:
		for _, class := range classes {
			columns = append(columns, lake.Ident("probability_"+class)+" DOUBLE")
		}
		columns = append(columns, "predicted VARCHAR")
	}
	return lake.WriteTable(ctx, e, columns, len(t.values), func(i int, dst []driver.Value) {
		for k, c := range t.columns {
			dst[k] = t.values[i][k].Any(c.Type)
		}
		rest, row := dst[len(t.columns):], t.answers[i*t.width:(i+1)*t.width]
		switch {
		case len(classes) == 0:
			rest[0] = double(row[0])
		case len(classes) == 2:
			rest[0], rest[1] = double(row[1]), classes[likeliest(row)]
		default:
			for k, p := range row {
				rest[k] = double(p)
			}
			rest[len(row)] = classes[likeliest(row)]
		}
	}, path, format)
}

// double keeps a float32's own digits.
func double(x float32) float64 { return math.Round(float64(x)*1e8) / 1e8 }

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
