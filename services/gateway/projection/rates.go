package projection

import (
	"slices"
	"time"

	"github.com/tidemill/tidemill/services/api"
)

// rateWindow is the time over which rates are taken.
const rateWindow = 5 * time.Second

// rates counts the rows of the last segments.
type rates struct{ marks []mark }

type mark struct {
	at                time.Time
	accepted, refused int64
}

func (r *rates) add(at time.Time, accepted, refused int64) {
	r.marks = append(slices.DeleteFunc(r.marks, func(m mark) bool { return m.at.Before(at.Add(-rateWindow)) }), mark{at, accepted, refused})
}

func (r *rates) over(now time.Time) (out api.Rate) {
	for _, m := range r.marks {
		if m.at.After(now.Add(-rateWindow)) && !m.at.After(now) {
			out.Accepted += float64(m.accepted) / rateWindow.Seconds()
			out.Quarantined += float64(m.refused) / rateWindow.Seconds()
		}
	}
	return out
}

// Rates are rows per second over the five seconds before now, for every dataset that ever had rows.
func (p *Projection) Rates(now time.Time) api.Rates {
	p.mu.RLock()
	defer p.mu.RUnlock()
	out := api.Rates{At: now, Datasets: map[string]api.Rate{}}
	for name, d := range p.datasets {
		out.Datasets[name] = d.rates.over(now)
	}
	return out
}
