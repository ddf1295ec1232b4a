package features

import (
	"context"
	"database/sql/driver"
	"fmt"
	"regexp"
	"strings"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/resource"
)

// Kind is what a feature or a label holds.
type Kind int

// Kinds.
const (
	Number  Kind = iota // float32 feature, float64 label
	Text                // string
	Boolean             // label only: 0 or 1
)

// LabelName is the label's column in exported files.
const LabelName = "label"

// Features are compiled expressions. They are immutable and safe for concurrent use.
type Features struct {
	Names     []string
	Kinds     []Kind   // Number or Text
	Used      []string // dataset columns that the features use, in the dataset's order
	LabelUsed []string // dataset columns that the label uses
	LabelKind Kind     // Boolean for a binary task, Text for multiclass, Number for regression

	engine    *lake.Engine
	spec      *resource.DatasetSpec
	eventTime string
	features  string // SQL, guarded
	label     string

	weight     string // SQL, guarded; "" for none
	weightUsed []string
}

var namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,62}$`)

// Compile guards and types the features and the label of a model. task is one of package resource's. Errors are for the
// person who wrote the SQL: they name the expression and what to do.
func Compile(ctx context.Context, e *lake.Engine, spec *resource.DatasetSpec, featuresSQL, labelSQL, task string) (*Features, error) {
	f := &Features{engine: e, spec: spec, eventTime: spec.EventTime(), features: featuresSQL, label: labelSQL}
	label := &guard{what: "label", list: labelSQL, spec: spec, used: map[string]bool{}, functions: map[string]*node{}}
	if n, err := label.check(ctx, e); err != nil {
		return nil, err
	} else if len(n) != 1 {
		return nil, fmt.Errorf("label: one expression is needed, there are %d", len(n))
	}
	inputs := &guard{what: "features", list: featuresSQL, spec: spec, used: map[string]bool{}, functions: map[string]*node{}, forbidden: label.used}
	nodes, err := inputs.check(ctx, e)
	if err != nil {
		return nil, err
	}
	f.Used, f.LabelUsed = ordered(spec, inputs.used), ordered(spec, label.used)
	if err := f.name(inputs, nodes); err != nil {
		return nil, err
	}
	return f, f.types(ctx, task)
}

// check parses and walks the guard's list.
func (g *guard) check(ctx context.Context, e *lake.Engine) ([]node, error) {
	nodes, err := parse(ctx, e, g.what, g.list)
	if err != nil {
		return nil, err
	}
	for i := range nodes {
		if err := g.walk(&nodes[i]); err != nil {
			return nil, err
		}
	}
	return nodes, g.checkFunctions(ctx, e)
}

func ordered(spec *resource.DatasetSpec, used map[string]bool) (out []string) {
	for _, c := range spec.Columns {
		if used[c.Name] {
			out = append(out, c.Name)
		}
	}
	return out
}

// name gives each feature its alias, or its column's name as the dataset writes it.
func (f *Features) name(g *guard, nodes []node) error {
	seen := map[string]bool{}
	for i := range nodes {
		n := &nodes[i]
		name := n.Alias
		if name == "" && n.Class == "COLUMN_REF" {
			name = n.Names[len(n.Names)-1]
			for _, c := range f.spec.Columns {
				if strings.EqualFold(c.Name, name) {
					name = c.Name
				}
			}
		}
		switch {
		case name == "":
			return g.refuse(n, "the feature has no name; write … AS name")
		case !namePattern.MatchString(name):
			return g.refuse(n, "the name %q is not allowed; begin with a letter and use letters, digits and _.-", name)
		case strings.EqualFold(name, LabelName):
			return g.refuse(n, "the name %q is the label's; choose another with AS", name)
		case seen[strings.ToLower(name)]:
			return g.refuse(n, "there are two features %q; name them apart with AS", name)
		}
		seen[strings.ToLower(name)] = true
		f.Names = append(f.Names, name)
	}
	return nil
}

// types asks DuckDB for the types over an empty table.
func (f *Features) types(ctx context.Context, task string) error {
	source := f.emptySource()
	types, err := f.describe(ctx, "features", f.features, source)
	if err != nil {
		return err
	}
	if len(types) != len(f.Names) {
		return fmt.Errorf("features: %d expressions give %d columns", len(f.Names), len(types))
	}
	for i, t := range types {
		switch kind, ok := kindOf(t); {
		case !ok:
			return fmt.Errorf("features: %s is a %s, which a model cannot take; cast it to a number or to VARCHAR, for times take parts like hour(…)", f.Names[i], t)
		case kind == Boolean:
			f.Kinds = append(f.Kinds, Number)
		default:
			f.Kinds = append(f.Kinds, kind)
		}
	}
	if types, err = f.describe(ctx, "label", f.labelItem(), source); err != nil {
		return err
	}
	f.LabelKind, err = labelKind(types[0], task)
	return err
}

// emptySource is a table with the dataset's columns.
func (f *Features) emptySource() string {
	var columns []string
	for _, c := range f.spec.Columns {
		columns = append(columns, "NULL::"+lake.SQLType(c.Type)+" AS "+lake.Ident(c.Name))
	}
	return "(SELECT " + strings.Join(columns, ", ") + ") t"
}

// labelItem keeps the label one item, whatever comments it ends with.
func (f *Features) labelItem() string { return "(" + f.label + "\n)" }

func (f *Features) describe(ctx context.Context, what, list, source string) (types []string, err error) {
	err = f.engine.Scan(ctx, "DESCRIBE SELECT "+list+"\nFROM "+source, func(v []driver.Value) error {
		types = append(types, v[1].(string))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return types, nil
}

func kindOf(sqlType string) (Kind, bool) {
	switch base, _, _ := strings.Cut(sqlType, "("); base {
	case "BOOLEAN":
		return Boolean, true
	case "VARCHAR":
		return Text, true
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL":
		return Number, !strings.HasSuffix(sqlType, "]")
	}
	return 0, false
}

// labelKind holds a label's type against the task.
func labelKind(sqlType, task string) (Kind, error) {
	kind, ok := kindOf(sqlType)
	switch task {
	case resource.TaskBinary:
		if ok && kind == Boolean {
			return Boolean, nil
		}
		return 0, fmt.Errorf("label: a binary task needs a boolean, the label is %s; write a comparison, for example … = 1", sqlType)
	case resource.TaskMulticlass:
		if ok && sqlType != "FLOAT" && sqlType != "DOUBLE" && !strings.HasPrefix(sqlType, "DECIMAL") {
			return Text, nil
		}
		return 0, fmt.Errorf("label: a multiclass task needs a text or a whole number, the label is %s; cast it to VARCHAR or INTEGER", sqlType)
	case resource.TaskRegression:
		if ok && kind == Number {
			return Number, nil
		}
		return 0, fmt.Errorf("label: a regression needs a number, the label is %s; cast it to DOUBLE", sqlType)
	}
	return 0, fmt.Errorf("label: unknown task %q; use %s, %s or %s", task, resource.TaskBinary, resource.TaskMulticlass, resource.TaskRegression)
}
