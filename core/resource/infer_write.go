package resource

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// identifier is a column's name as SQL takes it: as it is when it is a plain word, else in quotes.
func identifier(name string) string {
	if plainWord.MatchString(name) && !slices.Contains(reserved(), strings.ToLower(name)) {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

var plainWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reserved are the words that DuckDB never takes for a column without quotes.
func reserved() []string {
	return strings.Fields(`all analyse analyze and any array as asc asymmetric both case cast check collate column constraint
		create default deferrable desc describe distinct do else end except false fetch for foreign from group having in
		initially intersect into lambda lateral leading limit not null offset on only or order pivot pivot_longer
		pivot_wider placing primary qualify references returning select show some summarize symmetric table then to
		trailing true union unique unpivot using variadic when where window with
		anti asof at authorization binary by collation concurrently cross freeze full generated glob ilike inner is isnull
		join left like map natural notnull outer overlaps positional right semi similar struct tablesample try_cast verbose`)
}

// view is what the template shows.
type view struct {
	Name, Time, Label, Task, Primary, Span string
	Rows, Initial                          int64
	Columns, Features, Left                []string
	Validation, Test                       string
	Gates                                  []string
	Trigger                                string
}

func (g *inference) render() string {
	validation, test := g.split()
	v := view{Name: g.name, Time: g.time, Task: g.task(), Rows: g.in.Rows, Initial: g.initialRows(),
		Validation: short(validation), Test: short(test), Features: g.featureLines(), Left: g.left}
	v.Label = scalar(g.label, -1)
	if !g.in.From.IsZero() {
		v.Span = fmt.Sprintf(", %s to %s", g.in.From.UTC().Format(time.DateOnly), g.in.To.UTC().Format(time.DateOnly))
	}
	for _, c := range g.in.Columns {
		v.Columns = append(v.Columns, g.columnLine(c))
	}
	switch v.Task {
	case TaskRegression:
		v.Primary, v.Trigger = "rmse", "{metric: rmse, worseBy: 5%, window: 7d}"
		v.Gates = []string{"{metric: r2, min: 0}", "{metric: rmse, versus: champion, nonInferiority: 0, confidence: 0.95}"}
	default:
		v.Primary, v.Trigger = "logloss", "{metric: normalizedEntropy, worseBy: 3%, window: 7d}"
		v.Gates = []string{"{metric: auc, min: 0.55}", "{metric: logloss, versus: champion, nonInferiority: 0.002, confidence: 0.95}"}
	}
	var b strings.Builder
	// The template is a constant and writes to memory: TestInfer renders it.
	if err := template.Must(template.New("init").Parse(inferTemplate)).Execute(&b, v); err != nil {
		return "# " + err.Error()
	}
	return b.String()
}

// featureLines are the feature expressions, as lines of SQL of a readable length.
func (g *inference) featureLines() []string {
	var lines []string
	line := ""
	for i, f := range g.used {
		if i < len(g.used)-1 {
			f += ","
		}
		if line != "" && len(line)+1+len(f) > 110 {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += f
	}
	return append(lines, line)
}

// short is a duration as people write it: "1h" for "1h0m0s".
func short(d Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// columnLine declares a column. Bounds are only set where they are likely to be meant: a file says what was, not what may be.
func (g *inference) columnLine(c InferColumn) string {
	s := fmt.Sprintf("{name: %s, type: %s", flow(c.Name), c.Type)
	switch {
	case c.Name == g.time:
		return s + ", eventTime: true}"
	case c.Nulls == 0 && g.in.Rows > 0 && slices.Contains(g.in.LabelColumns, c.Name):
		s += ", required: true"
	}
	isBounded := isNumber(c.Type) && c.Min != nil && c.Max != nil
	if isBounded && *c.Min >= 0 && *c.Max > 0 {
		s += ", min: 0"
	}
	var notes []string
	switch {
	case isBounded:
		notes = append(notes, decimal(*c.Min)+" to "+decimal(*c.Max))
	case c.Type == TypeString && c.Distinct > 1:
		notes = append(notes, fmt.Sprintf("%d different values", c.Distinct))
	}
	if c.Nulls > 0 {
		notes = append(notes, fmt.Sprintf("%d empty", c.Nulls))
	}
	if s += "}"; len(notes) > 0 {
		s += " # " + strings.Join(notes, ", ")
	}
	return s
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// flow is a text within {…}.
func flow(s string) string {
	if plainWord.MatchString(s) && scalar(s, -1) == s {
		return s
	}
	quoted, err := encode(s)
	if err != nil {
		return fmt.Sprintf("%q", s)
	}
	return string(quoted)
}

const inferTemplate = `# Written by tidemill init from {{.Rows}} rows{{.Span}}.
# Read it, change what you know better, then: tidemill apply -f {{.Name}}.yaml
apiVersion: tidemill.dev/v1
kind: Dataset
metadata: {name: {{.Name}}}
spec:
  # Rows outside this contract are quarantined with the reason. The ranges beside the columns are what the file has:
  # make min and max of them where a value beyond would be an error.
  columns:
{{- range .Columns}}
    - {{.}}
{{- end}}
  clock: {lateness: 0s, maxFuture: 10m}
  segment: {maxRows: 50000, maxAge: 1m}
  onViolation: quarantine # or warn
---
apiVersion: tidemill.dev/v1
kind: Model
metadata: {name: {{.Name}}}
spec:
  dataset: {{.Name}}
  task: {{.Task}} # binaryClassification, multiclassClassification or regression
  # SQL over the columns of one row; the same for training and serving. Hour and weekday are categories, hence VARCHAR.
  features: |
{{- range .Features}}
    {{.}}
{{- end}}
{{- if .Left}}
  # Not used:
{{- range .Left}}
  #   {{.}}
{{- end}}
{{- end}}
  label: {{.Label}}
  # The newest rows are held out: validation chooses among trials, test is for the gates.
  split: {by: time, validation: {{.Validation}}, test: {{.Test}}}
  candidates:
    - {name: linear, trainer: builtin/linear, params: {l2: 1.0}}
    # Any other framework: a command that leaves model.onnx.
    # - {name: boosted, trainer: process, command: [python3, train.py], source: ./boosted, resources: {time: 20m}}
  evaluation:
    primary: {{.Primary}}
    gates:
{{- range .Gates}}
      - {{.}}
{{- end}}
  rollout: {strategy: direct}
---
apiVersion: tidemill.dev/v1
kind: RetrainingPolicy
metadata: {name: {{.Name}}}
spec:
  model: {{.Name}}
  initial: {rows: {{.Initial}}} # the first model is trained then
  when:
    any:
      - newData: {fraction: 0.25} # a quarter more rows than the champion was trained on
      - performance: {{.Trigger}}
      # - drift: {} # the columns that the features use, against the champion's training rows
      # - schedule: {cron: "0 4 * * 1"}
      # - maxAge: 28d
  window: {expanding: {}} # or {sliding: {duration: 28d}}
  guardrails:
    cooldown: {requested: 1h}
    maxConcurrent: 1
    budget: {cycles: 24, per: 24h}
`
