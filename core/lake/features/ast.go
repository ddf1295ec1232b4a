package features

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tidemill/tidemill/core/lake"
)

// node is an expression of DuckDB's parse tree (json_serialize_sql), as far as the guard looks.
type node struct {
	Class    string   `json:"class"`
	Type     string   `json:"type"`
	Alias    string   `json:"alias"`
	Location uint64   `json:"query_location"` // byte in the query, or the highest uint64
	Names    []string `json:"column_names"`   // COLUMN_REF

	Function string          `json:"function_name"` // FUNCTION
	Schema   string          `json:"schema"`
	Catalog  string          `json:"catalog"`
	Distinct bool            `json:"distinct"`
	Filter   json.RawMessage `json:"filter"`
	OrderBys struct {
		Orders []json.RawMessage `json:"orders"`
	} `json:"order_bys"`

	CastType struct { // CAST
		ID string `json:"id"`
	} `json:"cast_type"`

	Children []node `json:"children"`
	Child    *node  `json:"child"`
	Left     *node  `json:"left"`
	Right    *node  `json:"right"`
	Input    *node  `json:"input"` // BETWEEN
	Lower    *node  `json:"lower"`
	Upper    *node  `json:"upper"`
	Checks   []struct {
		When *node `json:"when_expr"`
		Then *node `json:"then_expr"`
	} `json:"case_checks"`
	Else *node `json:"else_expr"`
}

// children are the sub-expressions of an allowed node.
func (n *node) children() []*node {
	out := []*node{n.Child, n.Left, n.Right, n.Input, n.Lower, n.Upper, n.Else}
	for i := range n.Children {
		out = append(out, &n.Children[i])
	}
	for _, c := range n.Checks {
		out = append(out, c.When, c.Then)
	}
	return out
}

// statement is one SELECT of the parse tree; what a list of expressions must not have is kept raw.
type statement struct {
	Type    string            `json:"type"`
	Select  []node            `json:"select_list"`
	From    fromTable         `json:"from_table"`
	Where   json.RawMessage   `json:"where_clause"`
	Having  json.RawMessage   `json:"having"`
	Qualify json.RawMessage   `json:"qualify"`
	Sample  json.RawMessage   `json:"sample"`
	Groups  []json.RawMessage `json:"group_expressions"`
	Mods    []json.RawMessage `json:"modifiers"`
	CTEs    struct {
		Map []json.RawMessage `json:"map"`
	} `json:"cte_map"`
	Handling string `json:"aggregate_handling"`
}

type fromTable struct {
	Type   string          `json:"type"`
	Table  string          `json:"table_name"`
	Schema string          `json:"schema_name"`
	Alias  string          `json:"alias"`
	Sample json.RawMessage `json:"sample"`
	At     json.RawMessage `json:"at_clause"`
}

const prefix = "SELECT "

// wrap makes a statement of a list of expressions. The line feeds end a trailing comment.
func wrap(list string) string { return prefix + list + "\nFROM t" }

// parse reads a list of expressions. what names it in errors: "features" or "label".
func parse(ctx context.Context, e *lake.Engine, what, list string) ([]node, error) {
	if strings.TrimSpace(list) == "" {
		return nil, fmt.Errorf("%s: empty; write SQL expressions over the dataset's columns", what)
	}
	var text string
	// As text: the driver would turn JSON into a map and round the locations.
	if err := e.DB().QueryRowContext(ctx, "SELECT json_serialize_sql(?::VARCHAR)::VARCHAR", wrap(list)).Scan(&text); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	var tree struct {
		Error      bool   `json:"error"`
		Message    string `json:"error_message"`
		Position   any    `json:"position"`
		Statements []struct {
			Node statement `json:"node"`
		} `json:"statements"`
	}
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		return nil, fmt.Errorf("%s: read the parse tree: %w", what, err)
	}
	if tree.Error {
		return nil, fmt.Errorf("%s: %s%s", what, tree.Message, near(list, tree.Position))
	}
	if len(tree.Statements) != 1 || !tree.Statements[0].Node.plain() {
		return nil, fmt.Errorf("%s: only a list of expressions is allowed, without FROM, WHERE, GROUP BY, ORDER BY or a second statement", what)
	}
	return tree.Statements[0].Node.Select, nil
}

// near quotes where a syntax error is.
func near(list string, position any) string {
	var at int
	if _, err := fmt.Sscan(fmt.Sprint(position), &at); err != nil {
		return ""
	}
	return " near " + excerpt(list, uint64(at))
}

// excerpt quotes the source from a location of the wrapped statement on.
func excerpt(list string, location uint64) string {
	const most = 24
	if location < uint64(len(prefix)) || location-uint64(len(prefix)) >= uint64(len(list)) {
		return "the end"
	}
	s, _, _ := strings.Cut(list[location-uint64(len(prefix)):], "\n")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}

// plain reports whether the statement is SELECT … FROM t and nothing else.
func (s *statement) plain() bool {
	return s.Type == "SELECT_NODE" && s.From.Type == "BASE_TABLE" && s.From.Table == "t" && s.From.Schema == "" && s.From.Alias == "" &&
		absent(s.From.Sample) && absent(s.From.At) && absent(s.Where) && absent(s.Having) && absent(s.Qualify) && absent(s.Sample) &&
		len(s.Groups) == 0 && len(s.Mods) == 0 && len(s.CTEs.Map) == 0 && s.Handling == "STANDARD_HANDLING"
}

func absent(m json.RawMessage) bool { return len(m) == 0 || string(m) == "null" }
