package resource

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxNodes bounds one document: aliases can make a short file as long as they like.
const maxNodes = 200_000

// place is a position in a file, from 1.
type place struct{ line, column int }

// document is one YAML or JSON document as JSON values, with the places they came from.
type document struct {
	file   string
	prefix string // of paths in errors, for one of several documents without a file: "[2]."
	start  place
	value  any              // map[string]any, []any, string, json.Number, bool or nil
	keys   map[string]place // by pointer: the field's name
	values map[string]place // by pointer: the value; that of a mapping or list is its field's name, or its first entry
}

// pointer is a path within a document; list indices are decimal.
type pointer []string

func (p pointer) key() string { return strings.Join(p, "\x00") }

// String is the form people read: "spec.columns[2].min".
func (p pointer) String() string {
	var b strings.Builder
	for i, t := range p {
		switch _, err := strconv.Atoi(t); {
		case err == nil:
			b.WriteString("[" + t + "]")
		case i > 0:
			b.WriteString("." + t)
		default:
			b.WriteString(t)
		}
	}
	return b.String()
}

func (p pointer) with(t string) pointer { return append(p[:len(p):len(p)], t) }

// error places a finding at the value of the pointer, or at the nearest value around it.
func (d *document) error(p pointer, message, hint string) Error {
	return d.at(d.values, p, message, hint)
}

func (d *document) path(p pointer) string { return strings.TrimSuffix(d.prefix+p.String(), ".") }

// errorAtKey places a finding at a field's name.
func (d *document) errorAtKey(p pointer, message, hint string) Error {
	return d.at(d.keys, p, message, hint)
}

func (d *document) at(places map[string]place, p pointer, message, hint string) Error {
	e := Error{File: d.file, Line: d.start.line, Column: d.start.column, Path: d.path(p), Message: message, Hint: hint}
	for q := p; ; q = q[:len(q)-1] {
		at, ok := places[q.key()]
		if !ok {
			at, ok = d.values[q.key()]
		}
		if ok {
			e.Line, e.Column = at.line, at.column
			return e
		}
		if len(q) == 0 {
			return e
		}
	}
}

// readYAML splits a file into its documents; empty ones are left out.
func readYAML(src []byte, file string) ([]*document, Errors) {
	f, err := parseYAML(src)
	if err != nil {
		e := Error{File: file, Line: 1, Column: 1, Message: "not YAML: " + err.Error()}
		var y yaml.Error
		if errors.As(err, &y) {
			e.Message = "not YAML: " + y.GetMessage()
			if t := y.GetToken(); t != nil && t.Position != nil && t.Position.Line > 0 {
				e.Line, e.Column = t.Position.Line, max(t.Position.Column, 1)
			}
		}
		e.Hint = "check the indentation, the colons and the quotes around here"
		return nil, Errors{e}
	}
	var docs []*document
	var errs Errors
	for _, d := range f.Docs {
		if d == nil || d.Body == nil || d.Body.Type() == ast.CommentType || d.Body.Type() == ast.NullType {
			continue
		}
		doc := &document{file: file, start: placeOf(d.Body, place{1, 1}), keys: map[string]place{}, values: map[string]place{}}
		c := converter{doc: doc, anchors: map[string]ast.Node{}}
		doc.value = c.convert(d.Body, nil, doc.start)
		if len(c.errs) > 0 {
			errs = append(errs, c.errs...)
			continue
		}
		docs = append(docs, doc)
	}
	if len(docs) == 0 && len(errs) == 0 {
		errs = append(errs, Error{File: file, Line: 1, Column: 1, Message: "no resource in this file",
			Hint: "a resource begins with apiVersion: " + APIVersion + " and kind: Dataset, Model or RetrainingPolicy"})
	}
	return docs, errs
}

// parseYAML is the parser, with a panic of the library (it has some on broken input) as an error.
func parseYAML(src []byte) (f *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, errors.New("the structure is broken")
		}
	}()
	return parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
}

// converter turns nodes into JSON values.
type converter struct {
	doc     *document
	anchors map[string]ast.Node
	open    []string // aliases being followed
	nodes   int
	errs    Errors
}

func (c *converter) fail(at place, p pointer, message, hint string) {
	if len(c.errs) < 20 {
		c.errs = append(c.errs, Error{File: c.doc.file, Line: at.line, Column: at.column, Path: p.String(), Message: message, Hint: hint})
	}
}

// convert returns the value of a node. holder is the place of the field that holds it.
func (c *converter) convert(n ast.Node, p pointer, holder place) any {
	if c.nodes++; c.nodes > maxNodes {
		c.fail(holder, p, fmt.Sprintf("more than %d values in one document", maxNodes), "")
		return nil
	}
	at := placeOf(n, holder)
	c.doc.values[p.key()] = at
	switch n := n.(type) {
	case *ast.MappingNode:
		return c.mapping(n.Values, p, holder)
	case *ast.MappingValueNode:
		return c.mapping([]*ast.MappingValueNode{n}, p, holder)
	case *ast.SequenceNode:
		c.doc.values[p.key()] = holder
		out := make([]any, len(n.Values))
		for i, v := range n.Values {
			out[i] = c.convert(v, p.with(strconv.Itoa(i)), placeOf(v, holder))
		}
		return out
	case *ast.AnchorNode:
		c.anchors[nodeText(n.Name)] = n.Value
		return c.convert(n.Value, p, holder)
	case *ast.AliasNode:
		return c.alias(n, p, holder)
	case *ast.StringNode:
		return plainNumber(n)
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.BoolNode:
		return n.Value
	case *ast.IntegerNode:
		return json.Number(fmt.Sprint(n.Value))
	case *ast.FloatNode:
		if math.IsInf(n.Value, 0) || math.IsNaN(n.Value) {
			break
		}
		return json.Number(strconv.FormatFloat(n.Value, 'g', -1, 64))
	case *ast.NullNode, nil:
		return nil
	case *ast.TagNode:
		c.fail(at, p, fmt.Sprintf("the tag %s is not allowed", n.Start.Value), "remove it; put text that looks like a number in quotes")
		return nil
	}
	c.fail(at, p, fmt.Sprintf("%s cannot be used here", strings.TrimSpace(n.String())), "only text, finite numbers, true, false, lists and mappings are allowed")
	return nil
}

// exponent is a number of YAML 1.2's core schema that the parser takes for text: 1e-4.
var exponent = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$`)

// plainNumber is the text of a node, or the number that it is when nobody quoted it.
func plainNumber(n *ast.StringNode) any {
	if n.Token == nil || n.Token.Type != token.StringType || !exponent.MatchString(n.Value) {
		return n.Value
	}
	f, err := strconv.ParseFloat(n.Value, 64)
	if err != nil {
		return n.Value
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
}

func (c *converter) alias(n *ast.AliasNode, p pointer, holder place) any {
	name := nodeText(n.Value)
	target, ok := c.anchors[name]
	for _, o := range c.open {
		ok = ok && o != name
	}
	if !ok {
		c.fail(placeOf(n, holder), p, fmt.Sprintf("the alias *%s names no anchor before it", name), fmt.Sprintf("write &%s before the value it should repeat", name))
		return nil
	}
	c.open = append(c.open, name)
	defer func() { c.open = c.open[:len(c.open)-1] }()
	// A finding within the repeated value is at home where it is written.
	return c.convert(target, p, holder)
}

func (c *converter) mapping(values []*ast.MappingValueNode, p pointer, holder place) any {
	c.doc.values[p.key()] = holder
	out := make(map[string]any, len(values))
	for _, v := range values {
		at := placeOf(v.Key, holder)
		if v.Key.IsMergeKey() {
			c.merge(out, v.Value, p, at)
			continue
		}
		name, ok := keyText(v.Key)
		if !ok {
			c.fail(at, p, "a field's name must be text", "")
			continue
		}
		q := p.with(name)
		if _, twice := out[name]; twice {
			if _, own := c.doc.keys[q.key()]; own {
				c.fail(at, q, fmt.Sprintf("the field %q is here twice", name), "remove one")
				continue
			}
		}
		c.doc.keys[q.key()] = at
		out[name] = c.convert(v.Value, q, at)
	}
	return out
}

// merge adds the fields of `<<: *other` that the mapping doesn't have yet; its own fields win.
func (c *converter) merge(out map[string]any, n ast.Node, p pointer, at place) {
	m, ok := c.convert(n, p.with("<<"), at).(map[string]any)
	if !ok {
		c.fail(at, p, "<< must be followed by the alias of a mapping", "")
		return
	}
	for k, v := range m {
		if _, own := out[k]; !own {
			out[k] = v
			c.doc.values[p.with(k).key()] = at
		}
	}
}

func nodeText(n ast.Node) string {
	if n == nil || n.GetToken() == nil {
		return ""
	}
	return n.GetToken().Value
}

func keyText(k ast.MapKeyNode) (string, bool) {
	switch k := k.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.MappingKeyNode:
		if s, ok := k.Value.(*ast.StringNode); ok {
			return s.Value, true
		}
		return "", false
	case *ast.IntegerNode, *ast.BoolNode, *ast.FloatNode, *ast.NullNode:
		return nodeText(k), true
	}
	return "", false
}

// placeOf is where a node begins, or holder when the parser doesn't say.
func placeOf(n ast.Node, holder place) place {
	var t *token.Token
	switch n := n.(type) {
	case nil:
		return holder
	case *ast.MappingNode:
		t = n.Start
		if !n.IsFlowStyle && len(n.Values) > 0 {
			t = n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		t = n.Key.GetToken()
	default:
		t = n.GetToken()
	}
	if t == nil || t.Position == nil || t.Position.Line < 1 {
		return holder
	}
	return place{t.Position.Line, max(t.Position.Column, 1)}
}
