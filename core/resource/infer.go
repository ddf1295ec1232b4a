package resource

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// InferInput is what is known of a file of rows.
type InferInput struct {
	Columns  []InferColumn
	Rows     int64
	From, To time.Time // lowest and highest value of the time column; zero when unknown

	LabelColumns  []string // the columns that the label's expression uses; without them, those it seems to mention
	LabelType     string   // the type of its result; "" when unknown: then it is judged by its form
	LabelDistinct int64    // how many results there are; 0 when unknown
}

// InferColumn is one column of the file.
type InferColumn struct {
	Name     string
	Type     string   // a column type of a Dataset
	Min, Max *float64 // of numbers
	Distinct int64    // different values, at least about
	Nulls    int64
}

// What Infer decides by.
const (
	maxCategories  = 1000 // more different strings than this make no feature by themselves
	maxClasses     = 20   // a whole-numbered label with at most this many values is a class
	minInitialRows = 1000
)

// Infer writes a Dataset, a Model and a RetrainingPolicy for a file, as commented YAML that Parse and CrossCheck accept. The
// choices are the plain ones: every usable column is a feature, the built-in linear trainer, retraining on a quarter more
// rows or on a worse champion. label is a SQL expression, or the name of a column. name becomes the name of all three.
func Infer(in InferInput, name, timeColumn, label string) (string, error) {
	g := inference{in: in, time: timeColumn, label: strings.TrimSpace(label)}
	if g.name = slug(name); g.name == "" {
		return "", fmt.Errorf("no name can be made of %q: give one of lower-case letters, digits and hyphens", name)
	}
	if err := g.checkTime(); err != nil {
		return "", err
	}
	if g.label == "" {
		return "", errors.New("a label is needed: a column, or an SQL expression such as 'delay >= 15'")
	}
	if _, isColumn := g.column(g.label); isColumn {
		g.in.LabelColumns = append(slices.Clone(in.LabelColumns), g.label)
		g.labelColumn, g.label = g.label, identifier(g.label)
	}
	if len(g.in.LabelColumns) == 0 {
		g.in.LabelColumns = g.mentioned()
	}
	for _, c := range g.in.LabelColumns {
		if _, ok := g.column(c); !ok {
			return "", fmt.Errorf("the label uses the column %q, which the file lacks: %s", c, suggestOr(c, g.names(), "columns"))
		}
	}
	g.features()
	if len(g.used) == 0 {
		return "", errors.New("no column is left to learn from: the label uses them all, or they have too many different values")
	}
	text := g.render()
	rs, err := Parse([]byte(text), g.name+".yaml")
	if err == nil {
		err = CrossCheck(rs)
	}
	if err != nil {
		return "", fmt.Errorf("the file has a column that a dataset can't have, rename it: %w", err)
	}
	return text, nil
}

// inference is one call of Infer.
type inference struct {
	in                InferInput
	name, time, label string
	labelColumn       string   // when the label is one column as it is
	used              []string // feature expressions
	left              []string // comments about columns that aren't used
}

func slug(name string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, strings.ToLower(name))
	for strings.Contains(s, "--") {
		s = strings.ReplaceAll(s, "--", "-")
	}
	return strings.Trim(s[:min(len(s), 63)], "-")
}

func (g *inference) names() []string {
	out := make([]string, len(g.in.Columns))
	for i, c := range g.in.Columns {
		out[i] = c.Name
	}
	return out
}

func (g *inference) column(name string) (InferColumn, bool) {
	for _, c := range g.in.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return InferColumn{}, false
}

// mentioned are the columns whose names stand in the label's expression: rather one feature too few than the answer among them.
func (g *inference) mentioned() []string {
	var out []string
	for _, name := range g.names() {
		word := regexp.MustCompile(`(?i)(^|[^\pL\pN_])` + regexp.QuoteMeta(name) + `($|[^\pL\pN_])`)
		if name != g.time && word.MatchString(g.label) {
			out = append(out, name)
		}
	}
	return out
}

func (g *inference) checkTime() error {
	var times []string
	for _, c := range g.in.Columns {
		if c.Type == TypeTimestamp {
			times = append(times, c.Name)
		}
	}
	c, found := g.column(g.time)
	switch {
	case !found:
		return fmt.Errorf("the file has no column %q for the time: %s", g.time, cmp.Or(suggest(g.time, g.names()), "its timestamps: "+cmp.Or(strings.Join(times, ", "), "none")))
	case c.Type != TypeTimestamp:
		return fmt.Errorf("the time column %q holds a %s, not a timestamp; its timestamps: %s", g.time, c.Type, cmp.Or(strings.Join(times, ", "), "none"))
	}
	return nil
}

// features picks the columns to learn from, and says why the others aren't.
func (g *inference) features() {
	name := func(short string) string {
		for _, c := range g.in.Columns {
			if strings.EqualFold(c.Name, short) {
				return "event_" + short
			}
		}
		return short
	}
	t := identifier(g.time)
	g.used = []string{fmt.Sprintf("hour(%s)::VARCHAR AS %s", t, name("hour")), fmt.Sprintf("dayofweek(%s)::VARCHAR AS %s", t, name("dow"))}
	for _, c := range g.in.Columns {
		why := ""
		switch {
		case c.Name == g.time:
			continue
		case slices.Contains(g.in.LabelColumns, c.Name):
			why = "the label is made of it"
		case c.Distinct == 1 || g.in.Rows > 0 && c.Nulls >= g.in.Rows:
			why = "it always has the same value"
		case c.Type == TypeTimestamp:
			why = "a time by itself: try a difference, for example date_diff('minute', " + identifier(c.Name) + ", " + t + ")"
		case c.Type == TypeString && c.Distinct > maxCategories:
			why = fmt.Sprintf("%d different values are too many for categories", c.Distinct)
		case c.Type != TypeFloat64 && c.Type != TypeBoolean && g.in.Rows >= 100 && c.Distinct >= g.in.Rows*95/100:
			why = "nearly every row has another value, as an id does"
		}
		if why != "" {
			g.left = append(g.left, c.Name+": "+why)
			continue
		}
		g.used = append(g.used, identifier(c.Name))
	}
}

// task judges what kind of label it is.
func (g *inference) task() string {
	typ, distinct := g.in.LabelType, g.in.LabelDistinct
	if c, ok := g.column(g.labelColumn); ok {
		typ, distinct = cmp.Or(typ, c.Type), cmp.Or(distinct, c.Distinct)
	}
	few := distinct > 0 && distinct <= maxClasses
	switch {
	case typ == TypeBoolean, distinct == 2, typ == "" && isCondition(g.label):
		return TaskBinary
	case typ == TypeString, typ == TypeInt64 && few:
		return TaskMulticlass
	}
	return TaskRegression
}

// isCondition reports whether an expression looks like one that is true or false.
func isCondition(expression string) bool {
	upper := " " + strings.ToUpper(expression) + " "
	for _, op := range []string{"<", ">", "=", " AND ", " OR ", " NOT ", " IS ", " IN ", " BETWEEN ", " LIKE "} {
		if strings.Contains(upper, op) {
			return true
		}
	}
	return false
}

// initialRows is when the first model is due: after half of the file, so that the rest shows what retraining does.
func (g *inference) initialRows() int64 {
	half := g.in.Rows / 2
	if half < minInitialRows {
		return max(1, min(g.in.Rows, minInitialRows))
	}
	unit := int64(math.Pow10(len(fmt.Sprint(half)) - 2))
	return half / unit * unit
}

// split holds out 10% and 20% of the time that the first model sees, in whole days, or hours when there are few days.
func (g *inference) split() (validation, test Duration) {
	const day = 24 * time.Hour
	span := g.in.To.Sub(g.in.From)
	if g.in.From.IsZero() || span <= 0 {
		return Duration(day), Duration(2 * day)
	}
	if g.in.Rows > 0 {
		span = time.Duration(float64(span) * float64(g.initialRows()) / float64(g.in.Rows))
	}
	unit := time.Second
	for _, u := range []time.Duration{time.Minute, time.Hour, day} {
		if span >= 10*u {
			unit = u
		}
	}
	part := func(f float64) Duration {
		return Duration(max(unit, time.Duration(math.Round(float64(span)*f/float64(unit)))*unit))
	}
	return part(0.1), part(0.2)
}
