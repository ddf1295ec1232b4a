package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidemill/tidemill/core/lake/rows"
)

// Formats of files with rows.
const (
	FormatParquet    = "parquet"
	FormatCSV        = "csv"        // with a header; comma, semicolon, tab or bar, whichever the header has most of
	FormatNDJSON     = "ndjson"     // one JSON object a line
	FormatQuarantine = "quarantine" // what QuarantineWriter wrote: rows that a person lets back in
)

// ErrBadFile marks errors that the user who brought the file can mend.
var ErrBadFile = errors.New("bad file")

// File is a file with rows that users brought, in a directory that the engine may read.
type File struct {
	Path   string
	Name   string // what the user called it, for errors
	Format string
}

// bad is an ErrBadFile that reads as a sentence about the file.
func (f File) bad(format string, args ...any) error {
	return &badFile{fmt.Sprintf("%s %s", f.name(), fmt.Sprintf(format, args...))}
}

func (f File) name() string {
	if f.Name != "" {
		return f.Name
	}
	return filepath.Base(f.Path)
}

type badFile struct{ text string }

func (e *badFile) Error() string        { return e.text }
func (e *badFile) Is(target error) bool { return target == ErrBadFile }

// FormatOf tells a file's format from its name.
func FormatOf(name string) (format string, err error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".parquet", ".pq":
		return FormatParquet, nil
	case ".csv", ".tsv":
		return FormatCSV, nil
	case ".ndjson", ".jsonl", ".json":
		return FormatNDJSON, nil
	}
	return "", &badFile{fmt.Sprintf("%s has no known ending; name it .parquet, .csv or .ndjson, or say which format it is", filepath.Base(name))}
}

// source reads the rows of one format.
type source interface {
	// next decodes a row; raw gives the row as text when it was refused. io.EOF after the last.
	next(ctx context.Context, now time.Time, into *rows.Row) (bad *rows.Refusal, raw func() string, err error)
	close() error
}

// FileReader gives the rows of a file in order. It belongs to one goroutine.
type FileReader struct {
	source source
	offset int64
}

// OpenFile begins to read a file at row offset: 0, or what Offset said before a crash. Errors that concern the file as a
// whole (truncated, columns that the dataset does not have, types that cannot fit) come from here and are ErrBadFile; a row
// that breaks the contract comes from Next.
func OpenFile(ctx context.Context, e *Engine, f File, c *rows.Checker, offset int64) (*FileReader, error) {
	var s source
	var err error
	switch f.Format {
	case FormatParquet:
		s, err = openParquet(ctx, e, f, c, offset)
	case FormatCSV:
		s, err = openCSV(f, c, offset)
	case FormatNDJSON:
		s, err = openNDJSON(f, c, offset)
	case FormatQuarantine:
		s = &quarantineSource{engine: e, file: f, checker: c, at: offset}
	default:
		err = f.bad("has the unknown format %q; use parquet, csv or ndjson", f.Format)
	}
	if err != nil {
		return nil, err
	}
	return &FileReader{source: s, offset: offset}, nil
}

// Next decodes the next row into into, or gives the row that was refused (Sequence is the caller's to set). now is the wall
// clock for the future rule. After the last row it returns io.EOF.
func (r *FileReader) Next(ctx context.Context, now time.Time, into *rows.Row) (*Refused, error) {
	bad, raw, err := r.source.next(ctx, now, into)
	if err != nil {
		return nil, err
	}
	r.offset++
	if bad == nil {
		return nil, nil
	}
	return &Refused{Raw: raw(), Refusal: *bad, Offset: r.offset - 1}, nil
}

// Offset is how many rows of the file are done, refused ones included.
func (r *FileReader) Offset() int64 { return r.offset }

// Close releases the file.
func (r *FileReader) Close() error { return r.source.close() }

// matchColumns places a file's columns among the dataset's and refuses files that cannot fit.
func matchColumns(f File, names []string, c *rows.Checker) (at []int, err error) {
	have := make(map[int]bool, len(names))
	for _, name := range names {
		i, bad := c.Find(name)
		if bad != nil {
			return nil, f.bad("has a column %q: %s", name, bad.Detail)
		}
		if have[i] {
			return nil, f.bad("has the column %q twice", name)
		}
		have[i] = true
		at = append(at, i)
	}
	for i, col := range c.Columns() {
		if !have[i] && (col.Required || col.EventTime) {
			return nil, f.bad("has no column %q, which the dataset requires; its columns are %s", col.Name, strings.Join(names, ", "))
		}
	}
	return at, nil
}

// quarantineSource reads refused rows again, page by page.
type quarantineSource struct {
	engine  *Engine
	file    File
	checker *rows.Checker
	page    []Refused
	at      int64
}

func (s *quarantineSource) next(ctx context.Context, now time.Time, into *rows.Row) (*rows.Refusal, func() string, error) {
	const pageRows = 10_000
	if len(s.page) == 0 {
		page, err := ReadQuarantine(ctx, s.engine, s.file.Path, s.at, pageRows)
		if err != nil {
			return nil, nil, err
		}
		if len(page) == 0 {
			return nil, nil, io.EOF
		}
		s.page, s.at = page, s.at+int64(len(page))
	}
	raw := s.page[0].Raw
	s.page = s.page[1:]
	return s.checker.JSON([]byte(raw), now, into), func() string { return raw }, nil
}

func (s *quarantineSource) close() error { return nil }
