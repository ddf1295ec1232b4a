package evaluation

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/events"
)

// comparison says in one sentence how the candidate stands to the champion.
// worse, least and most are how much worse it is, with its interval.
func comparison(c condition, r *events.GateResult, worse, least, most float64) string {
	head := fmt.Sprintf("%s %s ", c.metric.Name, number(r.Value))
	old := number(*r.Champion)
	switch {
	case worse > 0:
		head += fmt.Sprintf("is worse than the champion's %s by %s (%s)", old, number(worse), intervalNote(c, least, most, r.N))
	case worse < 0:
		head += fmt.Sprintf("is better than the champion's %s by %s (%s)", old, number(-worse), intervalNote(c, -most, -least, r.N))
	default:
		head += fmt.Sprintf("equals the champion's (%s)", intervalNote(c, least, most, r.N))
	}
	switch r.Outcome {
	case Pass:
		if worse > 0 {
			head += fmt.Sprintf(", within the allowed %s", number(c.bound))
		}
		return head
	case Fail:
		return head + fmt.Sprintf("; the most allowed is %s", number(c.bound))
	default:
		return head + fmt.Sprintf("; these rows cannot rule out that it is worse by %s, and the most allowed is %s", number(most), number(c.bound))
	}
}

func intervalNote(c condition, lower, upper float64, n int64) string {
	return fmt.Sprintf("%s %% interval %s to %s, n=%s",
		strconv.FormatFloat(math.Round(c.confidence*1e4)/1e2, 'f', -1, 64), number(lower), number(upper), count(int(n)))
}

// number writes a metric with three digits after the point, more for small
// amounts and none of the noise of large ones.
func number(v float64) string {
	size := math.Abs(v)
	switch {
	case v == 0:
		return "0"
	case size < 1e-6:
		return strconv.FormatFloat(v, 'e', 1, 64)
	case size < 0.0095:
		return strconv.FormatFloat(v, 'f', 1-int(math.Floor(math.Log10(size))), 64)
	case size < 100:
		return strconv.FormatFloat(v, 'f', 3, 64)
	default:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
}

// count writes a whole number with its thousands apart: 11,400.
func count(n int) string {
	digits := strconv.Itoa(n)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return sign + b.String()
}
