package lake

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
)

// maxRecord is the longest line or CSV record.
const maxRecord = 1 << 20

// records splits a text file into records: lines, or CSV records whose quoted fields may span lines.
type records struct {
	file   *os.File
	r      *bufio.Reader
	quoted bool
}

func openRecords(f File, quoted bool) (*records, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.name(), err)
	}
	r := &records{file: file, r: bufio.NewReaderSize(file, maxRecord), quoted: quoted}
	if mark, _ := r.r.Peek(3); string(mark) == "\xef\xbb\xbf" {
		_, _ = r.r.Discard(3) // peeked
	}
	return r, nil
}

// next gives the next record that is not blank, without its line end; it is valid until the next call. whole is false when
// no end was found: a quote that is never closed (then only its first line is taken), or a record over maxRecord.
func (r *records) next() (rec []byte, whole bool, err error) {
	for {
		rec, whole, err = r.read()
		if err != nil {
			return nil, false, err
		}
		if len(bytes.TrimSpace(rec)) > 0 {
			return bytes.TrimSuffix(rec, []byte("\r")), whole, nil
		}
	}
}

func (r *records) read() (rec []byte, whole bool, err error) {
	scanned, first, inQuotes := 0, -1, false
	for n := 4096; ; n *= 4 {
		w, peekErr := r.r.Peek(min(max(n, r.r.Buffered()), maxRecord))
		for ; scanned < len(w); scanned++ {
			switch ch := w[scanned]; {
			case ch == '"' && r.quoted:
				inQuotes = !inQuotes
			case ch == '\n' && !inQuotes:
				_, err := r.r.Discard(scanned + 1)
				return w[:scanned], true, err
			case ch == '\n' && first < 0:
				first = scanned
			}
		}
		if peekErr == nil && len(w) < maxRecord {
			continue
		}
		if peekErr != nil && !errors.Is(peekErr, io.EOF) {
			return nil, false, peekErr
		}
		if len(w) == 0 {
			return nil, false, io.EOF
		}
		return r.cut(w, first, inQuotes)
	}
}

// cut decides about a window without the end of a record.
func (r *records) cut(w []byte, first int, inQuotes bool) ([]byte, bool, error) {
	if first >= 0 { // an open quote must not swallow the rows after it
		_, err := r.r.Discard(first + 1)
		return w[:first], false, err
	}
	_, err := r.r.Discard(len(w))
	if err == nil && len(w) == maxRecord {
		w = bytes.Clone(w[:1024]) // enough to recognise it
		err = r.skipLine()
		return w, false, err
	}
	return w, !inQuotes, err // the last line, without a line end
}

func (r *records) skipLine() error {
	for {
		_, err := r.r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
}

func (r *records) skip(n int64) error {
	for range n {
		if _, _, err := r.next(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
	return nil
}

func (r *records) close() error { return r.file.Close() }

type ndjsonSource struct {
	*records
	checker *rows.Checker
}

func openNDJSON(f File, c *rows.Checker, offset int64) (*ndjsonSource, error) {
	r, err := openRecords(f, false)
	if err != nil {
		return nil, err
	}
	if err := r.skip(offset); err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", f.name(), err), r.close())
	}
	return &ndjsonSource{r, c}, nil
}

func (s *ndjsonSource) next(_ context.Context, now time.Time, into *rows.Row) (*rows.Refusal, func() string, error) {
	rec, whole, err := s.records.next()
	if err != nil {
		return nil, nil, err
	}
	raw := func() string { return string(rec) }
	if !whole {
		return &rows.Refusal{Reason: rows.Malformed, Detail: fmt.Sprintf("the line is longer than %d bytes", maxRecord)}, raw, nil
	}
	return s.checker.JSON(rec, now, into), raw, nil
}

type csvSource struct {
	*records
	checker *rows.Checker
	columns []resource.Column // of the dataset
	names   []string          // of the header
	at      []int
	comma   byte
	fields  [][]byte
	text    []byte // unquoted fields
}

func openCSV(f File, c *rows.Checker, offset int64) (*csvSource, error) {
	r, err := openRecords(f, true)
	if err != nil {
		return nil, err
	}
	s := &csvSource{records: r, checker: c, columns: c.Columns()}
	if s.names, s.comma, err = readHeader(f, r); err == nil {
		s.at, err = matchColumns(f, s.names, c)
	}
	if err == nil {
		err = r.skip(offset)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return s, nil
}

func csvHeader(f File) ([]string, error) {
	r, err := openRecords(f, true)
	if err != nil {
		return nil, err
	}
	names, _, err := readHeader(f, r)
	return names, errors.Join(err, r.close())
}

func readHeader(f File, r *records) (names []string, comma byte, err error) {
	rec, whole, err := r.next()
	if errors.Is(err, io.EOF) {
		return nil, 0, f.bad("is empty; a CSV file begins with a line of column names")
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", f.name(), err)
	}
	comma = ','
	for _, ch := range []byte(";\t|") {
		if bytes.Count(rec, []byte{ch}) > bytes.Count(rec, []byte{comma}) {
			comma = ch
		}
	}
	s := csvSource{comma: comma}
	if !whole || s.split(rec) != nil {
		return nil, 0, f.bad("has a broken first line; a CSV file begins with a line of column names")
	}
	for _, name := range s.fields {
		names = append(names, string(bytes.TrimSpace(name)))
	}
	return names, comma, nil
}

func (s *csvSource) next(_ context.Context, now time.Time, into *rows.Row) (*rows.Refusal, func() string, error) {
	rec, whole, err := s.records.next()
	if err != nil {
		return nil, nil, err
	}
	line := func() string { return string(rec) }
	if !whole {
		return &rows.Refusal{Reason: rows.Malformed, Detail: "a quote is not closed, or the record is longer than 1 MiB"}, line, nil
	}
	if err := s.split(rec); err != nil {
		return &rows.Refusal{Reason: rows.Malformed, Detail: err.Error()}, line, nil
	}
	return s.checker.Texts(s.at, s.fields, now, into), s.raw, nil
}

// split cuts a record into s.fields (RFC 4180; a quote inside an unquoted field is itself).
func (s *csvSource) split(rec []byte) error {
	s.fields, s.text = s.fields[:0], s.text[:0]
	for i := 0; ; {
		var field []byte
		if i < len(rec) && rec[i] == '"' {
			start := len(s.text)
			end, err := s.unquote(rec, i+1)
			if err != nil {
				return err
			}
			field, i = s.text[start:], end
		} else {
			j := bytes.IndexByte(rec[i:], s.comma)
			if j < 0 {
				j = len(rec) - i
			}
			field = rec[i : i+j]
			i += j
		}
		s.fields = append(s.fields, field)
		if i >= len(rec) {
			break
		}
		i++
	}
	if s.names != nil && len(s.fields) != len(s.names) {
		return fmt.Errorf("the record has %d fields, the header has %d", len(s.fields), len(s.names))
	}
	return nil
}

// unquote appends a quoted field to s.text, from after its quote, and gives the place after the closing one.
func (s *csvSource) unquote(rec []byte, i int) (int, error) {
	for ; i < len(rec); i++ {
		if rec[i] == '"' {
			if i++; i >= len(rec) || rec[i] == s.comma {
				return i, nil
			}
			if rec[i] != '"' {
				return 0, fmt.Errorf("text follows a closing quote in field %d", len(s.fields)+1)
			}
		}
		s.text = append(s.text, rec[i])
	}
	return 0, fmt.Errorf("the quote of field %d is not closed", len(s.fields)+1)
}

// raw is the current row as JSON, with numbers and booleans as such where the text is one.
func (s *csvSource) raw() string {
	var b strings.Builder
	for j, name := range s.names {
		text := bytes.TrimSpace(s.fields[j])
		value, _ := json.Marshal(string(s.fields[j]))
		if kind := s.columns[s.at[j]].Type; kind != resource.TypeString && json.Valid(text) && text[0] != '"' {
			value = text // a number or a boolean
		}
		if len(text) == 0 {
			value = []byte("null")
		}
		writeMember(&b, j, name, value)
	}
	return b.String() + "}"
}
