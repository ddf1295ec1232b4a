package oip

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDepth bounds nesting, and with it the stack.
const maxDepth = 64

var errEnd = errors.New("the JSON ends in the middle")

// scanner walks JSON without allocating. It is strict (RFC 8259) but for NaN, which Python writes for a missing number.
type scanner struct {
	b     []byte
	i     int
	depth int
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek gives the next byte that is no blank, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.i >= len(s.b) {
		return 0
	}
	return s.b[s.i]
}

func (s *scanner) unexpected(want string) error {
	if s.i >= len(s.b) {
		return errEnd
	}
	r, _ := utf8.DecodeRune(s.b[s.i:])
	return fmt.Errorf("unexpected %q at byte %d, expected %s", r, s.i, want)
}

func (s *scanner) expect(ch byte, want string) error {
	if s.peek() != ch || s.i >= len(s.b) {
		return s.unexpected(want)
	}
	s.i++
	return nil
}

// more reads a comma (true) or the closing byte (false).
func (s *scanner) more(closing byte) (bool, error) {
	switch s.peek() {
	case ',':
		s.i++
		return true, nil
	case closing:
		s.i++
		return false, nil
	}
	return false, s.unexpected("a comma or " + string(rune(closing)))
}

// object calls member after each key; member consumes the value.
func (s *scanner) object(member func(key []byte) error) error {
	if err := s.expect('{', "an object"); err != nil {
		return err
	}
	if s.peek() == '}' {
		s.i++
		return nil
	}
	for {
		key, err := s.text()
		if err != nil {
			return err
		}
		if err := s.expect(':', "a colon"); err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
		if more, err := s.more('}'); err != nil || !more {
			return err
		}
	}
}

// list calls element before each element; element consumes it.
func (s *scanner) list(element func() error) error {
	if err := s.expect('[', "a list"); err != nil {
		return err
	}
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if more, err := s.more(']'); err != nil || !more {
			return err
		}
	}
}

// text reads a string; without escapes it points into the input.
func (s *scanner) text() ([]byte, error) {
	raw, escaped, err := s.str()
	if err != nil {
		return nil, err
	}
	if !escaped {
		return raw[1 : len(raw)-1], nil
	}
	return unescape(raw)
}

func unescape(quoted []byte) ([]byte, error) {
	var out string
	if err := json.Unmarshal(quoted, &out); err != nil {
		return nil, fmt.Errorf("%s is no string: %w", quoted, err)
	}
	return []byte(out), nil
}

// str reads a string with its quotes.
func (s *scanner) str() (raw []byte, escaped bool, err error) {
	if s.peek() != '"' {
		return nil, false, s.unexpected("a string")
	}
	start := s.i
	for s.i++; s.i < len(s.b); s.i++ {
		switch ch := s.b[s.i]; {
		case ch == '"':
			s.i++
			return s.b[start:s.i], escaped, nil
		case ch == '\\':
			escaped = true
			s.i++
		case ch < 0x20:
			return nil, false, s.unexpected("a string without control characters")
		}
	}
	return nil, false, errEnd
}

type kind byte

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
)

func (k kind) String() string { return [...]string{"null", "a boolean", "a number", "a string"}[k] }

// scalar reads one value that is no object and no list; a string with its quotes.
func (s *scanner) scalar() (raw []byte, k kind, escaped bool, err error) {
	switch ch := s.peek(); {
	case ch == '"':
		raw, escaped, err = s.str()
		return raw, kindString, escaped, err
	case ch == '-' || (ch >= '0' && ch <= '9'):
		start := s.i
		return s.b[start:s.number()], kindNumber, false, s.valid(start)
	case ch == 't':
		return s.word("true", kindBool)
	case ch == 'f':
		return s.word("false", kindBool)
	case ch == 'n':
		return s.word("null", kindNull)
	case ch == 'N':
		return s.word("NaN", kindNull)
	}
	return nil, 0, false, s.unexpected("a value")
}

func (s *scanner) word(w string, k kind) ([]byte, kind, bool, error) {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return nil, 0, false, s.unexpected(w)
	}
	s.i += len(w)
	return s.b[s.i-len(w) : s.i], k, false, nil
}

// number moves behind the number and gives that place.
func (s *scanner) number() int {
	for s.i < len(s.b) {
		switch ch := s.b[s.i]; {
		case ch >= '0' && ch <= '9', ch == '-', ch == '+', ch == '.', ch == 'e', ch == 'E':
			s.i++
		default:
			return s.i
		}
	}
	return s.i
}

// valid checks the grammar of the number from start to s.i: strconv alone would take 01 and 1. too.
func (s *scanner) valid(start int) error {
	b := s.b[start:s.i]
	i := 0
	digits := func() bool {
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > from
	}
	if b[i] == '-' {
		i++
	}
	ok := true
	if i < len(b) && b[i] == '0' {
		i++
	} else {
		ok = digits()
	}
	if ok && i < len(b) && b[i] == '.' {
		i++
		ok = digits()
	}
	if ok && i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '-' || b[i] == '+') {
			i++
		}
		ok = digits()
	}
	if !ok || i < len(b) {
		return fmt.Errorf("%q at byte %d is no number", b, start)
	}
	return nil
}

// skip moves behind any value.
func (s *scanner) skip() error {
	if s.depth++; s.depth > maxDepth {
		return fmt.Errorf("the JSON nests deeper than %d", maxDepth)
	}
	defer func() { s.depth-- }()
	switch s.peek() {
	case '{':
		return s.object(func([]byte) error { return s.skip() })
	case '[':
		return s.list(s.skip)
	}
	_, _, _, err := s.scalar()
	return err
}

// array moves behind a list of scalars or of such lists and gives its bytes. Only its brackets and strings are looked at: who
// reads the elements checks them.
func (s *scanner) array() ([]byte, error) {
	if s.peek() != '[' {
		return nil, s.unexpected("a list")
	}
	start, open := s.i, 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '[':
			open++
		case ']':
			if open--; open == 0 {
				s.i++
				return s.b[start:s.i], nil
			}
		case '"':
			if _, _, err := s.str(); err != nil {
				return nil, err
			}
			continue
		}
		s.i++
	}
	return nil, errEnd
}
