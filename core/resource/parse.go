package resource

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxBytes bounds a file of resources; maxDepth bounds how deep its lists and mappings may nest.
const (
	maxBytes = 1 << 20
	maxDepth = 200
)

// Parse reads the resources of one YAML file with any number of documents. Each is checked against its schema and in itself;
// references to other resources are CrossCheck's. The error is an Errors with everything that is wrong; there are no
// resources then. filename is only for the errors.
func Parse(src []byte, filename string) ([]Resource, error) {
	if err := bounded(src, filename); err != nil {
		return nil, err
	}
	docs, errs := readYAML(src, filename)
	var out []Resource
	seen := map[string]*document{}
	for _, d := range docs {
		r, found := resourceOf(d)
		if len(found) > 0 {
			errs = append(errs, found...)
			continue
		}
		id := r.Kind + " " + r.Metadata.Name
		if first := seen[id]; first != nil {
			errs = append(errs, d.error(pointer{"metadata", "name"}, id+" is declared twice", fmt.Sprintf("the first is at line %d", first.start.line)))
			continue
		}
		seen[id] = d
		out = append(out, r)
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	return out, nil
}

// bounded refuses what the parser would spend too long on, or too much stack.
func bounded(src []byte, filename string) error {
	e := Error{File: filename, Line: 1, Column: 1}
	if len(src) > maxBytes {
		e.Message, e.Hint = fmt.Sprintf("the file has %d bytes, at most %d are read", len(src), maxBytes), "divide it into several files"
		return Errors{e}
	}
	depth, line, dashes := 0, 1, 0
	for _, b := range src {
		switch b {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		case '\n':
			line, dashes = line+1, 0
		case '-', '?', ':':
			dashes++
		}
		if depth > maxDepth || dashes > 20*maxDepth {
			e.Line, e.Message = line, fmt.Sprintf("lists and mappings nest more than %d deep", maxDepth)
			return Errors{e}
		}
	}
	return nil
}

// Read is Parse of everything that r has.
func Read(r io.Reader, filename string) ([]Resource, error) {
	src, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filename, err)
	}
	return Parse(src, filename)
}

// Load reads files, and every *.yaml and *.yml file directly within folders, in order of name. A resource that two files
// declare is an error. The error is an Errors when the files could be read.
func Load(paths ...string) ([]Resource, error) {
	files, err := expand(paths)
	if err != nil {
		return nil, err
	}
	var out []Resource
	var errs Errors
	seen := map[string]Resource{}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("read resources: %w", err)
		}
		rs, err := Parse(src, f)
		if found := (Errors)(nil); errors.As(err, &found) {
			errs = append(errs, found...)
		}
		for _, r := range rs {
			id := r.Kind + " " + r.Metadata.Name
			if first, twice := seen[id]; twice {
				errs = append(errs, r.error(pointer{"metadata", "name"}, id+" is declared twice", "the first is at "+first.error(pointer{"metadata", "name"}, "", "").Where()))
			}
			seen[id] = r
		}
		out = append(out, rs...)
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	return out, nil
}

func expand(paths []string) ([]string, error) {
	var files []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("read resources: %w", err)
		}
		if !info.IsDir() {
			files = append(files, p)
			continue
		}
		entries, err := os.ReadDir(p)
		if err != nil {
			return nil, fmt.Errorf("read resources: %w", err)
		}
		before := len(files)
		for _, e := range entries {
			if isYAML(e) {
				files = append(files, filepath.Join(p, e.Name()))
			}
		}
		if len(files) == before {
			return nil, fmt.Errorf("read resources: no .yaml file in the folder %s", p)
		}
	}
	return files, nil
}

func isYAML(e fs.DirEntry) bool {
	ext := filepath.Ext(e.Name())
	return !e.IsDir() && (ext == ".yaml" || ext == ".yml")
}

// FromJSON reads one resource from JSON: a document of an API request, or a Canonical. It checks as Parse does; the errors
// have paths instead of lines.
func FromJSON(src []byte) (Resource, error) { return fromJSON(src, "") }

// ParseJSON is FromJSON of one document or of a list of them. Paths in the errors of a list begin with the place in it:
// "[2].spec.label".
func ParseJSON(src []byte) ([]Resource, error) {
	var several []json.RawMessage
	if json.Unmarshal(src, &several) != nil {
		r, err := FromJSON(src)
		if err != nil {
			return nil, err
		}
		return []Resource{r}, nil
	}
	var out []Resource
	var errs Errors
	for i, b := range several {
		r, err := fromJSON(b, fmt.Sprintf("[%d].", i))
		var found Errors
		if errors.As(err, &found) {
			errs = append(errs, found...)
		} else if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	return out, nil
}

func fromJSON(src []byte, prefix string) (Resource, error) {
	d, err := readJSON(src, prefix)
	if err != nil {
		return Resource{}, err
	}
	r, errs := resourceOf(d)
	if err := errs.err(); err != nil {
		return Resource{}, err
	}
	return r, nil
}

func readJSON(src []byte, prefix string) (*document, error) {
	dec := json.NewDecoder(bytes.NewReader(src))
	dec.UseNumber()
	d := &document{prefix: prefix}
	if err := dec.Decode(&d.value); err != nil {
		return nil, Errors{d.error(nil, "not JSON: "+err.Error(), "")}
	}
	if dec.More() {
		return nil, Errors{d.error(nil, "more than one JSON document", "send a list of resources")}
	}
	var errs Errors
	d.value = finite(d, d.value, nil, &errs)
	if err := errs.err(); err != nil {
		return nil, err
	}
	return d, nil
}

// finite rewrites numbers with an exponent: exact arithmetic on 1e999999999 would never end.
func finite(d *document, v any, p pointer, errs *Errors) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = finite(d, v[k], p.with(k), errs)
		}
	case []any:
		for i := range v {
			v[i] = finite(d, v[i], p.with(strconv.Itoa(i)), errs)
		}
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			*errs = append(*errs, d.error(p, fmt.Sprintf("%s: a number is out of range", shown(p)), ""))
			return json.Number("0")
		}
		if strings.ContainsAny(v.String(), ".eE") {
			return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
		}
	}
	return v
}

// resourceOf checks a document, completes it and decodes it.
func resourceOf(d *document) (Resource, Errors) {
	r := Resource{src: d}
	if errs := checkHeader(d); len(errs) > 0 {
		return r, errs
	}
	kindName := text(d.value.(map[string]any)["kind"])
	if errs := checkSchema(d, kindName); len(errs) > 0 {
		return r, errs
	}
	if errs := complete(d, kindName); len(errs) > 0 {
		return r, errs
	}
	if err := r.decode(d.value); err != nil {
		return r, Errors{d.error(nil, err.Error(), "")}
	}
	c := &checker{doc: d}
	switch {
	case r.Dataset != nil:
		c.dataset(r.Dataset)
	case r.Model != nil:
		c.model(r.Model)
	case r.Policy != nil:
		c.policy(r.Policy)
	}
	if len(c.errs) > 0 {
		return r, c.errs
	}
	if err := r.seal(); err != nil {
		return r, Errors{d.error(nil, err.Error(), "")}
	}
	return r, nil
}

// checkHeader finds out which schema to hold the document against.
func checkHeader(d *document) Errors {
	m, ok := d.value.(map[string]any)
	if !ok {
		return Errors{d.error(nil, "a resource must be a mapping with apiVersion, kind, metadata and spec", "")}
	}
	kindValue, given := m["kind"]
	name, isText := kindValue.(string)
	switch {
	case !given:
		return Errors{d.error(nil, `the document lacks the field "kind"`, cmp.Or(misspelt(m, "kind"), "kind: "+either(anyOf(Kinds()))))}
	case !isText || !slices.Contains(Kinds(), name):
		return Errors{d.error(pointer{"kind"}, fmt.Sprintf("kind is %v; it must be %s", quoted(kindValue), either(anyOf(Kinds()))), suggest(name, Kinds()))}
	}
	return nil
}

// misspelt finds the field that was probably meant.
func misspelt(m map[string]any, name string) string {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if suggest(k, []string{name}) != "" {
			return fmt.Sprintf("did you mean %q where it says %q?", name, k)
		}
	}
	return ""
}

func anyOf(words []string) []any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = w
	}
	return out
}
