package resource

import (
	"strings"
)

func (c *checker) dataset(d *DatasetSpec) {
	seen := map[string]int{}
	times := 0
	for i := range d.Columns {
		col := &d.Columns[i]
		p := path("spec", "columns", i)
		// SQL doesn't tell Delay from delay.
		c.unique(p.with("name"), "column", seen, strings.ToLower(col.Name), col.Name, i)
		c.column(p, col)
		if col.EventTime {
			if times++; times > 1 {
				c.fail(p.with("eventTime"), "keep eventTime: true on the one that says when the row happened", "%s: a dataset has one event-time column, this is the second", p.with("eventTime"))
			}
		}
	}
	if times == 0 {
		hint := "add eventTime: true to the timestamp column that says when the row happened"
		if name := onlyTimestamp(d.Columns); name != "" {
			hint = "add eventTime: true to the column " + name
		}
		c.fail(path("spec", "columns"), hint, "spec.columns: no column is the event time")
	}
	for i, r := range d.Rules {
		c.rule(path("spec", "rules", i), r, d)
	}
}

func onlyTimestamp(columns []Column) string {
	name := ""
	for _, col := range columns {
		if col.Type == TypeTimestamp {
			if name != "" {
				return ""
			}
			name = col.Name
		}
	}
	return name
}

func isNumber(typ string) bool { return typ == TypeFloat64 || typ == TypeInt64 }

func (c *checker) column(p pointer, col *Column) {
	if col.EventTime {
		if col.Type != TypeTimestamp {
			c.fail(p.with("type"), "type: timestamp", "%s: the event time must be a timestamp, not %s", p.with("type"), an(col.Type))
		}
		if _, given := c.field(p.with("required")); given && !col.Required {
			c.fail(p.with("required"), "remove required: false", "%s: the event time is always required", p.with("required"))
		}
		col.Required = true
	}
	for name, set := range map[string]bool{"min": col.Min != nil, "max": col.Max != nil} {
		if set && !isNumber(col.Type) {
			c.fail(p.with(name), "", "%s: only a float64 or int64 column has bounds, this is %s", p.with(name), an(col.Type))
		}
	}
	if col.Min != nil && col.Max != nil && *col.Min >= *col.Max {
		c.fail(p.with("min"), "", "%s is %v; it must be below max, which is %v", p.with("min"), *col.Min, *col.Max)
	}
	if col.Values == nil {
		return
	}
	if col.Type != TypeString {
		c.fail(p.with("values"), "", "%s: only a string column has a list of values, this is %s", p.with("values"), an(col.Type))
	}
	seen := map[string]int{}
	for i, v := range col.Values {
		c.unique(p.with("values").with(path(i)[0]), "value", seen, v, v, i)
	}
}

// field finds a value of the document.
func (c *checker) field(p pointer) (any, bool) {
	v := c.doc.value
	for _, t := range p {
		switch h := v.(type) {
		case map[string]any:
			next, ok := h[t]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i := index(t, len(h))
			if i < 0 {
				return nil, false
			}
			v = h[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func (c *checker) rule(p pointer, r Rule, d *DatasetSpec) {
	conditions := []struct {
		name            string
		set             bool
		column, numeric bool
	}{
		{"minRows", r.MinRows != nil, false, false}, {"maxRows", r.MaxRows != nil, false, false},
		{"maxNulls", r.MaxNulls != nil, true, false}, {"minMean", r.MinMean != nil, true, true}, {"maxMean", r.MaxMean != nil, true, true},
		{"maxRefused", r.MaxRefused != nil, false, false}, {"minDistinct", r.MinDistinct != nil, true, false},
		{"maxDistinct", r.MaxDistinct != nil, true, false}, {"maxDelay", r.MaxDelay != nil, false, false},
	}
	var set, all []string
	for _, k := range conditions {
		all = append(all, k.name)
		if !k.set {
			continue
		}
		set = append(set, k.name)
		col, found := d.Column(r.Column)
		switch {
		case k.column && r.Column == "":
			c.fail(p, "add column: NAME", "%s: %s needs a column", p, k.name)
		case !k.column && r.Column != "":
			c.fail(p.with("column"), "remove column", "%s: %s is about the whole segment, not a column", p.with("column"), k.name)
		case k.numeric && found && !isNumber(col.Type):
			c.fail(p.with(k.name), "", "%s: only a float64 or int64 column has a mean, %s is %s", p.with(k.name), col.Name, an(col.Type))
		}
	}
	switch {
	case len(set) == 0:
		c.fail(p, "", "%s needs exactly one of %s", p, strings.Join(all, ", "))
	case len(set) > 1:
		c.fail(p, "make each a rule of its own", "%s has %s; it must have exactly one", p, strings.Join(set, " and "))
	}
	if _, found := d.Column(r.Column); r.Column != "" && !found {
		c.fail(p.with("column"), suggestOr(r.Column, columnNames(d), "columns"), "%s: there is no column %q", p.with("column"), r.Column)
	}
}

func columnNames(d *DatasetSpec) []string {
	names := make([]string, len(d.Columns))
	for i, col := range d.Columns {
		names[i] = col.Name
	}
	return names
}
