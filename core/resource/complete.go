package resource

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"

	"github.com/tidemill/tidemill/events"
)

// complete fills in the schema's defaults and brings numbers and durations to the form that decodes; the document must keep
// its schema. Its findings are values that the schema can't bound.
func complete(d *document, kindName string) Errors {
	c := completer{doc: d, root: contracts()[kindName]}
	d.value = c.fill(c.root, d.value, nil)
	return c.errs
}

type completer struct {
	doc  *document
	root map[string]any
	errs Errors
}

func (c *completer) fill(s map[string]any, v any, p pointer) any {
	if ref := text(s["$ref"]); ref != "" {
		s = at(c.root, ref)
		switch ref {
		case "#/$defs/duration":
			c.duration(p, text(v), 0, text(s["description"]))
		case "#/$defs/positiveDuration":
			c.duration(p, text(v), 1, text(s["description"]))
		}
	}
	switch v := v.(type) {
	case map[string]any:
		props := properties(s)
		for name, ps := range props {
			if _, given := v[name]; !given && ps["default"] != nil {
				v[name] = clone(ps["default"])
			}
		}
		for name := range v {
			ps := props[name]
			if ps == nil {
				ps = others(s)
			}
			v[name] = c.fill(ps, v[name], p.with(name))
		}
	case []any:
		items, _ := s["items"].(map[string]any)
		for i := range v {
			v[i] = c.fill(items, v[i], p.with(strconv.Itoa(i)))
		}
	case json.Number:
		return c.number(s, v, p)
	}
	return v
}

// others is the schema of a mapping's fields that have names of the user's own.
func others(s map[string]any) map[string]any {
	patterns, _ := s["patternProperties"].(map[string]any)
	for _, rule := range patterns { // one at most
		m, _ := rule.(map[string]any)
		return m
	}
	m, _ := s["additionalProperties"].(map[string]any)
	return m
}

// duration refuses what the pattern lets pass: too long to count in nanoseconds, or too short.
func (c *completer) duration(p pointer, s string, atLeast Duration, hint string) {
	got, err := events.ParseDuration(s)
	if err == nil && got < atLeast {
		err = fmt.Errorf("%q must be longer than 0", s)
	}
	if err != nil {
		c.errs = append(c.errs, c.doc.error(p, fmt.Sprintf("%s: %v", p, err), hint))
	}
}

// number writes a whole number (5.0 and 5e3 are whole, too) so that it decodes into an integer.
func (c *completer) number(s map[string]any, n json.Number, p pointer) any {
	// What may be true or false as well is a value of the user's own, and stays as it is.
	if types, ok := s["type"].([]any); ok && slices.Contains(types, any("string")) && !slices.Contains(types, any("boolean")) {
		return n.String() // worseBy: 0.02 is the text "0.02"
	}
	if text(s["type"]) != "integer" {
		return n
	}
	r, ok := new(big.Rat).SetString(n.String())
	if !ok || !r.IsInt() || !r.Num().IsInt64() {
		c.errs = append(c.errs, c.doc.error(p, fmt.Sprintf("%s: %s is too large", p, n), text(s["description"])))
		return json.Number("0")
	}
	return json.Number(r.Num().String())
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}
