package features

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/core/lake"
)

// segmentColumn names a row's segment inside of queries.
const segmentColumn = `"#segment"`

// WithWeight is the same features whose rows count as much as a SQL expression says, which may use every column of the dataset:
// it is for training alone. It is guarded and typed as the label is.
func (f *Features) WithWeight(ctx context.Context, weightSQL string) (*Features, error) {
	g := &guard{what: "weight", list: weightSQL, spec: f.spec, used: map[string]bool{}, functions: map[string]*node{}}
	if n, err := g.check(ctx, f.engine); err != nil {
		return nil, err
	} else if len(n) != 1 {
		return nil, fmt.Errorf("weight: one expression is needed, there are %d", len(n))
	}
	out := *f
	out.weight, out.weightUsed = weightSQL, ordered(f.spec, g.used)
	types, err := f.describe(ctx, "weight", "("+weightSQL+"\n)", f.emptySource())
	if err != nil {
		return nil, err
	}
	if kind, ok := kindOf(types[0]); !ok || kind != Number {
		return nil, fmt.Errorf("weight: a number is needed, this is %s; for example CASE WHEN … THEN 2 ELSE 1 END", types[0])
	}
	return &out, nil
}

// weighted reports whether rows get weights.
func (f *Features) weighted(o Options) bool {
	return o.Labels && (f.weight != "" || len(o.ClassWeight) > 0)
}

// WeightName is the weight's column in exported files, a name that no feature has.
func (f *Features) WeightName() string {
	name := "weight"
	for slices.ContainsFunc(f.Names, func(other string) bool { return strings.EqualFold(other, name) }) {
		name += "_"
	}
	return name
}

// rowNames are the select items that name a row of files: its number in its segment, from 1, and the segment's ordinal.
func rowNames(files []File) []string {
	ordinals := make([]string, len(files))
	for i, f := range files {
		ordinals[i] = strconv.FormatUint(f.Ordinal, 10)
	}
	return []string{"file_row_number + 1 AS " + rowColumn,
		"([" + strings.Join(ordinals, ", ") + "]::UBIGINT[])[file_index::BIGINT + 1] AS " + segmentColumn}
}

// weightItems are what weightCast needs of inner: x2, x3 and x4.
func (f *Features) weightItems() []string {
	if f.weight == "" {
		return nil
	}
	return []string{"(" + f.weight + "\n)", "t." + rowColumn, "t." + segmentColumn}
}

// weightMark begins the message of a weight that is none.
const weightMark = "#weight#"

// weightCast is the weight of a row of inner that has a label: 0 or more.
func (f *Features) weightCast(o Options) string {
	item := "1::DOUBLE"
	if f.weight != "" {
		item = "CASE WHEN f.x1 IS NULL OR f.x2 IS NULL THEN 0::DOUBLE WHEN f.x2::DOUBLE >= 0 AND isfinite(f.x2::DOUBLE) THEN f.x2::DOUBLE ELSE error(" +
			lake.Literal(weightMark) + " || f.x2::VARCHAR || ' in row ' || f.x3 || ' of segment ' || f.x4 || '" + weightMark + "') END"
	}
	if len(o.ClassWeight) == 0 {
		return item
	}
	var cases []string
	for _, name := range slices.Sorted(maps.Keys(o.ClassWeight)) {
		cases = append(cases, fmt.Sprintf("WHEN %s THEN %s::DOUBLE", f.classLiteral(name), strconv.FormatFloat(o.ClassWeight[name], 'e', -1, 64)))
	}
	return item + " * CASE " + f.labelCast("f.x1") + " " + strings.Join(cases, " ") + " ELSE 1::DOUBLE END"
}

// weightError reads the message of a weight that is none out of DuckDB's error; nil when it is another.
func weightError(err error) error {
	_, text, ok := strings.Cut(err.Error(), weightMark)
	if !ok {
		return nil
	}
	text, _, _ = strings.Cut(text, weightMark)
	return &declared{"weight: it is " + text + "; a weight must be a finite number of at least 0 (null counts as 0)"}
}

// declared is an ErrData with a text of its own.
type declared struct{ text string }

func (e *declared) Error() string        { return e.text }
func (e *declared) Is(target error) bool { return target == ErrData }
