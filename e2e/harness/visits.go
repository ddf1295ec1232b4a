package harness

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// Visits are made-up visits to a shop: one a minute, the same in every run, with something to learn. Whether a visitor buys
// depends on how many pages they saw and where they came from.

// Visit is one row.
type Visit struct {
	At     time.Time
	ID     int64
	Pages  float64
	Source string
	Spent  *float64 // nil breaks the contract
}

// VisitsBegin is the time of the first visit.
var VisitsBegin = time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)

// BadVisit tells which visits break the contract when dirt is asked for.
func BadVisit(i int) bool { return i%97 == 13 }

// VisitAt is visit number i. With dirt, one in 97 lacks what it must have.
func VisitAt(i int, dirt bool) Visit {
	sources := []string{"ad", "mail", "search", "shop"}
	weights := []float64{-1.5, -0.5, 0.5, 1.5}
	s := int(fraction(float64(i)*0.7548776662) * 4)
	pages := math.Floor(fraction(float64(i)*0.6180339887) * 20)
	v := Visit{At: VisitsBegin.Add(time.Duration(i) * time.Minute), ID: int64(i), Pages: pages, Source: sources[s]}
	spent := 0.0
	if fraction(float64(i)*0.4142135623+0.31) < 1/(1+math.Exp(-(0.4*(pages-10)+weights[s]))) {
		spent = 5 + math.Floor(100*fraction(float64(i)*0.7320508075))
	}
	v.Spent = &spent
	if dirt && BadVisit(i) {
		v.Spent = nil
	}
	return v
}

func fraction(x float64) float64 { return x - math.Floor(x) }

// JSON is the row as it is published.
func (v Visit) JSON() []byte {
	row := map[string]any{"at": v.At.Format(time.RFC3339), "id": v.ID, "pages": v.Pages, "source": v.Source}
	if v.Spent != nil {
		row["spent"] = *v.Spent
	}
	b, err := json.Marshal(row)
	if err != nil {
		panic(err) // numbers and strings always encode
	}
	return b
}

// VisitRows are the rows from up to but not to, as JSON.
func VisitRows(from, to int, dirt bool) [][]byte {
	rows := make([][]byte, 0, to-from)
	for i := from; i < to; i++ {
		rows = append(rows, VisitAt(i, dirt).JSON())
	}
	return rows
}

// VisitsNDJSON is VisitRows as one file.
func VisitsNDJSON(from, to int, dirt bool) string {
	var b strings.Builder
	for _, row := range VisitRows(from, to, dirt) {
		b.Write(row)
		b.WriteByte('\n')
	}
	return b.String()
}

// VisitsCSV is a file of the rows.
func VisitsCSV(from, to int) string {
	var b strings.Builder
	b.WriteString("at,id,pages,source,spent\n")
	for i := from; i < to; i++ {
		v := VisitAt(i, false)
		fmt.Fprintf(&b, "%s,%d,%g,%s,%g\n", v.At.Format(time.RFC3339), v.ID, v.Pages, v.Source, *v.Spent)
	}
	return b.String()
}

// Declared is how a story wants visits declared; the zero value suits most.
type Declared struct {
	Dataset     string        // default visits
	Model       string        // default buyers
	SegmentRows int           // default 500
	SegmentAge  time.Duration // default 1s
	Initial     int           // rows of the first model; default 2000
	NewRows     int           // of each further cycle; default 1000
	Candidates  string        // YAML, indented by four; default the built-in trainer
	Features    string        // SQL; default pages, source
	Gates       string        // YAML, in flow style; default those of a good model
	Window      string        // YAML; default expanding: {}
}

func (d Declared) complete() Declared {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	number := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	set(&d.Dataset, "visits")
	set(&d.Model, "buyers")
	set(&d.Candidates, "    - {name: logistic, trainer: builtin/linear, params: {l2: 1.0}}")
	set(&d.Features, "pages, source")
	set(&d.Gates, "{metric: auc, min: 0.60}, {metric: logloss, versus: champion, nonInferiority: 0.1, confidence: 0.95}")
	set(&d.Window, "expanding: {}")
	number(&d.SegmentRows, 500)
	number(&d.Initial, 2000)
	number(&d.NewRows, 1000)
	if d.SegmentAge == 0 {
		d.SegmentAge = time.Second
	}
	return d
}

// YAML declares the dataset, the model and its policy.
func (d Declared) YAML() string {
	d = d.complete()
	return d.DatasetYAML() + "---\n" + d.ModelYAML() + "---\n" + d.PolicyYAML()
}

// DatasetYAML declares the dataset alone.
func (d Declared) DatasetYAML() string {
	d = d.complete()
	return fmt.Sprintf(`apiVersion: tidemill.dev/v1
kind: Dataset
metadata: {name: %s}
spec:
  columns:
    - {name: at, type: timestamp, eventTime: true}
    - {name: id, type: int64, required: true, key: true}
    - {name: pages, type: float64, min: 0}
    - {name: source, type: string}
    - {name: spent, type: float64, required: true, min: 0, max: 1000}
  clock: {lateness: 0s, maxFuture: 10m}
  segment: {maxRows: %d, maxAge: %s}
`, d.Dataset, d.SegmentRows, d.SegmentAge)
}

// ModelYAML declares the model alone.
func (d Declared) ModelYAML() string {
	d = d.complete()
	return fmt.Sprintf(`apiVersion: tidemill.dev/v1
kind: Model
metadata: {name: %s}
spec:
  dataset: %s
  task: binaryClassification
  features: %s
  label: spent > 0
  split: {by: time, validation: 4h, test: 8h}
  candidates:
%s
  evaluation:
    primary: logloss
    gates: [%s]
  rollout: {strategy: direct}
`, d.Model, d.Dataset, d.Features, d.Candidates, d.Gates)
}

// PolicyYAML declares the policy alone.
func (d Declared) PolicyYAML() string {
	d = d.complete()
	return fmt.Sprintf(`apiVersion: tidemill.dev/v1
kind: RetrainingPolicy
metadata: {name: %s}
spec:
  model: %s
  initial: {rows: %d}
  when:
    any:
      - newData: {rows: %d}
  window: {%s}
`, d.Model, d.Model, d.Initial, d.NewRows, d.Window)
}
