package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/events/client"
	"github.com/tidemill/tidemill/services/api"
)

const (
	maxDocument  = 64 << 20 // bytes of a body that is read as a whole
	batchBytes   = 4 << 20  // bytes of rows in one atomic batch
	longestRow   = 1 << 20  // bytes, as in files
	rowHeadroom  = 16 << 10 // of a message, for subject and headers
	retrySeconds = 5
)

// contentTypes are the forms in which rows come.
var contentTypes = map[string]string{
	events.ContentNDJSON: lake.FormatNDJSON, "application/ndjson": lake.FormatNDJSON, "application/jsonl": lake.FormatNDJSON,
	"application/x-jsonlines": lake.FormatNDJSON,
	events.ContentCSV:         lake.FormatCSV, "text/tab-separated-values": lake.FormatCSV,
	events.ContentParquet: lake.FormatParquet, "application/x-parquet": lake.FormatParquet, "application/parquet": lake.FormatParquet,
}

const (
	formatJSON       = "json"
	formatEvent      = "event"
	formatEvents     = "events"
	contentTypesHint = "send " + events.ContentNDJSON + ", " + events.ContentCSV + " or " + events.ContentParquet
)

// formatOf tells the form of a body by its content type, or of an unspecific one by the file's name.
func formatOf(r *http.Request) (string, error) {
	header := r.Header.Get("Content-Type")
	t, _, err := mime.ParseMediaType(header)
	if err != nil && header != "" {
		return "", fail(http.StatusUnsupportedMediaType, contentTypesHint, "the content type %q is none", header)
	}
	switch t {
	case events.ContentJSON:
		return formatJSON, nil
	case events.ContentType:
		return formatEvent, nil
	case "application/cloudevents-batch+json":
		return formatEvents, nil
	case "", "application/octet-stream":
		if f, err := lake.FormatOf(r.URL.Query().Get("name")); err == nil {
			return f, nil
		}
	}
	if f, ok := contentTypes[t]; ok {
		return f, nil
	}
	return "", fail(http.StatusUnsupportedMediaType, contentTypesHint, "rows can't be read from the content type %q", header)
}

// postRows takes rows: lines and documents as messages, files by way of a file.
func (s *Service) postRows(w http.ResponseWriter, r *http.Request) error {
	d, err := s.find(resource.KindDataset, r.PathValue("dataset"))
	if err != nil {
		return err
	}
	format, err := formatOf(r)
	if err != nil {
		return err
	}
	out := api.Published{Dataset: d.Name()}
	switch format {
	case lake.FormatCSV, lake.FormatParquet:
		return s.takeFile(w, r, d, format, false)
	case lake.FormatNDJSON:
		err = s.lines(r.Context(), http.MaxBytesReader(w, r.Body, s.o.MaxBody), r.URL.Query().Get("id"), &out)
	default:
		err = s.document(r.Context(), http.MaxBytesReader(w, r.Body, maxDocument), format, r.URL.Query().Get("id"), &out)
	}
	if err != nil {
		return stored(err, out.Rows)
	}
	s.took(w, out)
	return nil
}

// took acknowledges rows that are on disk.
func (s *Service) took(w http.ResponseWriter, out api.Published) {
	s.metrics.rows.WithLabelValues(out.Dataset).Add(float64(out.Rows))
	reply(w, http.StatusOK, out)
}

// stored adds to an error how many rows were taken before it.
func stored(err error, rows int64) error {
	err = refusal(err)
	var p *problem
	if rows == 0 || !errors.As(err, &p) {
		return err
	}
	p.Detail += fmt.Sprintf("; the %d rows before are stored", rows)
	p.Hint = strings.TrimPrefix(p.Hint+"; with ?id= the whole body can be sent again within two minutes, and is stored once", "; ")
	return p
}

// refusal turns what can go wrong with a body into a problem; other errors stay as they are.
func refusal(err error) error {
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, client.ErrFull):
		return fail(http.StatusServiceUnavailable, "try again later", "%s", client.ErrFull).after(retrySeconds)
	case errors.As(err, &large):
		return fail(http.StatusRequestEntityTooLarge, "send it in parts", "the body is larger than %d bytes", large.Limit)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fail(http.StatusBadRequest, "send it again", "the body was cut off")
	case unreachable(err):
		return fail(http.StatusServiceUnavailable, "try again", "rows can't be stored now: the broker does not answer").after(retrySeconds)
	}
	return err
}

// lines publishes a body of one row a line, in atomic batches.
func (s *Service) lines(ctx context.Context, body io.Reader, id string, out *api.Published) error {
	most := s.longest()
	in := bufio.NewReaderSize(body, 64<<10)
	b := s.newBatcher(id, out)
	for number := 1; ; number++ {
		line, err := readLine(in, most)
		if err != nil && !errors.Is(err, io.EOF) {
			if errors.Is(err, errLong) {
				err = fail(http.StatusRequestEntityTooLarge, "rows are records, not documents: keep large values elsewhere", "line %d is longer than %d bytes", number, most)
			}
			return err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := b.add(ctx, line); err != nil {
				return err
			}
		}
		if err != nil {
			return b.flush(ctx)
		}
	}
}

// longest is the most bytes that a row may have.
func (s *Service) longest() int { return min(longestRow, int(s.host.NC.MaxPayload())-rowHeadroom) }

var errLong = errors.New("line too long")

// readLine reads a line of its own memory; io.EOF comes with the last one.
func readLine(in *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > most+2 {
			return nil, errLong
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// batcher gathers rows and publishes them.
type batcher struct {
	service *Service
	id      string
	n       int
	rows    [][]byte
	bytes   int
	out     *api.Published
}

func (s *Service) newBatcher(id string, out *api.Published) *batcher {
	return &batcher{service: s, id: id, out: out}
}

func (b *batcher) add(ctx context.Context, row []byte) error {
	b.rows, b.bytes = append(b.rows, row), b.bytes+len(row)
	if len(b.rows) < client.MaxBatch && b.bytes < batchBytes {
		return nil
	}
	return b.flush(ctx)
}

func (b *batcher) flush(ctx context.Context) error {
	if len(b.rows) == 0 {
		return nil
	}
	id := ""
	if b.id != "" {
		id = fmt.Sprintf("%s/%s/%d", b.out.Dataset, b.id, b.n)
	}
	seq, err := client.PublishBatch(ctx, b.service.host.JS, b.out.Dataset, b.rows, id)
	if err != nil {
		return err
	}
	b.out.Rows += int64(len(b.rows))
	b.out.Sequence = max(b.out.Sequence, seq)
	b.n, b.rows, b.bytes = b.n+1, nil, 0
	return nil
}

// document publishes a JSON row, a list of them, or CloudEvents that carry them. Nothing is published when one can't be read.
func (s *Service) document(ctx context.Context, body io.Reader, format, id string, out *api.Published) error {
	whole, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	rows, err := documents(whole, format)
	if err != nil {
		return err
	}
	b := s.newBatcher(id, out)
	for _, row := range rows {
		if most := s.longest(); len(row) > most {
			return fail(http.StatusRequestEntityTooLarge, "", "a row is longer than %d bytes", most)
		}
		if err := b.add(ctx, row); err != nil {
			return err
		}
	}
	return b.flush(ctx)
}

func documents(whole []byte, format string) ([][]byte, error) {
	var list []json.RawMessage
	if json.Unmarshal(whole, &list) != nil {
		list = []json.RawMessage{whole}
	}
	out := make([][]byte, len(list))
	for i, x := range list {
		if !json.Valid(x) {
			return nil, fail(http.StatusBadRequest, "send a JSON object or a list of them; for one row a line the content type is "+events.ContentNDJSON, "the body is not JSON")
		}
		out[i] = x
		if format == formatJSON {
			continue
		}
		_, row, isFile, err := events.DecodeRowsFile(x)
		if err != nil || isFile || len(row) == 0 {
			return nil, fail(http.StatusBadRequest, "send CloudEvents 1.0 in structured mode whose data is one row", "event %d can't be read as a row", i+1)
		}
		out[i] = row
	}
	return out, nil
}
