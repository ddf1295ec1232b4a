package oip

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"unicode/utf8"
)

// class is what a datatype holds.
type class struct {
	kind   kind
	whole  bool
	signed bool
	bits   int
}

func classOf(datatype []byte) (class, bool) {
	switch string(datatype) {
	case FP32, FP64, "FP16":
		return class{kind: kindNumber}, true
	case "INT8", "INT16", "INT32", "INT64":
		bits, _ := strconv.Atoi(string(datatype[3:]))
		return class{kind: kindNumber, whole: true, signed: true, bits: bits}, true
	case "UINT8", "UINT16", "UINT32", "UINT64":
		bits, _ := strconv.Atoi(string(datatype[4:]))
		return class{kind: kindNumber, whole: true, bits: bits}, true
	case Bool:
		return class{kind: kindBool}, true
	case Bytes:
		return class{kind: kindString}, true
	}
	return class{}, false
}

// Text tells whether the tensor holds text.
func (t *Tensor) Text() bool { return string(t.Datatype) == Bytes }

// Rows is N of a tensor with one value per row: its shape is [N] or [N,1].
func (t *Tensor) Rows() (int, error) {
	if len(t.Shape) == 1 || (len(t.Shape) == 2 && t.Shape[1] == 1) {
		return t.count(t.Shape[0])
	}
	return 0, t.wrong("its shape is %v; expected [N,1] or [N], one value per row", t.Shape)
}

// Matrix is N of a tensor with width values per row: its shape is [N,width].
func (t *Tensor) Matrix(width int) (int, error) {
	if len(t.Shape) == 2 && t.Shape[1] == int64(width) {
		return t.count(t.Shape[0])
	}
	return 0, t.wrong("its shape is %v; expected [N,%d]", t.Shape, width)
}

// count refuses numbers of rows that the data can't have, before anything of that size is made.
func (t *Tensor) count(n int64) (int, error) {
	if n > int64(len(t.data)) {
		return 0, t.wrong("its shape says %d rows, but there is less data", n)
	}
	return int(n), nil
}

// Value is one element: null, a boolean, a number or a text.
type Value struct {
	raw     []byte
	kind    kind
	escaped bool
}

// each hands out the elements, row by row however the lists are nested, and checks their kind and their number.
func (t *Tensor) each(want int, yield func(i int, v Value) error) error {
	c, ok := classOf(t.Datatype)
	if !ok {
		return t.wrong("unknown datatype %q; use FP32, FP64, INT8 to INT64, UINT8 to UINT64, BOOL or BYTES", t.Datatype)
	}
	s := scanner{b: t.data}
	n := 0
	var element func() error
	element = func() error {
		if s.peek() == '[' {
			if s.depth++; s.depth > maxRank {
				return t.wrong("its data nests deeper than %d", maxRank)
			}
			defer func() { s.depth-- }()
			return s.list(element)
		}
		raw, k, escaped, err := s.scalar()
		if err != nil {
			return t.wrong("element %d: %v", n, err)
		}
		if k != c.kind && k != kindNull {
			return t.wrong("element %d is %s, the datatype %s expects %s", n, k, t.Datatype, c.kind)
		}
		if n >= want {
			return t.wrong("its data has more than the %d elements of its shape", want)
		}
		if c.whole && k == kindNumber {
			if err := wholeNumber(raw, c); err != nil {
				return t.wrong("element %d: %s is no %s", n, raw, t.Datatype)
			}
		}
		n++
		return yield(n-1, Value{raw, k, escaped})
	}
	if err := s.list(element); err != nil {
		return err
	}
	if n != want {
		return t.wrong("its data has %d elements, its shape says %d", n, want)
	}
	return nil
}

func wholeNumber(raw []byte, c class) (err error) {
	if c.signed {
		_, err = strconv.ParseInt(view(raw), 10, c.bits)
	} else {
		_, err = strconv.ParseUint(view(raw), 10, c.bits)
	}
	return err
}

// Floats reads numbers, row by row. The length of dst
// says how many there must be. null and NaN become NaN, booleans 0 and 1.
func (t *Tensor) Floats(dst []float32) error {
	if t.Text() {
		return t.wrong("it is BYTES, but a number is expected; use FP32, FP64, INT64 or BOOL")
	}
	return t.each(len(dst), func(i int, v Value) error {
		switch v.kind {
		case kindNull:
			dst[i] = float32(math.NaN())
		case kindBool:
			dst[i] = 0
			if v.raw[0] == 't' {
				dst[i] = 1
			}
		default:
			f, err := strconv.ParseFloat(view(v.raw), 64)
			if err != nil || math.Abs(f) > math.MaxFloat32 {
				return t.wrong("element %d: %s does not fit 32 bits of floating point", i, v.raw)
			}
			dst[i] = float32(f)
		}
		return nil
	})
}

// Texts reads BYTES; null becomes "".
func (t *Tensor) Texts(dst []string) error {
	if !t.Text() {
		return t.wrong("it is %s, but text is expected; use BYTES", t.Datatype)
	}
	return t.each(len(dst), func(i int, v Value) (err error) {
		dst[i], err = v.text()
		return err
	})
}

func (v Value) text() (string, error) {
	switch {
	case v.kind == kindNull:
		return "", nil
	case !v.escaped:
		return string(v.raw[1 : len(v.raw)-1]), nil
	}
	b, err := unescape(v.raw)
	if err == nil && !utf8.Valid(b) {
		err = errors.New("a text is not valid UTF-8")
	}
	return string(b), err
}

// Values hands out n elements as nil, bool, json.Number or string.
func (t *Tensor) Values(n int, yield func(i int, v any) error) error {
	return t.each(n, func(i int, v Value) error {
		switch v.kind {
		case kindNull:
			return yield(i, nil)
		case kindBool:
			return yield(i, v.raw[0] == 't')
		case kindNumber:
			return yield(i, json.Number(v.raw))
		}
		text, err := v.text()
		if err != nil {
			return t.wrong("element %d: %v", i, err)
		}
		return yield(i, text)
	})
}

// Check reads the data and forgets it, for a tensor that nobody needs.
func (t *Tensor) Check(n int) error { return t.each(n, func(int, Value) error { return nil }) }
