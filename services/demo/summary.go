package demo

import (
	"context"
	"net/url"
	"time"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

// Figures are means over the weeks that were streamed.
type Figures struct {
	AUC     float64 `json:"auc"`
	Logloss float64 `json:"logloss"`
}

// LastWeek is what became of a candidate that was trained on one week alone.
type LastWeek struct {
	Week    int    `json:"week"`
	Cycle   string `json:"cycle"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
}

// Summary is the demo's one line of JSON.
type Summary struct {
	Static     Figures `json:"static"`     // the first model kept for ever
	Continuous Figures `json:"continuous"` // the champion of the moment, each row scored before anything trained on it
	Cycles     struct {
		Requested int64 `json:"requested"`
		Promoted  int64 `json:"promoted"`
		Rejected  int64 `json:"rejected"`
		Failed    int64 `json:"failed"`
	} `json:"cycles"`
	Triggers map[string]int64 `json:"triggers"` // cycles by what caused them
	Alerts   map[string]int64 `json:"alerts"`   // raised, by kind
	Rows     struct {
		Sent        int64 `json:"sent"`
		Accepted    int64 `json:"accepted"`
		Quarantined int64 `json:"quarantined"`
	} `json:"rows"`
	LastWeekOnly []LastWeek `json:"lastWeekOnly"`
	Seconds      float64    `json:"seconds"`
}

func (p *player) sum(ctx context.Context) (Summary, error) {
	s := Summary{Triggers: map[string]int64{}, Alerts: map[string]int64{}, LastWeekOnly: p.asked}
	var err error
	if s.Continuous, err = p.figures(ctx, ""); err != nil {
		return s, err
	}
	if s.Static, err = p.figures(ctx, p.static); err != nil {
		return s, err
	}
	cycles, err := call.Get[api.List[api.Cycle]](ctx, p.o.API, "/api/v1/models/"+model+"/cycles", nil)
	if err != nil {
		return s, err
	}
	for _, c := range cycles.Items {
		s.Cycles.Requested++
		switch c.Outcome {
		case events.OutcomePromoted:
			s.Cycles.Promoted++
		case events.OutcomeRejected:
			s.Cycles.Rejected++
		case events.OutcomeFailed:
			s.Cycles.Failed++
		}
		for _, cause := range c.Causes {
			s.Triggers[cause.Trigger]++
		}
	}
	alerts, err := call.Get[api.List[api.Alert]](ctx, p.o.API, "/api/v1/alerts", nil)
	if err != nil {
		return s, err
	}
	for _, a := range alerts.Items {
		s.Alerts[a.Kind]++
	}
	d, err := call.Get[api.Dataset](ctx, p.o.API, "/api/v1/datasets/"+dataset, nil)
	if err != nil {
		return s, err
	}
	s.Rows.Sent, s.Rows.Accepted, s.Rows.Quarantined = p.sent, d.Accepted, d.Quarantined
	return s, nil
}

// figures are the means over the streamed weeks, of a version or (version "") of the champion of the moment.
func (p *player) figures(ctx context.Context, version string) (Figures, error) {
	query := url.Values{"bucket": {"7d"}, "from": {p.origin.Add(initialWeeks * week).Format(time.RFC3339)}}
	if version != "" {
		query.Set("version", version)
	}
	points, err := call.Get[api.List[api.MetricPoint]](ctx, p.o.API, "/api/v1/models/"+model+"/metrics", query)
	if err != nil {
		return Figures{}, err
	}
	var f Figures
	for _, point := range points.Items {
		f.AUC += point.Metrics["auc"] / float64(len(points.Items))
		f.Logloss += point.Metrics["logloss"] / float64(len(points.Items))
	}
	return f, nil
}
