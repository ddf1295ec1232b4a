package rows

import (
	"errors"
	"fmt"
)

// maxDepth bounds nesting, and with it the stack, in values that are refused anyway.
const maxDepth = 64

type kind byte

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindObject
	kindArray
)

func (k kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a text", "an object", "a list"}[k]
}

var errEnd = errors.New("it ends in the middle")

// scanner walks JSON strictly (RFC 8259) without allocating. The input is valid UTF-8.
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

// object reads the whole input as one object and calls member after each key with the quoted key; member must consume the
// value with value or skip.
func (s *scanner) object(member func(key []byte) error) error {
	s.space()
	if s.i >= len(s.b) {
		return errors.New("it is empty")
	}
	if s.b[s.i] != '{' {
		return fmt.Errorf("it begins with %q", rune(s.b[s.i]))
	}
	if err := s.members(member); err != nil {
		return err
	}
	if s.space(); s.i < len(s.b) {
		return fmt.Errorf("more follows after the object at byte %d", s.i)
	}
	return nil
}

// members reads an object from its brace.
func (s *scanner) members(member func(key []byte) error) error {
	s.i++
	if s.space(); s.i < len(s.b) && s.b[s.i] == '}' {
		s.i++
		return nil
	}
	for {
		s.space()
		key, err := s.str()
		if err != nil {
			return err
		}
		s.space()
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
		more, err := s.more('}')
		if err != nil || !more {
			return err
		}
	}
}

// more reads a comma (true) or the closing byte (false).
func (s *scanner) more(closing byte) (bool, error) {
	s.space()
	if s.i >= len(s.b) {
		return false, errEnd
	}
	ch := s.b[s.i]
	if ch != ',' && ch != closing {
		return false, s.unexpected()
	}
	s.i++
	return ch == ',', nil
}

func (s *scanner) expect(ch byte) error {
	if s.i >= len(s.b) {
		return errEnd
	}
	if s.b[s.i] != ch {
		return s.unexpected()
	}
	s.i++
	return nil
}

func (s *scanner) unexpected() error {
	return fmt.Errorf("unexpected %q at byte %d", rune(s.b[s.i]), s.i)
}

func (s *scanner) skip() error {
	_, _, err := s.value()
	return err
}

// value reads one value and gives its bytes.
func (s *scanner) value() (raw []byte, k kind, err error) {
	s.space()
	if s.i >= len(s.b) {
		return nil, 0, errEnd
	}
	start := s.i
	switch ch := s.b[s.i]; {
	case ch == '"':
		raw, err = s.str()
		return raw, kindString, err
	case ch == '-' || (ch >= '0' && ch <= '9'):
		err, k = s.number(), kindNumber
	case ch == 't':
		err, k = s.word("true"), kindBool
	case ch == 'f':
		err, k = s.word("false"), kindBool
	case ch == 'n':
		err, k = s.word("null"), kindNull
	case ch == '{':
		err, k = s.nested(func() error { return s.members(func([]byte) error { return s.skip() }) }), kindObject
	case ch == '[':
		err, k = s.nested(s.elements), kindArray
	default:
		err = s.unexpected()
	}
	return s.b[start:s.i], k, err
}

func (s *scanner) nested(read func() error) error {
	if s.depth++; s.depth > maxDepth {
		return fmt.Errorf("it nests deeper than %d", maxDepth)
	}
	err := read()
	s.depth--
	return err
}

func (s *scanner) elements() error {
	s.i++
	if s.space(); s.i < len(s.b) && s.b[s.i] == ']' {
		s.i++
		return nil
	}
	for {
		if err := s.skip(); err != nil {
			return err
		}
		more, err := s.more(']')
		if err != nil || !more {
			return err
		}
	}
}

func (s *scanner) word(w string) error {
	for j := range len(w) {
		if err := s.expect(w[j]); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) number() error {
	if s.b[s.i] == '-' {
		s.i++
	}
	if s.i < len(s.b) && s.b[s.i] == '0' {
		s.i++
	} else if err := s.digits(); err != nil {
		return err
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.i < len(s.b) && (s.b[s.i] == 'e' || s.b[s.i] == 'E') {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		return s.digits()
	}
	return nil
}

// digits reads at least one.
func (s *scanner) digits() error {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	if s.i > start {
		return nil
	}
	if s.i >= len(s.b) {
		return errEnd
	}
	return s.unexpected()
}

// str reads a string with its quotes and checks its escapes.
func (s *scanner) str() ([]byte, error) {
	start := s.i
	if err := s.expect('"'); err != nil {
		return nil, err
	}
	for s.i < len(s.b) {
		switch ch := s.b[s.i]; {
		case ch == '"':
			s.i++
			return s.b[start:s.i], nil
		case ch < 0x20:
			return nil, s.unexpected()
		case ch == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		default:
			s.i++
		}
	}
	return nil, errEnd
}

func (s *scanner) escape() error {
	s.i++
	if s.i >= len(s.b) {
		return errEnd
	}
	switch s.b[s.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i++
		return nil
	case 'u':
		s.i++
		for range 4 {
			if s.i >= len(s.b) {
				return errEnd
			}
			ch := s.b[s.i]
			if (ch < '0' || ch > '9') && (ch|0x20 < 'a' || ch|0x20 > 'f') {
				return s.unexpected()
			}
			s.i++
		}
		return nil
	}
	return s.unexpected()
}
