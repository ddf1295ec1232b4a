package resource

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing that is wrong with a resource: where, what, and what to do.
type Error struct {
	File    string // as it was given; "" for a document that came as JSON
	Line    int    // from 1; 0 when there is no file
	Column  int    // from 1
	Path    string // "spec.columns[2].min"
	Message string
	Hint    string // what to do; may be empty
}

// Where is "file:line:column", or the path of a document without a file.
func (e Error) Where() string {
	if e.Line == 0 {
		return e.Path
	}
	return fmt.Sprintf("%s:%d:%d", cmp.Or(e.File, "-"), e.Line, e.Column)
}

// Error is "where: message", with the hint on a line of its own.
func (e Error) Error() string {
	s := e.Message
	if where := e.Where(); where != "" {
		s = where + ": " + s
	}
	if e.Hint != "" {
		s += "\n  hint: " + e.Hint
	}
	return s
}

// Errors is everything that is wrong, in the order of the files. It is never empty when it is returned.
type Errors []Error

// Error lists all of them, one after another.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// err is nil when there is nothing wrong; otherwise the errors in order, each place and message once.
func (es Errors) err() error {
	if len(es) == 0 {
		return nil
	}
	slices.SortStableFunc(es, func(a, b Error) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(es)
}
