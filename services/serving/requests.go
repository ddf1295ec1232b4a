package serving

import (
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/services/serving/oip"
)

// maxBody is the largest inference request, in bytes.
const maxBody = 16 << 20

// keepBody bounds the memory that a pooled request keeps, in bytes or values.
const keepBody = 256 << 10

// request is one inference with all its buffers. It is reused; when its prediction is logged, the log gives it back.
type request struct {
	body    []byte
	message oip.Request
	batch   model.Batch
	matrix  []float32

	raw    *rawColumns // set when the inputs are columns of the dataset
	bound  [][]rows.Value
	values []rows.Value

	// What the log needs beside the inputs.
	version *version // its memory alone: it may be closed by then
	id      string
	at      time.Time
	answers []float32

	out []byte
}

// requestPool keeps requests for reuse. The zero value is ready.
type requestPool struct{ pool sync.Pool }

func (p *requestPool) get() *request {
	if r, ok := p.pool.Get().(*request); ok {
		return r
	}
	return &request{body: make([]byte, 0, 1024), out: make([]byte, 0, 512)}
}

func (p *requestPool) put(r *request) {
	if cap(r.body) > keepBody || cap(r.values)*40 > keepBody || cap(r.matrix) > keepBody || r.batch.N*len(r.batch.Columns) > keepBody {
		return
	}
	r.raw, r.version, r.answers = nil, nil, nil
	p.pool.Put(r)
}

// read takes the whole body.
func (r *request) read(h *http.Request) error {
	if h.ContentLength > maxBody {
		return tooLarge()
	}
	b := r.body[:0]
	if n := h.ContentLength; n >= int64(cap(b)) {
		b = make([]byte, 0, n+1) // room for one more byte shows the end without growing
	}
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := h.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		r.body = b
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fail(http.StatusBadRequest, "the request ended early: %v", err)
		}
		if len(b) > maxBody {
			return tooLarge()
		}
	}
}

func tooLarge() error {
	return fail(http.StatusRequestEntityTooLarge, "the request is larger than %d MiB; send fewer rows at once, or a file to /api/v1/models/…/predict", maxBody>>20)
}
