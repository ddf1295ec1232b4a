package resource

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Change is one difference between two documents. Old is nil for what was added, New for what was removed.
type Change struct {
	Path string // "spec.split.test", "spec.candidates[logistic].params.l2"
	Old  any
	New  any
}

// Diff lists what is different in new, defaults included, in order of path. Entries of lists that have names are compared by
// name, other lists as a whole. A zero old (a resource that is new) gives one change with the whole document, and so does a
// zero new.
func Diff(old, new Resource) ([]Change, error) {
	var a, b any
	for _, side := range []struct {
		r   Resource
		out *any
	}{{old, &a}, {new, &b}} {
		if len(side.r.Canonical) == 0 {
			continue
		}
		if err := json.Unmarshal(side.r.Canonical, side.out); err != nil {
			return nil, fmt.Errorf("compare %s %s: %w", side.r.Kind, side.r.Metadata.Name, err)
		}
	}
	var out []Change
	diff("", a, b, &out)
	return out, nil
}

func diff(path string, a, b any, out *[]Change) {
	if reflect.DeepEqual(a, b) {
		return
	}
	left, right, form, ok := entries(a, b)
	if !ok {
		*out = append(*out, Change{Path: path, Old: a, New: b})
		return
	}
	all := maps.Clone(left)
	maps.Copy(all, right)
	before := len(*out)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		at := fmt.Sprintf(form, path, name)
		if path == "" {
			at = name
		}
		diff(at, left[name], right[name], out)
	}
	if len(*out) == before { // the same entries in another order
		*out = append(*out, Change{Path: path, Old: a, New: b})
	}
}

// entries are the parts of two mappings, or of two lists with names, and how a part's path is written.
func entries(a, b any) (left, right map[string]any, form string, ok bool) {
	left, isMap := a.(map[string]any)
	right, both := b.(map[string]any)
	if isMap && both {
		return left, right, "%s.%s", true
	}
	left, isMap = byName(a)
	right, both = byName(b)
	return left, right, "%s[%s]", isMap && both
}

// byName is a list of mappings with distinct names.
func byName(v any) (map[string]any, bool) {
	list, _ := v.([]any)
	out := make(map[string]any, len(list))
	for _, e := range list {
		m, _ := e.(map[string]any)
		name, ok := m["name"].(string)
		if _, twice := out[name]; !ok || twice {
			return nil, false
		}
		out[name] = e
	}
	return out, len(list) > 0
}
