package features

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/resource"
)

// pureMacros are the SQL macros of DuckDB that are expressions over their arguments and nothing else; macros carry no
// stability of their own.
var pureMacros = []string{"nullif", "split_part", "fmod", "fdiv", "date_add", "days_in_month", "round_even", "roundbankers"}

// notPure are functions that DuckDB calls CONSISTENT though their result depends on more than their arguments.
var notPure = []string{"current_setting", "getvariable", "version"}

// castTypes are the types that a cast may name.
var castTypes = []string{"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
	"UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "VARCHAR", "DATE", "TIME", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS",
	"TIMESTAMP WITH TIME ZONE", "INTERVAL"}

// refusals say what to do instead of an expression class that is not allowed.
var refusals = map[string]string{
	"SUBQUERY":  "subqueries are not allowed; features look at one row",
	"WINDOW":    "windows are not allowed; features look at one row",
	"STAR":      "* is not allowed; name the columns",
	"LAMBDA":    "lambdas are not allowed; write the expression out",
	"PARAMETER": "parameters are not allowed; write the value",
	"COLLATE":   "collations are not allowed; use lower() or strip_accents()",
}

// guard walks expressions and refuses what is not allowed.
type guard struct {
	what      string // "features" or "label"
	list      string // source
	spec      *resource.DatasetSpec
	forbidden map[string]bool // columns that must not be used
	used      map[string]bool
	functions map[string]*node // by lower-case name, for checkFunctions
}

func (g *guard) refuse(n *node, format string, args ...any) error {
	return fmt.Errorf("%s near %s: %s", g.what, excerpt(g.list, n.Location), fmt.Sprintf(format, args...))
}

func (g *guard) walk(n *node) error {
	if n == nil {
		return nil
	}
	switch n.Class {
	case "COLUMN_REF":
		return g.column(n)
	case "CONSTANT", "CASE", "COMPARISON", "CONJUNCTION", "OPERATOR", "BETWEEN":
	case "CAST":
		if !slices.Contains(castTypes, n.CastType.ID) {
			return g.refuse(n, "a cast to this type is not allowed; cast to a number, BOOLEAN, VARCHAR, DATE or TIMESTAMP")
		}
	case "FUNCTION":
		if err := g.function(n); err != nil {
			return err
		}
	default:
		if text, ok := refusals[n.Class]; ok {
			return g.refuse(n, "%s", text)
		}
		return g.refuse(n, "%s is not allowed; use columns, constants, casts, CASE, operators and row-wise functions", strings.ToLower(n.Class))
	}
	for _, c := range n.children() {
		if err := g.walk(c); err != nil {
			return err
		}
	}
	return nil
}

func (g *guard) column(n *node) error {
	names := n.Names
	if len(names) == 2 && names[0] == "t" {
		names = names[1:]
	}
	name := strings.Join(names, ".")
	for _, c := range g.spec.Columns {
		if len(names) != 1 || !strings.EqualFold(c.Name, name) {
			continue
		}
		if g.forbidden[c.Name] {
			return g.refuse(n, "the label is made of %s, so no feature may use it: the model would be told the answer; leave it out", c.Name)
		}
		g.used[c.Name] = true
		return nil
	}
	var have []string
	for _, c := range g.spec.Columns {
		have = append(have, c.Name)
	}
	return g.refuse(n, "the dataset has no column %q; its columns are %s", name, strings.Join(have, ", "))
}

// function checks the call; what the function is, is asked of DuckDB once for all (checkFunctions).
func (g *guard) function(n *node) error {
	name := strings.ToLower(n.Function)
	switch {
	case n.Distinct || !absent(n.Filter) || len(n.OrderBys.Orders) > 0:
		return g.refuse(n, "aggregates are not allowed; features look at one row")
	case n.Catalog != "" || (n.Schema != "" && n.Schema != "main"):
		return g.refuse(n, "write the function's name without a schema")
	case slices.Contains(notPure, name):
		return g.refuse(n, "%s() depends on more than the row; features must give the same value at any time", name)
	case name == "age" && len(n.Children) < 2:
		return g.refuse(n, "age() of one time depends on the clock; give both times")
	}
	if _, ok := g.functions[name]; !ok {
		g.functions[name] = n
	}
	return nil
}

// checkFunctions allows a function when all that DuckDB knows by its name are row-wise and depend on nothing but their
// arguments.
func (g *guard) checkFunctions(ctx context.Context, e *lake.Engine) error {
	if len(g.functions) == 0 {
		return nil
	}
	var names []string
	for name := range g.functions {
		names = append(names, lake.Literal(name))
	}
	slices.Sort(names)
	verdicts := map[string]string{}
	q := "SELECT DISTINCT lower(function_name), function_type, coalesce(stability, '') FROM duckdb_functions() WHERE lower(function_name) IN (" +
		strings.Join(names, ", ") + ") ORDER BY ALL"
	err := e.Scan(ctx, q, func(v []driver.Value) error {
		name, kind, stability := v[0].(string), v[1].(string), v[2].(string)
		text := ""
		switch {
		case kind == "scalar" && stability == "CONSISTENT", kind == "macro" && slices.Contains(pureMacros, name):
		case kind == "scalar" || kind == "macro":
			text = name + "() depends on when or where it runs; features must give the same value at any time"
		case kind == "aggregate":
			text = name + "() is an aggregate; features look at one row"
		default:
			text = name + "() makes tables; features look at one row"
		}
		if text != "" || verdicts[name] == "" {
			verdicts[name] = text
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: look functions up: %w", g.what, err)
	}
	for _, quoted := range names {
		name := strings.ReplaceAll(quoted[1:len(quoted)-1], "''", "'")
		text, known := verdicts[name]
		if !known {
			text = "there is no function " + name + "()"
		}
		if text != "" {
			return g.refuse(g.functions[name], "%s", text)
		}
	}
	return nil
}
