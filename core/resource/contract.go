package resource

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/tidemill/tidemill/schemas"
)

// Kinds lists the kinds of resources, in the order in which they depend on each other.
func Kinds() []string { return []string{KindDataset, KindModel, KindRetrainingPolicy} }

// contracts are the schemas as values, read once: the embedded bytes never change. Nobody writes to them.
var contracts = sync.OnceValue(func() map[string]map[string]any {
	out := map[string]map[string]any{}
	for _, k := range Kinds() {
		b, err := schemas.Resource(k)
		var root map[string]any
		if err == nil {
			err = json.Unmarshal(b, &root)
		}
		if err != nil {
			// The tests of package schemas keep this from happening.
			panic(fmt.Sprintf("embedded schema of %s: %v", k, err))
		}
		out[k] = root
	}
	return out
})

// checkSchema reports everything in which the document breaks the schema of its kind.
func checkSchema(d *document, kindName string) Errors {
	b, err := json.Marshal(d.value)
	if err == nil {
		err = schemas.ValidateResource(kindName, b)
	}
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &invalid):
		return Errors{d.error(nil, err.Error(), "")}
	}
	var errs Errors
	root := contracts()[kindName]
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			errs = append(errs, explain(d, e, at(root, e.SchemaURL))...)
			return
		}
		causes := e.Causes
		if _, ok := e.ErrorKind.(*kind.AnyOf); ok {
			causes = causes[nearest(causes):][:1]
		}
		for _, c := range causes {
			walk(c)
		}
	}
	walk(invalid)
	return errs
}

// nearest is the alternative that the document was meant to be: the one in which the validator came furthest. Of equals it is
// the first.
func nearest(alternatives []*jsonschema.ValidationError) int {
	best, deepest := 0, -1
	for i, a := range alternatives {
		if n := depth(a); n > deepest {
			best, deepest = i, n
		}
	}
	return best
}

func depth(e *jsonschema.ValidationError) int {
	n := len(e.InstanceLocation)
	for _, c := range e.Causes {
		n = max(n, depth(c))
	}
	return n
}

// at is the part of the schema that a URL's fragment points to.
func at(root map[string]any, location string) map[string]any {
	_, fragment, _ := strings.Cut(location, "#")
	here := any(root)
	for _, t := range strings.Split(strings.Trim(fragment, "/"), "/") {
		if plain, err := url.PathUnescape(t); err == nil {
			t = plain
		}
		t = strings.NewReplacer("~1", "/", "~0", "~").Replace(t)
		switch h := here.(type) {
		case map[string]any:
			if t != "" {
				here = h[t]
			}
		case []any:
			if i := index(t, len(h)); i >= 0 {
				here = h[i]
			}
		}
	}
	m, _ := here.(map[string]any)
	return m
}

// explain turns one finding of the validator into words for a person; s is the part of the schema that was broken.
func explain(d *document, e *jsonschema.ValidationError, s map[string]any) Errors {
	p := pointer(e.InstanceLocation)
	name, description, title := shown(p), text(s["description"]), text(s["title"])
	one := func(message, hint string) Errors { return Errors{d.error(p, message, hint)} }
	fields := slices.Sorted(maps.Keys(properties(s)))
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		return unknownFields(d, p, k.Properties, s)
	case *kind.Required:
		var errs Errors
		for _, m := range k.Missing {
			hint := text(properties(s)[m]["description"])
			if hint != "" {
				hint = m + ": " + hint
			}
			errs = append(errs, d.error(p, fmt.Sprintf("%s lacks the field %q", name, m), hint))
		}
		return errs
	case *kind.Type:
		if k.Got == "number" && slices.Equal(k.Want, []string{"integer"}) {
			return one(name+" must be a whole number", description)
		}
		return one(fmt.Sprintf("%s must be %s, not %s", name, wanted(k.Want, s), article(k.Got)), typeHint(k, description))
	case *kind.Enum:
		return one(fmt.Sprintf("%s is %v; it must be %s", name, quoted(k.Got), either(k.Want)), enumHint(k, description))
	case *kind.Const:
		return one(fmt.Sprintf("%s is %v; it must be %v", name, quoted(k.Got), quoted(k.Want)), "")
	case *kind.Pattern:
		if strings.TrimSpace(k.Got) == "" {
			return one(name+" is empty", description)
		}
		return one(fmt.Sprintf("%s: %q is not a valid %s", name, k.Got, title), description)
	case *kind.MinProperties:
		if len(fields) == 0 {
			return one(name+" is empty", description)
		}
		return one(fmt.Sprintf("%s needs exactly one of %s", name, strings.Join(fields, ", ")), "")
	case *kind.MaxProperties:
		return one(fmt.Sprintf("%s has %s; it must have exactly one", name, strings.Join(fieldsOf(d.value, p), " and ")), several(p, s))
	case *kind.MinItems, *kind.MaxItems:
		if n, ok := s["minItems"]; ok && n == s["maxItems"] {
			return one(fmt.Sprintf("%s must have %v entries", name, n), description)
		}
		return one(fmt.Sprintf("%s must not be an empty list", name), description)
	case *kind.MinLength:
		return one(name+" is empty", description)
	case *kind.Minimum:
		return one(fmt.Sprintf("%s is %s; it must be at least %s", name, number(k.Got), number(k.Want)), description)
	case *kind.Maximum:
		return one(fmt.Sprintf("%s is %s; it must be at most %s", name, number(k.Got), number(k.Want)), description)
	case *kind.ExclusiveMinimum:
		return one(fmt.Sprintf("%s is %s; it must be above %s", name, number(k.Got), number(k.Want)), description)
	case *kind.ExclusiveMaximum:
		return one(fmt.Sprintf("%s is %s; it must be below %s", name, number(k.Got), number(k.Want)), description)
	}
	return one(name+": "+e.ErrorKind.LocalizedString(message.NewPrinter(language.English)), description)
}

func unknownFields(d *document, p pointer, unknown []string, s map[string]any) Errors {
	var errs Errors
	title, fields := text(s["title"]), slices.Sorted(maps.Keys(properties(s)))
	message, hint := "%s has no field %q", ""
	if len(fields) == 0 {
		hint = title + " has no fields: write {}"
	}
	// A mapping whose names are the user's own has a pattern for them.
	patterns, _ := s["patternProperties"].(map[string]any)
	for _, rule := range patterns {
		r, _ := rule.(map[string]any)
		message, hint = "%s: %q is not a valid "+text(r["title"]), text(r["description"])
	}
	for _, u := range unknown {
		errs = append(errs, d.errorAtKey(p.with(u), fmt.Sprintf(message, shown(p), u), cmp.Or(hint, suggestOr(u, fields, "fields of "+title))))
	}
	return errs
}

// shown is a path as a sentence begins with it.
func shown(p pointer) string {
	if len(p) == 0 {
		return "the document"
	}
	return p.String()
}

func text(v any) string { s, _ := v.(string); return s }

func properties(s map[string]any) map[string]map[string]any {
	raw, _ := s["properties"].(map[string]any)
	out := make(map[string]map[string]any, len(raw))
	for k, v := range raw {
		out[k], _ = v.(map[string]any)
	}
	return out
}

func article(typ string) string {
	switch typ {
	case "object":
		return "a mapping"
	case "array":
		return "a list"
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "null":
		return "empty"
	}
	return "a " + typ
}

func wanted(want []string, s map[string]any) string {
	if title := text(s["title"]); title != "" && text(s["type"]) == "string" {
		return "a " + title
	}
	words := make([]string, len(want))
	for i, w := range want {
		words[i] = article(w)
	}
	return strings.Join(words, " or ")
}

func typeHint(k *kind.Type, description string) string {
	if slices.Contains(k.Want, "string") && (k.Got == "number" || k.Got == "boolean") && description == "" {
		return "put it in quotes"
	}
	return description
}

func enumHint(k *kind.Enum, description string) string {
	got, isText := k.Got.(string)
	var words []string
	for _, w := range k.Want {
		words = append(words, text(w))
	}
	if isText {
		if s := suggest(got, words); s != "" {
			return s
		}
	}
	return description
}

// several says how to write what people mean by two fields where one is allowed.
func several(p pointer, s map[string]any) string {
	if text(s["title"]) == "trigger" {
		return "put each into the list of any or all: any: [{newData: …}, {maxAge: …}]"
	}
	return "keep one of them"
}

func fieldsOf(v any, p pointer) []string {
	for _, t := range p {
		switch h := v.(type) {
		case map[string]any:
			v = h[t]
		case []any:
			if i := index(t, len(h)); i >= 0 {
				v = h[i]
			}
		}
	}
	m, _ := v.(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

// index is the list index that a part of a pointer names, or -1.
func index(t string, n int) int {
	if i, err := strconv.Atoi(t); err == nil && i >= 0 && i < n {
		return i
	}
	return -1
}

func quoted(v any) any {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case nil:
		return "empty"
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	}
	return v
}

func either(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
	return strings.Join(words, "")
}

func number(r *big.Rat) string {
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}
