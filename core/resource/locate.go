package resource

import (
	"strconv"
	"strings"
)

// At is a finding about one field of r, placed in the file that r came from when it came from one. path is "spec.label",
// "spec.columns[2].min"; a field that isn't there is placed where it would be. The checks of other rooms (SQL features, an
// answer of the API) use it to say where.
func (r Resource) At(path, message, hint string) Error {
	var p pointer
	for _, part := range strings.FieldsFunc(path, func(c rune) bool { return c == '.' || c == '[' || c == ']' }) {
		p = append(p, part)
	}
	return r.error(p, message, hint)
}

func (r Resource) error(p pointer, message, hint string) Error {
	if r.src == nil {
		return Error{Path: p.String(), Message: message, Hint: hint}
	}
	return r.src.error(p, message, hint)
}

// path makes a pointer of field names and list indices.
func path(parts ...any) pointer {
	p := make(pointer, len(parts))
	for i, part := range parts {
		switch part := part.(type) {
		case int:
			p[i] = strconv.Itoa(part)
		case string:
			p[i] = part
		}
	}
	return p
}
