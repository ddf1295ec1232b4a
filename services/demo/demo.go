// Package demo plays half a year of real flights through a running Tidemill, as a user would: it applies the declarations,
// publishes the first four weeks as a file, and then streams the rest in order of time. It waits for cycles in flight, since in
// the time that the replay takes for a day a real day's training would long be over.
package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/examples"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

const (
	dataset      = "flights"
	model        = "flight-delay"
	segmentRows  = 2000 // as the declaration says
	week         = 7 * 24 * time.Hour
	initialWeeks = 4
)

// lastWeekOnly are the weeks after which the demo asks for a candidate trained on the last week alone, to show the gate refuse it.
var lastWeekOnly = []int{10, 23}

// Options of a run.
type Options struct {
	API *call.Client
	// Publish stores rows of the dataset and returns the ROWS sequence of the last.
	Publish func(ctx context.Context, rows [][]byte) (uint64, error)
	// Declare, when not nil, applies declarations that come after the built-in ones.
	Declare func(ctx context.Context, api *call.Client) error
	// Pause is the least time between two segments of the stream; 0 plays as fast as cycles allow.
	Pause time.Duration
	// Shuffle, when not 0, is the seed that shuffles everything but the dates.
	Shuffle uint64
	// Infer asks the champion about some flights after each segment, as an application would.
	Infer bool
	// Out gets a line for whatever a person would like to know.
	Out io.Writer
}

// player is one run.
type player struct {
	o       Options
	flights []flight
	origin  time.Time
	sent    int64
	asked   []LastWeek
	said    map[string]bool // cycles that were told
	static  string          // the first champion's version
}

// Run plays the demo to its end and sums it up.
func Run(ctx context.Context, o Options) (Summary, error) {
	began := time.Now()
	flights, err := load(ctx, o.Shuffle)
	if err != nil {
		return Summary{}, err
	}
	p := &player{o: o, flights: flights, origin: flights[0].at.Truncate(24 * time.Hour), said: map[string]bool{}}
	if err := p.declare(ctx); err != nil {
		return Summary{}, fmt.Errorf("demo: %w", err)
	}
	rest, err := p.first(ctx)
	if err != nil {
		return Summary{}, fmt.Errorf("demo: first model: %w", err)
	}
	if err := p.stream(ctx, rest); err != nil {
		return Summary{}, fmt.Errorf("demo: replay: %w", err)
	}
	s, err := p.sum(ctx)
	s.Seconds = time.Since(began).Seconds()
	return s, err
}

func (p *player) say(format string, args ...any) {
	fmt.Fprintf(p.o.Out, format+"\n", args...)
}

func (p *player) declare(ctx context.Context) error {
	applied, err := call.PostBody[api.List[api.Applied]](ctx, p.o.API, "/api/v1/resources", url.Values{"file": {"flights/tidemill.yaml"}},
		call.Body{Type: "application/yaml", Reader: bytes.NewReader(examples.FlightsYAML), Length: int64(len(examples.FlightsYAML))})
	if err != nil {
		return err
	}
	for _, a := range applied.Items {
		p.say("%s %s %s", a.Kind, a.Name, a.Action)
	}
	if p.o.Declare != nil {
		return p.o.Declare(ctx, p.o.API)
	}
	return nil
}

// first publishes the first weeks as a file and waits for the first model. It returns the flights that are left.
func (p *player) first(ctx context.Context) ([]flight, error) {
	n := 0
	end := p.origin.Add(initialWeeks * week)
	var body bytes.Buffer
	for n < len(p.flights) && p.flights[n].at.Before(end) {
		body.Write(p.flights[n].row)
		body.WriteByte('\n')
		n++
	}
	p.say("publishing the first %d weeks, %d flights, as a file", initialWeeks, n)
	_, err := call.PostBody[api.Published](ctx, p.o.API, "/api/v1/datasets/"+dataset+"/files", url.Values{"name": {"weeks-0-to-3.ndjson"}},
		call.Body{Type: events.ContentNDJSON, Reader: bytes.NewReader(body.Bytes()), Length: int64(body.Len())})
	if err != nil {
		return nil, err
	}
	p.sent = int64(n)
	for {
		m, err := p.model(ctx)
		if err != nil {
			return nil, err
		}
		if m.Champion != nil && m.Cycle == nil {
			p.static = m.Champion.Version.Version
			return p.flights[n:], nil
		}
		if m.Cycles[events.OutcomeFailed]+m.Cycles[events.OutcomeRejected] > 0 {
			return nil, fmt.Errorf("the first cycle gave no model; look with: tidemill get cycles --model %s", model)
		}
		if err := lifecycle.Pause(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// stream publishes flights in order of time, a segment's worth at a time, and waits until each is settled. A little more goes
// first: the open segment then never is empty, and a refused row can't leave a full one waiting for its age.
func (p *player) stream(ctx context.Context, rest []flight) error {
	const lead = segmentRows / 20
	p.say("streaming %d more flights in order of time", len(rest))
	n := min(segmentRows+lead, len(rest))
	for len(rest) > 0 {
		if err := p.askAtWeeks(ctx, rest[0].at); err != nil {
			return err
		}
		last := n == len(rest)
		if err := p.send(ctx, rest[:n], last); err != nil {
			return err
		}
		if p.o.Infer {
			if err := p.infer(ctx, rest[:n]); err != nil {
				return err
			}
		}
		rest = rest[n:]
		n = min(segmentRows, len(rest))
		if err := p.settle(ctx, last); err != nil {
			return err
		}
		if p.o.Pause > 0 {
			if err := lifecycle.Pause(ctx, p.o.Pause); err != nil {
				return err
			}
		}
	}
	return nil
}

// send publishes rows as a stream; the last ones as a file, which closes the open segment without waiting for its age.
func (p *player) send(ctx context.Context, flights []flight, last bool) error {
	rows := make([][]byte, len(flights))
	for i, f := range flights {
		rows[i] = f.row
	}
	p.sent += int64(len(rows))
	if last {
		body := bytes.Join(rows, []byte("\n"))
		_, err := call.PostBody[api.Published](ctx, p.o.API, "/api/v1/datasets/"+dataset+"/files", url.Values{"name": {"last-flights.ndjson"}},
			call.Body{Type: events.ContentNDJSON, Reader: bytes.NewReader(body), Length: int64(len(body))})
		return err
	}
	_, err := p.o.Publish(ctx, rows)
	return err
}

// settle waits until what was sent is in segments (but for the open one), observed and decided on, and no cycle is in flight.
func (p *player) settle(ctx context.Context, last bool) error {
	most := int64(segmentRows / 2)
	if last {
		most = 0
	}
	for {
		d, err := call.Get[api.Dataset](ctx, p.o.API, "/api/v1/datasets/"+dataset, nil)
		if err != nil {
			return err
		}
		if p.sent-d.Accepted-d.Quarantined <= most {
			m, err := p.model(ctx)
			if err != nil {
				return err
			}
			if settled(d, m) {
				return p.tell(ctx, m)
			}
		}
		if err := lifecycle.Pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// settled: the newest segment is observed and was decided on, and no cycle is in flight.
func settled(d api.Dataset, m api.Model) bool {
	return m.Cycle == nil && m.Observed == d.Segments && m.Decided >= m.Observed
}

// tell says what became of cycles since the last time.
func (p *player) tell(ctx context.Context, m api.Model) error {
	if m.LastCycle == "" || p.said[m.LastCycle] {
		return nil
	}
	cycles, err := call.Get[api.List[api.Cycle]](ctx, p.o.API, "/api/v1/models/"+model+"/cycles", nil)
	if err != nil {
		return err
	}
	for i := len(cycles.Items) - 1; i >= 0; i-- {
		c := cycles.Items[i]
		if p.said[c.Cycle] || c.Outcome == "" {
			continue
		}
		p.said[c.Cycle] = true
		causes := make([]string, len(c.Causes))
		for j, cause := range c.Causes {
			causes[j] = cause.Trigger
		}
		p.say("%s  cycle %s (%s): %s: %s", c.EventTime.Format("2006-01-02"), c.Cycle, strings.Join(causes, ", "), c.Outcome, c.Reason)
	}
	return nil
}

// askAtWeeks asks for a candidate of the last week alone when the stream has reached one of those weeks.
func (p *player) askAtWeeks(ctx context.Context, next time.Time) error {
	if p.o.Shuffle != 0 || len(p.asked) == len(lastWeekOnly) {
		return nil
	}
	after := lastWeekOnly[len(p.asked)]
	if next.Before(p.origin.Add(time.Duration(after+1) * week)) {
		return nil
	}
	before, err := p.model(ctx)
	if err != nil {
		return err
	}
	_, err = call.Post[api.Asked](ctx, p.o.API, "/api/v1/models/"+model+"/retrain", nil,
		api.Retrain{Window: "sliding 7d", Reason: fmt.Sprintf("demo: can the week up to week %d alone do better?", after)})
	if err != nil {
		return err
	}
	for {
		m, err := p.model(ctx)
		if err != nil {
			return err
		}
		if m.LastCycle != before.LastCycle && m.Cycle == nil {
			c, err := call.Get[api.Cycle](ctx, p.o.API, "/api/v1/models/"+model+"/cycles/"+m.LastCycle, nil)
			if err != nil {
				return err
			}
			p.asked = append(p.asked, LastWeek{Week: after, Cycle: c.Cycle, Outcome: c.Outcome, Reason: c.Reason})
			return p.tell(ctx, m)
		}
		if err := lifecycle.Pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func (p *player) model(ctx context.Context) (api.Model, error) {
	return call.Get[api.Model](ctx, p.o.API, "/api/v1/models/"+model, nil)
}
