package ingestion

import (
	"bytes"
	"context"
	"time"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/events"
)

// message ingests one message: a row, a chunk of rows, or a file.
func (l *loop) message(ctx context.Context, m message, now time.Time) error {
	switch m.content {
	case events.ContentNDJSON:
		return l.lines(ctx, m, now)
	case events.ContentType:
		if !bytes.Contains(m.data, rowsFileMark) {
			break
		}
		f, _, isFile, err := events.DecodeRowsFile(m.data)
		switch {
		case err != nil:
			return l.refuseMessage(ctx, m, "the message should name a file, but "+err.Error())
		case isFile:
			return l.file(ctx, m, f)
		}
	case events.ContentCSV, events.ContentParquet:
		return l.refuseMessage(ctx, m, m.content+" is for files; publish the file through the API or with 'tidemill publish', or send rows as JSON")
	}
	return l.row(ctx, m, m.data, 0, events.Cursor{Sequence: m.seq}, now)
}

// rowsFileMark is in every message that names a file; looking for it is cheaper than decoding every event.
var rowsFileMark = []byte("rows.file.v1")

// row ingests one JSON row, the offset-th of its message; after is the cursor behind it.
func (l *loop) row(ctx context.Context, m message, body []byte, offset int64, after events.Cursor, now time.Time) error {
	if bad := l.contract.checker.JSON(body, now, l.contract.row); bad != nil {
		l.refuse(lake.Refused{Raw: string(body), Refusal: *bad, Sequence: m.seq, Offset: offset})
	} else {
		l.accept(l.contract.row)
	}
	l.cursor = after
	if l.full() {
		return l.cut(ctx, part{})
	}
	return nil
}

// lines ingests one row a line; blank lines are none. A segment may end between two of them.
func (l *loop) lines(ctx context.Context, m message, now time.Time) error {
	skip, rest := l.skip(m), m.data
	line, rest := nextLine(rest)
	for offset := int64(0); line != nil; offset++ {
		var following []byte
		following, rest = nextLine(rest)
		if offset >= skip {
			after := events.Cursor{Sequence: m.seq}
			if following != nil {
				after.Offset = offset + 1
			}
			if err := l.row(ctx, m, line, offset, after, now); err != nil {
				return err
			}
		}
		line = following
	}
	l.cursor = events.Cursor{Sequence: m.seq}
	return nil
}

// nextLine cuts the next line that is not blank off b; nil when there is none.
func nextLine(b []byte) (line, rest []byte) {
	for len(b) > 0 {
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, b
		}
	}
	return nil, nil
}

// skip is how many rows of the message are in committed segments.
func (l *loop) skip(m message) int64 {
	if done := l.written.Last().Cursor; m.seq == done.Sequence {
		return done.Offset
	}
	return 0
}

// refuseMessage refuses a message as a whole; it counts as one row.
func (l *loop) refuseMessage(ctx context.Context, m message, why string) error {
	const most = 1 << 10 // of bytes that could be anything
	l.refuse(lake.Refused{Raw: string(m.data[:min(len(m.data), most)]), Refusal: rows.Refusal{Reason: rows.Malformed, Detail: why}, Sequence: m.seq})
	l.cursor = events.Cursor{Sequence: m.seq}
	if l.full() {
		return l.cut(ctx, part{})
	}
	return nil
}
