package rows

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/tidemill/tidemill/core/resource"
)

// JSON decodes one row: a JSON object of the columns, or a CloudEvent in structured mode whose data is that object. (In
// binary mode the envelope is in headers and the body is the row.) A duplicate key is malformed, unlike in encoding/json: one
// of two values would vanish without a word. now is the wall clock for the future rule. r is overwritten.
func (c *Checker) JSON(body []byte, now time.Time, r *Row) *Refusal {
	bad := c.object(body, r)
	if bad != nil {
		// Envelope attributes are unknown columns, or columns of another type: look for an envelope only then.
		if data, isEvent, badEvent := c.eventData(body); isEvent {
			if badEvent != nil {
				return badEvent
			}
			bad = c.object(data, r)
		}
	}
	if bad != nil {
		return bad
	}
	return c.finish(r, now)
}

func malformed(format string, args ...any) *Refusal {
	return &Refusal{Reason: Malformed, Detail: fmt.Sprintf(format, args...)}
}

// object decodes the members of one JSON object into r.
func (c *Checker) object(body []byte, r *Row) *Refusal {
	c.reset(r)
	if !utf8.Valid(body) {
		return malformed("the row is not valid UTF-8")
	}
	s := scanner{b: body}
	var found *Refusal // the first finding; the rest of the row is still read, since malformed outranks all others
	next := 0
	err := s.object(func(key []byte) error {
		i, ok := c.find(key, next)
		if !ok {
			name, err := unquote(key)
			if err != nil {
				return err
			}
			if i, ok = c.index[name]; !ok {
				if found == nil {
					found = c.unknown(name)
				}
				return s.skip()
			}
		}
		next = i + 1
		if r.seen[i] {
			return fmt.Errorf("column %s appears twice", c.columns[i].Name)
		}
		r.seen[i] = true
		raw, kind, err := s.value()
		if err != nil {
			return err
		}
		if bad := c.columns[i].decode(raw, kind, r, &r.Values[i]); bad != nil && found == nil {
			found = bad
		}
		return nil
	})
	if err != nil {
		return malformed("not one JSON object: %v", err)
	}
	return found
}

// find looks a key without escapes up, first where the previous row's order suggests it.
func (c *Checker) find(quoted []byte, next int) (int, bool) {
	key := quoted[1 : len(quoted)-1]
	if next < len(c.columns) && string(key) == c.columns[next].Name {
		return next, true
	}
	i, ok := c.index[string(key)]
	return i, ok
}

// decode turns one scanned JSON value into the column's type.
func (col *column) decode(raw []byte, k kind, r *Row, v *Value) *Refusal {
	if k == kindNull {
		return nil
	}
	switch {
	case col.Type == resource.TypeString && k == kindString:
		text, err := r.text(raw)
		if err != nil {
			return col.wrong("%v", err)
		}
		return col.setText(v, text)
	case col.Type == resource.TypeTimestamp && k == kindString:
		text := raw[1 : len(raw)-1]
		if bytes.IndexByte(text, '\\') >= 0 { // some encoders write the + of an offset as \u002b
			plain, err := unquote(raw)
			if err != nil {
				return col.wrong("%v", err)
			}
			text = []byte(plain)
		}
		if micros, ok := parseTimestamp(text); ok {
			v.Null, v.I = false, micros
			return nil
		}
		return col.wrong("%q is not a time; write RFC 3339 like \"2001-01-31T23:59:59Z\"", short(string(text)))
	case col.Type == resource.TypeTimestamp && k == kindNumber:
		return col.setMillis(v, string(raw))
	case col.Type == resource.TypeFloat64 && k == kindNumber:
		return col.setFloat(v, raw)
	case col.Type == resource.TypeInt64 && k == kindNumber:
		return col.setInt(v, raw)
	case col.Type == resource.TypeBoolean && k == kindBool:
		v.Null = false
		if raw[0] == 't' {
			v.I = 1
		}
		return nil
	}
	return col.wrong("%s is %s, the column is %s", short(string(raw)), k, col.Type)
}

func (col *column) wrong(format string, args ...any) *Refusal {
	return &Refusal{WrongType, col.Name, fmt.Sprintf(format, args...)}
}

// text is the string of a quoted JSON text.
func (r *Row) text(quoted []byte) (string, error) {
	body := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(body, '\\') >= 0 {
		return unquote(quoted)
	}
	return r.intern(body), nil
}

// intern avoids an allocation per value of a category; it forgets when a column turns out to be mostly distinct.
func (r *Row) intern(b []byte) string {
	const most, longest = 4096, 64
	if len(b) > longest {
		return string(b)
	}
	if s, ok := r.texts[string(b)]; ok {
		return s
	}
	if len(r.texts) >= most {
		clear(r.texts)
	}
	s := string(b)
	r.texts[s] = s
	return s
}

func unquote(quoted []byte) (string, error) {
	var s string
	err := json.Unmarshal(quoted, &s)
	return s, err
}

// eventData finds the data of a structured CloudEvent. isEvent is false when the object has no specversion or the dataset
// itself has a column of that name.
func (c *Checker) eventData(body []byte) (data []byte, isEvent bool, bad *Refusal) {
	if _, ok := c.index["specversion"]; ok {
		return nil, false, nil
	}
	s := scanner{b: body}
	var encoded []byte
	err := s.object(func(key []byte) error {
		name := string(key)
		raw, _, err := s.value()
		switch name {
		case `"specversion"`:
			isEvent = true
		case `"data"`:
			data = raw
		case `"data_base64"`:
			encoded = raw
		}
		return err
	})
	if err != nil || !isEvent {
		return nil, false, nil
	}
	if data == nil && encoded != nil {
		text, err := unquote(encoded)
		if err == nil {
			data, err = base64.StdEncoding.DecodeString(text)
		}
		if err != nil {
			return nil, true, malformed("the CloudEvent's data_base64 is not base64")
		}
	}
	if data == nil {
		return nil, true, malformed("the CloudEvent has no data; put the row there as a JSON object")
	}
	return data, true, nil
}
