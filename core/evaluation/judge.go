package evaluation

import (
	"fmt"

	"github.com/tidemill/tidemill/events"
)

// judge answers conditions on usable candidate scores.
type judge struct {
	candidate, champion *Scored
	championFault       string // why the champion cannot be compared with
	opts                Options

	measures [2]*prepared
	point    map[seriesKey]float64
	series   map[seriesKey][]float64
}

func (j *judge) all(conditions []condition) []events.GateResult {
	j.measureAll(conditions)
	var out []events.GateResult
	for _, c := range conditions {
		r := events.GateResult{Gate: c.String(), Metric: c.metric.Name, N: int64(j.candidate.Len())}
		value, known := j.point[seriesKey{c.metric.Name, candidateSide}]
		if known && finite(value) {
			r.Value = value
		}
		switch {
		case c.kind == versus && j.champion == nil:
			r.Outcome, r.Text = Skipped, fmt.Sprintf("%s is not compared: first version, there is no champion yet", c.metric.Name)
		case c.kind == versus && j.championFault != "":
			r.Outcome, r.Text = Inconclusive, fmt.Sprintf("%s cannot be compared: %s", c.metric.Name, j.championFault)
		case j.candidate.Len() < j.opts.MinRows:
			r.Outcome = Inconclusive
			r.Text = fmt.Sprintf("%s is not judged: only %s rows to judge on, %s are needed",
				c.metric.Name, count(j.candidate.Len()), count(j.opts.MinRows))
		case !finite(value):
			r.Outcome = Inconclusive
			r.Text = fmt.Sprintf("%s is undefined on these %s rows: their labels do not vary enough", c.metric.Name, count(j.candidate.Len()))
		case c.kind == versus:
			j.compare(c, &r)
		default:
			j.bound(c, &r)
		}
		out = append(out, r)
	}
	return out
}

// measureAll takes the point values and the bootstrap series that the
// conditions need, all of them on the same resamples.
func (j *judge) measureAll(conditions []condition) {
	j.point, j.series = map[seriesKey]float64{}, map[seriesKey][]float64{}
	if j.candidate.Len() == 0 {
		return
	}
	b := newBootstrap(j.candidate)
	w := j.candidate.weights()
	sides := [2]*Scored{j.candidate, j.champion}
	need := func(metric string, who side) {
		key := seriesKey{metric, who}
		if _, done := j.point[key]; done {
			return
		}
		if j.measures[who] == nil {
			j.measures[who] = newPrepared(sides[who])
		}
		m := j.measures[who].measure(metric)
		j.point[key] = m(w)
		b.add(key, m)
	}
	for _, c := range conditions {
		need(c.metric.Name, candidateSide)
		if c.kind == versus && j.champion != nil && j.championFault == "" {
			need(c.metric.Name, championSide)
		}
	}
	if j.candidate.Len() >= j.opts.MinRows {
		j.series = b.run(j.opts.Seed, j.opts.Resamples)
	}
}

// bound judges an absolute bound by the value itself; the interval is reported.
func (j *judge) bound(c condition, r *events.GateResult) {
	key := seriesKey{c.metric.Name, candidateSide}
	note := fmt.Sprintf("n=%s", count(j.candidate.Len()))
	if lower, upper, ok := interval(j.series[key], c.confidence); ok {
		r.Lower, r.Upper = &lower, &upper
		note = intervalNote(c, lower, upper, r.N)
	}
	value, bound := number(r.Value), number(c.bound)
	r.Outcome = Pass
	switch {
	case c.kind == atLeast && r.Value >= c.bound:
		r.Text = fmt.Sprintf("%s %s is at least %s (%s)", c.metric.Name, value, bound, note)
	case c.kind == atMost && r.Value <= c.bound:
		r.Text = fmt.Sprintf("%s %s is at most %s (%s)", c.metric.Name, value, bound, note)
	case c.kind == atLeast:
		r.Outcome = Fail
		r.Text = fmt.Sprintf("%s %s is below the least allowed, %s (%s)", c.metric.Name, value, bound, note)
	default:
		r.Outcome = Fail
		r.Text = fmt.Sprintf("%s %s is above the most allowed, %s (%s)", c.metric.Name, value, bound, note)
	}
}

// compare judges non-inferiority on the paired differences.
func (j *judge) compare(c condition, r *events.GateResult) {
	candidate, champion := seriesKey{c.metric.Name, candidateSide}, seriesKey{c.metric.Name, championSide}
	old := j.point[champion]
	if !finite(old) {
		r.Outcome = Inconclusive
		r.Text = fmt.Sprintf("the champion's %s is undefined on these %s rows", c.metric.Name, count(j.candidate.Len()))
		return
	}
	difference := r.Value - old
	r.Champion, r.Difference = &old, &difference
	paired := make([]float64, len(j.series[candidate]))
	for i, v := range j.series[candidate] {
		paired[i] = v - j.series[champion][i]
	}
	lower, upper, ok := interval(paired, c.confidence)
	if !ok {
		r.Outcome = Inconclusive
		r.Text = fmt.Sprintf("the difference in %s has no interval on these %s rows: their labels do not vary enough",
			c.metric.Name, count(j.candidate.Len()))
		return
	}
	r.Lower, r.Upper = &lower, &upper

	// How much worse the candidate is, whichever way the metric improves.
	worse, least, most := difference, lower, upper
	if c.metric.Direction == HigherIsBetter {
		worse, least, most = -difference, -upper, -lower
	}
	switch {
	case most <= c.bound:
		r.Outcome = Pass
	case least > c.bound:
		r.Outcome = Fail
	default:
		r.Outcome = Inconclusive
	}
	r.Text = comparison(c, r, worse, least, most)
}
