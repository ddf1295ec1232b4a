package lake

import (
	"context"
	"database/sql/driver"
	"fmt"
	"maps"
	"strings"

	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/events"
)

// Refused is a row that the contract refused, with its place among the rows of its dataset.
type Refused struct {
	Raw      string // the row as JSON (of file rows too, so that a release is an ordinary row), or the bytes that were none
	Refusal  rows.Refusal
	Sequence uint64 // in ROWS
	Offset   int64  // row in the file that the message names, from 0; 0 for a row that is a message itself
}

var quarantineColumns = []string{"raw VARCHAR", "reason VARCHAR", `"column" VARCHAR`, "detail VARCHAR", "sequence UBIGINT", `"offset" BIGINT`}

// QuarantineWriter gathers refused rows and writes them as one Parquet file. It belongs to one goroutine.
type QuarantineWriter struct {
	engine  *Engine
	store   *Store
	refused []Refused
	reasons map[string]int64
	bytes   int64
}

// NewQuarantineWriter makes an empty writer.
func NewQuarantineWriter(e *Engine, s *Store) *QuarantineWriter {
	return &QuarantineWriter{engine: e, store: s, reasons: map[string]int64{}}
}

// Add keeps a refused row. Bytes that are no UTF-8 are replaced: the row could not be released anyway.
func (w *QuarantineWriter) Add(r Refused) {
	r.Raw, r.Refusal.Column, r.Refusal.Detail = clean(r.Raw), clean(r.Refusal.Column), clean(r.Refusal.Detail)
	w.refused = append(w.refused, r)
	w.reasons[string(r.Refusal.Reason)]++
	w.bytes += int64(len(r.Raw) + len(r.Refusal.Detail) + 64)
}

func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// Rows is the number of rows since the last Write or Reset.
func (w *QuarantineWriter) Rows() int64 { return int64(len(w.refused)) }

// Bytes is about how much memory they take.
func (w *QuarantineWriter) Bytes() int64 { return w.bytes }

// Reasons counts the rows by reason.
func (w *QuarantineWriter) Reasons() map[string]int64 { return maps.Clone(w.reasons) }

// Reset forgets the rows.
func (w *QuarantineWriter) Reset() {
	clear(w.refused)
	w.refused, w.bytes = w.refused[:0], 0
	clear(w.reasons)
}

// Write stores the refused rows under "quarantine/<sha256>.parquet", durably, and forgets them; nil when there are none. On
// error it keeps them.
func (w *QuarantineWriter) Write(ctx context.Context) (*events.Blob, error) {
	if len(w.refused) == 0 {
		return nil, nil
	}
	b, err := writeParquet(ctx, w.engine, w.store, "quarantine", quarantineColumns, len(w.refused), func(row int, dst []driver.Value) {
		r := &w.refused[row]
		dst[0], dst[1], dst[2], dst[3], dst[4], dst[5] =
			r.Raw, string(r.Refusal.Reason), r.Refusal.Column, r.Refusal.Detail, r.Sequence, r.Offset
	})
	if err != nil {
		return nil, fmt.Errorf("write quarantine of %d rows: %w", len(w.refused), err)
	}
	w.Reset()
	return &b, nil
}

// ReadQuarantine lists refused rows in order, from row offset on, at most limit.
func ReadQuarantine(ctx context.Context, e *Engine, path string, offset, limit int64) ([]Refused, error) {
	var out []Refused
	q := fmt.Sprintf(`SELECT raw, reason, "column", detail, sequence, "offset" FROM %s LIMIT %d OFFSET %d`, ReadParquet([]string{path}), limit, offset)
	err := e.Scan(ctx, q, func(v []driver.Value) error {
		out = append(out, Refused{Raw: v[0].(string), Sequence: v[4].(uint64), Offset: v[5].(int64),
			Refusal: rows.Refusal{Reason: rows.Reason(v[1].(string)), Column: v[2].(string), Detail: v[3].(string)}})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read quarantine: %w", err)
	}
	return out, nil
}
