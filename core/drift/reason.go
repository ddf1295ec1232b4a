package drift

import (
	"fmt"
	"math"
	"strconv"

	"github.com/tidemill/tidemill/core/profile"
)

// reason is one sentence about a judged column, with its evidence.
func reason(c *Column, opts Options, what string) string {
	measure := fmt.Sprintf("Wasserstein distance %s σ", short(c.Value))
	if c.Statistic == JensenShannonDistance {
		measure = fmt.Sprintf("Jensen-Shannon distance %s", short(c.Value))
	}
	sizes := fmt.Sprintf("%d values against %d", c.Current, c.Reference)
	switch {
	case c.Drifted:
		return fmt.Sprintf("%s has drifted: %s is above the threshold %s (chance alone stays below %s at these sizes; p = %s over all columns; %s); %s",
			c.Name, measure, short(c.Threshold), short(c.Floor), short(c.AdjustedP), sizes, what)
	case c.AdjustedP > opts.Alpha:
		return fmt.Sprintf("%s has not drifted: %s is what chance alone can give (p = %s; %s)", c.Name, measure, short(c.AdjustedP), sizes)
	default:
		return fmt.Sprintf("%s has not drifted: %s is more than chance (below %s) but under the threshold %s (%s)",
			c.Name, measure, short(c.Floor), short(c.Threshold), sizes)
	}
}

// change says what moved: the mean of numbers, or the category whose share
// changed most.
func change(c *Column, reference, current *profile.Profile) string {
	old, now := reference.Column(c.Name), current.Column(c.Name)
	if c.Statistic == WassersteinOverSigma {
		return fmt.Sprintf("its mean went from %s to %s", short(old.Numbers.Mean), short(now.Numbers.Mean))
	}
	a, b, names := categoryCounts(old.Categories, now.Categories)
	if names == nil {
		return fmt.Sprintf("it has too many values to name one (about %d, was %d)", now.Categories.Distinct(), old.Categories.Distinct())
	}
	na, nb, most := sum(a), sum(b), 0
	for i := range names {
		if math.Abs(b[i]/nb-a[i]/na) > math.Abs(b[most]/nb-a[most]/na) {
			most = i
		}
	}
	return fmt.Sprintf("%q went from %s %% to %s %%", names[most], short(100*a[most]/na), short(100*b[most]/nb))
}

func kindChanged(name string, old, now profile.Kind) string {
	return fmt.Sprintf("%s cannot be compared: it was %s and is now %s", name, old, now)
}

func tooFew(c *Column, opts Options) string {
	return fmt.Sprintf("%s is not judged: %d values against %d, and each side needs %d", c.Name, c.Current, c.Reference, opts.MinRows)
}

// short writes a number with three significant digits.
func short(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }
