package oip

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// Datatypes of the protocol that a tensor of a request may have.
const (
	FP32  = "FP32"
	FP64  = "FP64"
	Bytes = "BYTES"
	Bool  = "BOOL"
)

// maxRank is the highest number of dimensions that a tensor may have.
const maxRank = 4

// Request is an inference request. It belongs to one goroutine and is reused; its byte slices point into the decoded body.
type Request struct {
	ID      []byte // nil when the request has none
	Input   []byte // parameters.input: "features", "columns" or nil
	Inputs  []Tensor
	Outputs [][]byte // names of the outputs that are asked for; empty: all
}

// Tensor is one input.
type Tensor struct {
	Name     []byte
	Datatype []byte
	Shape    []int64
	dims     [maxRank]int64
	data     []byte
}

// Decode reads a request. The error says what is wrong with it and where.
func (r *Request) Decode(body []byte) error {
	r.ID, r.Input, r.Inputs, r.Outputs = nil, nil, r.Inputs[:0], r.Outputs[:0]
	if len(body) == 0 {
		return errors.New("the request is empty; send a JSON object with \"inputs\"")
	}
	if !utf8.Valid(body) {
		return errors.New("the request is not valid UTF-8")
	}
	s := scanner{b: body}
	if err := s.object(func(key []byte) error { return r.member(&s, key) }); err != nil {
		return err
	}
	if s.peek() != 0 || s.i < len(s.b) {
		return s.unexpected("the end after the request")
	}
	if len(r.Inputs) == 0 {
		return errors.New("\"inputs\" is missing or empty; send one tensor per feature or per column")
	}
	return nil
}

func (r *Request) member(s *scanner, key []byte) (err error) {
	switch string(key) {
	case "id", "parameters", "outputs":
		if s.peek() == 'n' { // null: some clients write what they leave out
			return s.skip()
		}
	}
	switch string(key) {
	case "id":
		r.ID, err = s.text()
	case "parameters":
		return s.object(func(key []byte) error {
			if string(key) != "input" {
				return s.skip()
			}
			var err error
			r.Input, err = s.text()
			return err
		})
	case "inputs":
		return s.list(func() error {
			if n := len(r.Inputs); n < cap(r.Inputs) {
				r.Inputs = r.Inputs[:n+1]
			} else {
				r.Inputs = append(r.Inputs, Tensor{})
			}
			return r.Inputs[len(r.Inputs)-1].decode(s)
		})
	case "outputs":
		return s.list(func() error {
			return s.object(func(key []byte) error {
				if string(key) != "name" {
					return s.skip()
				}
				name, err := s.text()
				r.Outputs = append(r.Outputs, name)
				return err
			})
		})
	default:
		return s.skip()
	}
	return err
}

func (t *Tensor) decode(s *scanner) error {
	t.Name, t.Datatype, t.data = nil, nil, nil
	t.Shape = nil
	err := s.object(func(key []byte) (err error) {
		switch string(key) {
		case "name":
			t.Name, err = s.text()
		case "datatype":
			t.Datatype, err = s.text()
		case "shape":
			err = t.shape(s)
		case "data":
			t.data, err = s.array()
		default:
			err = s.skip()
		}
		return err
	})
	switch {
	case err != nil && len(t.Name) > 0:
		return fmt.Errorf("input %q: %w", t.Name, err)
	case err != nil:
		return err
	case len(t.Name) == 0:
		return errors.New("an input has no \"name\"")
	case len(t.Datatype) == 0:
		return t.wrong("it has no \"datatype\"; use FP32, FP64, INT64, BOOL or BYTES")
	case t.data == nil:
		return t.wrong("it has no \"data\"; binary data is not supported, send a JSON list")
	case t.Shape == nil:
		return t.wrong("it has no \"shape\"; use [N,1] or [N]")
	}
	return nil
}

func (t *Tensor) shape(s *scanner) error {
	t.Shape = t.dims[:0]
	return s.list(func() error {
		raw, k, _, err := s.scalar()
		if err != nil {
			return err
		}
		n, bad := strconv.ParseInt(view(raw), 10, 64)
		if k != kindNumber || bad != nil || n < 0 {
			return fmt.Errorf("the shape has the dimension %s, which is no whole number", raw)
		}
		if len(t.Shape) == maxRank {
			return fmt.Errorf("the shape has more than %d dimensions", maxRank)
		}
		t.Shape = append(t.Shape, n)
		return nil
	})
}

func (t *Tensor) wrong(format string, args ...any) error {
	return fmt.Errorf("input %q: %s", t.Name, fmt.Sprintf(format, args...))
}

// view is a string over bytes for parsers that keep nothing of it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
