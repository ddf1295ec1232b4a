package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/events/client"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/internal/catalog"
)

// upload is a body at rest in a scratch file.
type upload struct {
	path   string
	sha256 string
	rows   int64 // -1 when that is not known
}

// postFile takes a file as one batch.
func (s *Service) postFile(w http.ResponseWriter, r *http.Request) error {
	d, err := s.find(resource.KindDataset, r.PathValue("dataset"))
	if err != nil {
		return err
	}
	format, err := formatOf(r)
	if err != nil {
		return err
	}
	switch format {
	case formatJSON, formatEvent, formatEvents:
		return fail(http.StatusUnsupportedMediaType, contentTypesHint, "a file of rows can't be %s", r.Header.Get("Content-Type"))
	}
	return s.takeFile(w, r, d, format, true)
}

// takeFile checks a body, stores it and gives it its place among the rows. Of a file with an identity the same bytes are the same
// batch; rows that come as a file have one only by ?id=.
func (s *Service) takeFile(w http.ResponseWriter, r *http.Request, d catalog.Resource, format string, identity bool) error {
	ctx, q := r.Context(), r.URL.Query()
	name := q.Get("name")
	if name == "" {
		name = "rows." + format
	}
	up, err := s.receive(http.MaxBytesReader(w, r.Body, s.o.MaxBody), format)
	if err != nil {
		return refusal(err)
	}
	defer os.Remove(up.path) // gone already when it was adopted
	if err := s.inspect(ctx, d, &up, name, format); err != nil {
		return err
	}
	id := q.Get("id")
	batch := events.DeriveID("batch", d.Name(), up.sha256, id)
	known, isKnown := s.projection.Batch(d.Name(), batch)
	switch {
	case q.Get("again") == "true", id == "" && !identity, isKnown && known.Error != "":
		batch = events.DeriveID("batch", d.Name(), up.sha256, uuid.NewString())
	case isKnown:
		reply(w, http.StatusOK, api.Published{Dataset: d.Name(), Rows: max(up.rows, 0), Batch: batch})
		return nil
	}
	blob, err := s.host.Blobs.Adopt(ctx, "files", "."+format, up.path)
	if err != nil {
		return err
	}
	seq, err := s.announce(ctx, d.Name(), events.RowsFile{Batch: batch, Name: filepath.Base(name), Format: format, File: blob, Rows: up.rows})
	if err != nil {
		return refusal(err)
	}
	s.took(w, api.Published{Dataset: d.Name(), Rows: max(up.rows, 0), Batch: batch, Sequence: seq})
	return nil
}

// receive writes a body to a scratch file, digests it and counts the rows of text.
func (s *Service) receive(body io.Reader, format string) (upload, error) {
	f, err := os.CreateTemp(s.host.Blobs.Scratch(), "upload-")
	if err != nil {
		return upload{}, err
	}
	h, c := sha256.New(), &counter{csv: format == lake.FormatCSV}
	out := io.MultiWriter(f, h)
	if format != lake.FormatParquet {
		out = io.MultiWriter(f, h, c)
	}
	_, err = io.Copy(out, body)
	if err = errors.Join(err, f.Close()); err != nil {
		return upload{}, errors.Join(err, os.Remove(f.Name()))
	}
	return upload{path: f.Name(), sha256: hex.EncodeToString(h.Sum(nil)), rows: c.rows()}, nil
}

// inspect refuses a file that can't become rows of the dataset.
func (s *Service) inspect(ctx context.Context, d catalog.Resource, up *upload, name, format string) error {
	checker, err := rows.Compile(d.Dataset)
	if err != nil {
		return err
	}
	info, err := lake.Inspect(ctx, s.host.Engine, lake.File{Path: up.path, Name: filepath.Base(name), Format: format}, checker)
	switch {
	case errors.Is(err, lake.ErrBadFile):
		return fail(http.StatusUnprocessableEntity, "nothing was stored; mend the file and send it again", "%s", err)
	case err != nil:
		return err
	}
	if format == lake.FormatParquet {
		up.rows = info.Rows
	}
	if up.rows == 0 {
		return fail(http.StatusUnprocessableEntity, "", "%s holds no rows", filepath.Base(name))
	}
	return nil
}

// announced is what is remembered of a file that took its place, until ingestion tells more.
type announced struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
}

func announcedKey(dataset, batch string) string { return "batches/" + dataset + "/" + batch + ".json" }

// announce gives a stored file its place among the rows. Ingestion takes a batch once, however often it is announced.
func (s *Service) announce(ctx context.Context, dataset string, f events.RowsFile) (uint64, error) {
	note, err := json.Marshal(announced{Name: f.Name, Rows: f.Rows})
	if err != nil {
		return 0, err
	}
	if _, err := s.host.Blobs.PutBytes(ctx, announcedKey(dataset, f.Batch), note); err != nil {
		return 0, err
	}
	s.host.Crash(CrashStored)
	body, err := events.EncodeRowsFile(dataset, s.host.Clock(), f)
	if err != nil {
		return 0, err
	}
	msg := &nats.Msg{Subject: events.RowsSubject(dataset), Data: body, Header: nats.Header{}}
	msg.Header.Set(events.HeaderContent, events.ContentType)
	ack, err := s.host.JS.PublishMsg(ctx, msg, jetstream.WithMsgID(f.Batch))
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == storeLimit {
		err = client.ErrFull
	}
	if err != nil {
		return 0, fmt.Errorf("give %s its place among the rows: %w", f.Name, err)
	}
	return ack.Sequence, nil
}

// storeLimit is the broker's code for a stream that is full and refuses what is new.
const storeLimit jetstream.ErrorCode = 10077

// batch tells how far a file is.
func (s *Service) batch(ctx context.Context, dataset, id string) (api.Batch, error) {
	b, known := s.projection.Batch(dataset, id)
	if known && b.Done {
		return b, nil
	}
	missing := fail(http.StatusNotFound, "publishing a file answers with its batch", "the dataset %s has no batch %q", dataset, id)
	if _, err := uuid.Parse(id); err != nil && !known {
		return b, missing
	}
	var note announced
	raw, err := s.host.Blobs.Get(ctx, announcedKey(dataset, id))
	if err == nil {
		err = json.Unmarshal(raw, &note)
	}
	switch {
	case err == nil:
		b.Batch, b.Rows = id, max(note.Rows, 0)
		return b, nil
	case known: // one that another way than this API brought
		return b, nil
	case errors.Is(err, lake.ErrNotFound):
		return b, missing
	}
	return b, err
}

// counter counts the records of text that passes: lines that are not blank, less the header of CSV, whose quoted fields may span lines.
type counter struct {
	csv              bool
	n                int64
	inQuotes, filled bool
}

func (c *counter) Write(p []byte) (int, error) {
	if !c.csv {
		return c.lines(p)
	}
	for _, ch := range p {
		switch {
		case ch == '"':
			c.inQuotes, c.filled = !c.inQuotes, true
		case ch == '\n' && !c.inQuotes:
			c.end()
		case ch != ' ' && ch != '\r' && ch != '\t':
			c.filled = true
		}
	}
	return len(p), nil
}

func (c *counter) lines(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte{'\n'})
		c.filled = c.filled || len(bytes.TrimSpace(line)) > 0
		if whole {
			c.end()
		}
		rest = after
	}
	return len(p), nil
}

func (c *counter) end() {
	if c.filled {
		c.n++
	}
	c.filled = false
}

// rows is the number of records; -1 when quotes are not closed, so that nobody can tell.
func (c *counter) rows() int64 {
	if c.inQuotes {
		return -1
	}
	c.end()
	if c.csv {
		return max(c.n-1, 0)
	}
	return c.n
}
