package evaluation

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// Outcomes of a gate.
const (
	Pass         = "pass"
	Fail         = "fail"
	Inconclusive = "inconclusive" // the rows cannot tell; rejects
	Skipped      = "skipped"      // does not apply, such as a first version against a champion
)

// VersusChampion is the only thing a gate can compare with.
const VersusChampion = "champion"

// Defaults of [Options] and of a gate.
const (
	DefaultResamples  = 1000
	DefaultMinRows    = 200
	DefaultConfidence = 0.95
)

// Options tune a verdict; the zero value uses the defaults.
type Options struct {
	Seed      uint64 // of the bootstrap: the same seed gives the same intervals
	Resamples int    // bootstrap draws; default 1000
	MinRows   int    // fewer judged rows make every gate inconclusive; default 200
}

func (o Options) withDefaults() Options {
	if o.Resamples <= 0 {
		o.Resamples = DefaultResamples
	}
	if o.MinRows <= 0 {
		o.MinRows = DefaultMinRows
	}
	return o
}

// Evaluate holds a candidate against its gates. champion holds the same rows in
// the same order, or is nil for a first version, whose gates against a champion
// are skipped. The caller chooses the rows: only those later than both
// versions' training data are fair.
//
// A gate with several conditions (min, max, versus) gives one result for each.
// The verdict approves only if no result is fail or inconclusive. Scores that
// are no numbers or no probabilities reject with a reason. An error means that
// the question itself is wrong: an unknown metric, a gate without a condition,
// or rows that do not match.
//
// Intervals are two-sided percentile bootstrap intervals at the gate's
// confidence, so the bound that decides non-inferiority at 95 % is one-sided
// at 97.5 %.
func Evaluate(candidate, champion *Scored, gates []resource.Gate, opts Options) (events.Verdict, error) {
	opts = opts.withDefaults()
	if candidate == nil {
		return events.Verdict{}, errors.New("evaluate: no candidate")
	}
	conditions, err := conditionsOf(gates, candidate.Task)
	if err != nil {
		return events.Verdict{}, fmt.Errorf("evaluate: %w", err)
	}
	if err := sameRows(candidate, champion); err != nil {
		return events.Verdict{}, fmt.Errorf("evaluate: %w", err)
	}
	verdict := events.Verdict{Rows: int64(candidate.Len()), Metrics: map[string]float64{}}
	verdict.From, verdict.To = candidate.Span()

	if err := candidate.Check(); err != nil {
		if !errors.Is(err, ErrUnusable) {
			return events.Verdict{}, fmt.Errorf("evaluate the candidate: %w", err)
		}
		return unusable(verdict, conditions, "the candidate gives "+err.Error()), nil
	}
	verdict.Metrics = compute(candidate)
	j := judge{candidate: candidate, champion: champion, opts: opts}
	if champion != nil {
		if err := champion.Check(); err != nil {
			if !errors.Is(err, ErrUnusable) {
				return events.Verdict{}, fmt.Errorf("evaluate the champion: %w", err)
			}
			j.championFault = "the champion gives " + err.Error()
		} else {
			verdict.ChampionMetrics = compute(champion)
		}
	}
	verdict.Gates = j.all(conditions)
	return conclude(verdict), nil
}

// condition is one bound of a gate.
type condition struct {
	metric     Metric
	kind       conditionKind
	bound      float64 // of min and max; the margin of versus
	confidence float64
}

type conditionKind int

const (
	atLeast conditionKind = iota
	atMost
	versus
)

func (c condition) String() string {
	switch c.kind {
	case atLeast:
		return fmt.Sprintf("%s ≥ %v", c.metric.Name, c.bound)
	case atMost:
		return fmt.Sprintf("%s ≤ %v", c.metric.Name, c.bound)
	default:
		return c.metric.Name + " vs champion"
	}
}

func conditionsOf(gates []resource.Gate, task Task) ([]condition, error) {
	var out []condition
	for i, g := range gates {
		cs, err := conditionsOfOne(g, task)
		if err != nil {
			return nil, fmt.Errorf("gate %d: %w", i+1, err)
		}
		out = append(out, cs...)
	}
	return out, nil
}

func conditionsOfOne(g resource.Gate, task Task) ([]condition, error) {
	metric, err := Lookup(g.Metric, task)
	if err != nil {
		return nil, err
	}
	confidence := g.Confidence
	if confidence == 0 {
		confidence = DefaultConfidence
	}
	if !(confidence > 0 && confidence < 1) {
		return nil, fmt.Errorf("confidence %v of %s is not between 0 and 1: write 0.95 for 95 %%", g.Confidence, g.Metric)
	}
	var out []condition
	if g.Min != nil {
		out = append(out, condition{metric, atLeast, *g.Min, confidence})
	}
	if g.Max != nil {
		out = append(out, condition{metric, atMost, *g.Max, confidence})
	}
	switch g.Versus {
	case "":
	case VersusChampion:
		if metric.Direction == Neutral {
			return nil, fmt.Errorf("%s describes the rows, not the model: it cannot be compared with the champion's", g.Metric)
		}
		if !(g.NonInferiority >= 0) {
			return nil, fmt.Errorf("nonInferiority %v of %s is negative: it is how much worse than the champion is still allowed", g.NonInferiority, g.Metric)
		}
		out = append(out, condition{metric, versus, g.NonInferiority, confidence})
	default:
		return nil, fmt.Errorf("%s cannot be compared with %q: use versus: %s", g.Metric, g.Versus, VersusChampion)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no condition: give min, max or versus", g.Metric)
	}
	return out, nil
}

// sameRows refuses to compare two versions on different rows.
func sameRows(candidate, champion *Scored) error {
	if champion == nil {
		return nil
	}
	if champion.Task != candidate.Task || champion.Classes != candidate.Classes {
		return fmt.Errorf("the champion answers another question: %s with %d classes, the candidate %s with %d",
			champion.Task, champion.Classes, candidate.Task, candidate.Classes)
	}
	same := slices.Equal(candidate.Label, champion.Label) &&
		slices.Equal(candidate.Weight, champion.Weight) &&
		(candidate.Time == nil || champion.Time == nil || slices.Equal(candidate.Time, champion.Time))
	if !same {
		return fmt.Errorf("the champion was scored on other rows (%s) than the candidate (%s): score both on the same rows in the same order",
			count(champion.Len()), count(candidate.Len()))
	}
	return nil
}

func unusable(v events.Verdict, conditions []condition, why string) events.Verdict {
	for _, c := range conditions {
		v.Gates = append(v.Gates, events.GateResult{
			Gate: c.String(), Metric: c.metric.Name, Outcome: Fail, N: v.Rows, Text: why,
		})
	}
	v.Reason = why
	return v
}

// conclude approves if nothing stands against it, and says why not otherwise.
func conclude(v events.Verdict) events.Verdict {
	var against []string
	passed := 0
	for _, g := range v.Gates {
		switch g.Outcome {
		case Pass:
			passed++
		case Fail, Inconclusive:
			against = append(against, g.Text)
		}
	}
	if len(against) > 0 {
		v.Reason = strings.Join(against, "; ")
		return v
	}
	v.Approved = true
	switch {
	case len(v.Gates) == 0:
		v.Reason = "no gates to pass"
	case passed == 0:
		v.Reason = fmt.Sprintf("no gate applies: %s", v.Gates[0].Text)
	case passed == 1:
		v.Reason = "passes its gate"
	default:
		v.Reason = fmt.Sprintf("passes all %d gates", passed)
	}
	return v
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
