package drift

import (
	"math"

	"github.com/tidemill/tidemill/core/profile"
)

// The statistics a column can be judged by.
const (
	WassersteinOverSigma  = "wassersteinOverSigma"  // Wasserstein-1 over the reference's standard deviation
	JensenShannonDistance = "jensenShannonDistance" // natural logarithm: 0 to 0.833
)

// Defaults of [Options].
const (
	DefaultMinRows          = 500
	DefaultAlpha            = 0.01
	DefaultMinWasserstein   = 0.1
	DefaultMinJensenShannon = 0.15
)

// Options tune a comparison; the zero value uses the defaults.
type Options struct {
	Columns []string // to compare; all that both profiles have when empty
	MinRows int64    // values each side must have before a column can drift; default 500
	Alpha   float64  // false discovery rate over the columns; default 0.01

	// How large an effect must be, beyond what chance gives, before it is worth
	// acting on.
	MinWasserstein   float64 // in standard deviations of the reference; default 0.1
	MinJensenShannon float64 // distance, natural logarithm; default 0.15
}

func (o Options) withDefaults() Options {
	if o.MinRows <= 0 {
		o.MinRows = DefaultMinRows
	}
	if o.Alpha <= 0 {
		o.Alpha = DefaultAlpha
	}
	if o.MinWasserstein <= 0 {
		o.MinWasserstein = DefaultMinWasserstein
	}
	if o.MinJensenShannon <= 0 {
		o.MinJensenShannon = DefaultMinJensenShannon
	}
	return o
}

// Column is what was found about one column.
type Column struct {
	Name      string       `json:"name"`
	Kind      profile.Kind `json:"kind"`
	Statistic string       `json:"statistic,omitempty"` // empty when the column was not judged
	Value     float64      `json:"value"`
	Floor     float64      `json:"floor"`     // chance stays below it with probability 1-alpha, at these sizes
	Threshold float64      `json:"threshold"` // the floor and the minimum effect together
	P         float64      `json:"p"`         // probability of at least this value by chance; 1 when not judged
	AdjustedP float64      `json:"adjustedP"` // Benjamini-Hochberg over the judged columns
	PSI       float64      `json:"psi"`       // deciles of the reference, or categories; half a row added to each
	PSIFloor  float64      `json:"psiFloor"`  // chance stays below it with probability 1-alpha
	Reference int64        `json:"reference"` // usable values
	Current   int64        `json:"current"`
	Drifted   bool         `json:"drifted"`
	Reason    string       `json:"reason"`
}

// Report is a comparison of two profiles.
type Report struct {
	Columns []Column `json:"columns"` // in the order asked for, else by name
	Drifted bool     `json:"drifted"` // any column has
}

// DriftedColumns names the columns that have drifted.
func (r Report) DriftedColumns() []string {
	var out []string
	for _, c := range r.Columns {
		if c.Drifted {
			out = append(out, c.Name)
		}
	}
	return out
}

// Compare tells which columns of current have drifted from reference. Numbers,
// strings and booleans are judged; timestamps are not, since time always moves.
// A column that cannot be judged (missing, of two kinds, too few values) is
// reported with the reason and never drifted.
func Compare(reference, current *profile.Profile, opts Options) Report {
	opts = opts.withDefaults()
	var report Report
	var judged []int
	var p []float64
	for _, name := range columnsOf(reference, current, opts) {
		c := compareColumn(name, reference.Column(name), current.Column(name), opts)
		if c.Statistic != "" {
			judged, p = append(judged, len(report.Columns)), append(p, c.P)
		}
		report.Columns = append(report.Columns, c)
	}
	for k, adjusted := range BenjaminiHochberg(p) {
		c := &report.Columns[judged[k]]
		c.AdjustedP = adjusted
		c.Drifted = c.Value >= c.Threshold && adjusted <= opts.Alpha
		c.Reason = reason(c, opts, change(c, reference, current))
		report.Drifted = report.Drifted || c.Drifted
	}
	return report
}

func columnsOf(reference, current *profile.Profile, opts Options) []string {
	if len(opts.Columns) > 0 {
		return opts.Columns
	}
	var out []string
	for _, c := range reference.Columns {
		if c.Kind != profile.KindTimestamp && current.Column(c.Name) != nil {
			out = append(out, c.Name)
		}
	}
	return out
}

func compareColumn(name string, reference, current *profile.Column, opts Options) Column {
	c := Column{Name: name, P: 1, AdjustedP: 1}
	switch {
	case reference == nil && current == nil:
		c.Reason = name + " is in neither profile"
		return c
	case reference == nil:
		c.Kind, c.Current = current.Kind, current.Count
		c.Reason = name + " is new: the reference does not have it"
		return c
	case current == nil:
		c.Kind, c.Reference = reference.Kind, reference.Count
		c.Reason = name + " is missing from the current rows"
		return c
	}
	c.Kind, c.Reference, c.Current = reference.Kind, reference.Count, current.Count
	switch {
	case reference.Kind != current.Kind:
		c.Reason = kindChanged(name, reference.Kind, current.Kind)
	case reference.Kind == profile.KindTimestamp:
		c.Reason = name + " is a timestamp, which always moves"
	case min(c.Reference, c.Current) < max(opts.MinRows, 1):
		c.Reason = tooFew(&c, opts)
	case reference.Kind == profile.KindNumeric:
		c.numbers(reference.Numbers, current.Numbers, opts)
	default:
		c.categories(reference.Categories, current.Categories, opts)
	}
	if total := c.Value + c.Threshold + c.PSI + c.P; math.IsNaN(total) || math.IsInf(total, 0) {
		// Only numbers near the end of the float range come here.
		return Column{Name: name, Kind: c.Kind, P: 1, AdjustedP: 1, Reference: c.Reference, Current: c.Current,
			Reason: name + " is not judged: its values are too large to compare"}
	}
	return c
}

func (c *Column) numbers(reference, current *profile.Numbers, opts Options) {
	n, m := float64(reference.Count), float64(current.Count)
	a, b := reference.Distribution(), current.Distribution()
	// A reference that never varies has no scale of its own: then the rows
	// together give it, and if they do not vary either, nothing has changed.
	pooled := pool(a, b)
	scale := reference.SD()
	if reference.Min == reference.Max {
		scale = massSD(pooled)
	}
	if !(scale > 0) {
		scale = 1
	}
	chance := wassersteinNull(pooled, n, m)
	distance := massWasserstein(a, b)

	c.Statistic = WassersteinOverSigma
	c.Value = distance / scale
	c.P = chance.tail(distance)
	c.Floor = chance.quantile(1-opts.Alpha) / scale
	c.Threshold = c.Floor + opts.MinWasserstein
	x, y := decileCounts(a, b)
	c.PSI = PSI(x, y, HalfCount)
	c.PSIFloor = psiNull(n, m, len(x)).quantile(1 - opts.Alpha)
}

func (c *Column) categories(reference, current *profile.Categories, opts Options) {
	a, b, _ := categoryCounts(reference, current)
	chance := divergenceNull(a, b)
	distance := JensenShannon(a, b, math.E)

	c.Statistic = JensenShannonDistance
	c.Value = distance
	c.P = chance.tail(distance * distance)
	c.Floor = math.Sqrt(chance.quantile(1 - opts.Alpha))
	// Divergences add, distances do not: two sets that truly differ by d look
	// sqrt(d² + chance²) apart.
	c.Threshold = math.Hypot(c.Floor, opts.MinJensenShannon)
	c.PSI = PSI(a, b, HalfCount)
	c.PSIFloor = psiNull(float64(c.Reference), float64(c.Current), occurring(a, b)).quantile(1 - opts.Alpha)
}

func occurring(a, b []float64) int {
	n := 0
	for i := range a {
		if a[i]+b[i] > 0 {
			n++
		}
	}
	return n
}

func massSD(a []profile.Mass) float64 {
	n, mean, square := mass(a), 0.0, 0.0
	for _, m := range a {
		mean += m.Value * float64(m.Count) / n
	}
	for _, m := range a {
		square += (m.Value - mean) * (m.Value - mean) * float64(m.Count) / n
	}
	return math.Sqrt(square)
}
