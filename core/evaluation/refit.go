package evaluation

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/tidemill/tidemill/events"
)

// Bounds of a refitted version. They are wide: they are to find a training that went wrong, not to judge a better one.
const (
	maxRefitDistance = 0.10    // mean total variation distance of probabilities; or, of a regression, share of a standard deviation
	maxRefitGrowth   = 2.0     // times the bytes of the judged version
	freeRefitGrowth  = 1 << 20 // bytes that never count
)

// Refit compares a version that was trained again on all rows with the one of the same recipe that passed the gates. It has seen
// the rows that judge, so that its metrics on them say nothing; instead it must answer them usably (smoke), be about as large
// (size), and answer about the same (distance): the mean over rows of the total variation distance ½·Σ|p − q| of the
// probabilities, or the mean absolute difference of a regression's predictions in standard deviations of the judged ones, is
// at most 0.1. judged and refitted are the same rows in the same order; sizes are bytes of the packages. ok tells whether
// every gate passed; reason says what stands against it.
func Refit(judged, refitted *Scored, judgedBytes, refittedBytes int64) (gates []events.GateResult, ok bool, reason string) {
	gates = []events.GateResult{smoke(refitted), size(judgedBytes, refittedBytes, int64(refitted.Len()))}
	if gates[0].Outcome == Pass {
		gates = append(gates, distance(judged, refitted))
	}
	var against []string
	for _, g := range gates {
		if g.Outcome != Pass {
			against = append(against, g.Text)
		}
	}
	return gates, len(against) == 0, strings.Join(against, "; ")
}

func smoke(s *Scored) events.GateResult {
	g := events.GateResult{Gate: "refit: smoke", Metric: "smoke", N: int64(s.Len()), Outcome: Pass, Text: "the refitted version answers every row"}
	err := s.Check()
	if err == nil && s.Len() == 0 {
		err = errors.New("no answers")
	}
	if err != nil {
		g.Outcome, g.Text = Fail, "the refitted version gives "+err.Error()
	}
	return g
}

func size(judged, refitted, n int64) events.GateResult {
	g := events.GateResult{Gate: "refit: size", Metric: "bytes", N: n, Value: float64(refitted), Outcome: Pass}
	most := int64(maxRefitGrowth*float64(judged)) + freeRefitGrowth
	g.Text = fmt.Sprintf("the refitted version has %s bytes, the judged one %s", count(int(refitted)), count(int(judged)))
	if refitted > most {
		g.Outcome = Fail
		g.Text += fmt.Sprintf("; at most %s are plausible", count(int(most)))
	}
	return g
}

func distance(judged, refitted *Scored) events.GateResult {
	g := events.GateResult{Gate: "refit: prediction distance", Metric: "predictionDistance", N: int64(refitted.Len()), Outcome: Pass}
	if judged.Len() != refitted.Len() || judged.width() != refitted.width() || judged.Task != refitted.Task {
		g.Outcome = Fail
		g.Text = fmt.Sprintf("the refitted version answers %s rows of %d values, the judged one %s of %d: they can't be compared",
			count(refitted.Len()), refitted.width(), count(judged.Len()), judged.width())
		return g
	}
	sum := 0.0
	for i, p := range refitted.Scores {
		sum += math.Abs(p - judged.Scores[i])
	}
	unit := "in total variation distance"
	switch judged.Task {
	case Regression:
		sum /= max(deviation(judged.Scores), math.SmallestNonzeroFloat32)
		unit = "standard deviations"
	case Multiclass:
		sum /= 2
	}
	g.Value = sum / float64(max(1, refitted.Len()))
	g.Text = fmt.Sprintf("the refitted version's answers differ by %s %s from the judged one's, on average over %s rows", number(g.Value), unit, count(refitted.Len()))
	if !(g.Value <= maxRefitDistance) {
		g.Outcome = Fail
		g.Text += fmt.Sprintf("; at most %s is plausible", number(maxRefitDistance))
	}
	return g
}

// deviation is the population standard deviation.
func deviation(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	mean := 0.0
	for _, x := range v {
		mean += x / float64(len(v))
	}
	variance := 0.0
	for _, x := range v {
		variance += (x - mean) * (x - mean) / float64(len(v))
	}
	return math.Sqrt(variance)
}
