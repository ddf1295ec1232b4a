package serving

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/host"
)

// Prediction is one line of a message on events.PredictionsSubject: a message is NDJSON with up to some hundred of them.
type Prediction struct {
	Time          time.Time      `json:"time"`
	Model         string         `json:"model"`
	Version       string         `json:"version"`
	ID            string         `json:"id,omitempty"` // of the request
	Features      map[string]any `json:"features"`     // what the model saw; null is left out
	Probabilities []float32      `json:"probabilities,omitempty"`
	Prediction    *float32       `json:"prediction,omitempty"`
}

const (
	logBuffer   = 4096 // requests that may wait
	logBatch    = 256  // predictions per message
	logEvery    = 100 * time.Millisecond
	logMostRows = 64 // of one request; larger ones are files in disguise
)

// logged is a request on its way into the log. It owns its memory.
type logged struct {
	at      time.Time
	version *version
	id      string
	batch   model.Batch
	answers []float32
}

// predictionLog publishes predictions in the background; a request never waits for it.
type predictionLog struct {
	host     *host.Host
	fraction float64
	dropped  prometheus.Counter
	queue    chan logged
}

func newPredictionLog(h *host.Host, fraction float64, dropped prometheus.Counter) *predictionLog {
	if fraction == 0 {
		fraction = 1
	}
	return &predictionLog{host: h, fraction: fraction, dropped: dropped, queue: make(chan logged, logBuffer)}
}

// add takes a copy of a request's features and answers, or drops it when the log can't keep up.
func (l *predictionLog) add(v *version, q *request, answers []float32) {
	if l.fraction < 1 && rand.Float64() >= l.fraction {
		return
	}
	n := min(q.rows, logMostRows)
	if len(l.queue) == cap(l.queue) {
		l.dropped.Add(float64(n))
		return
	}
	x := logged{at: l.host.Clock(), version: v, id: string(q.wire.ID), batch: model.Batch{N: n, Columns: make([]model.Column, len(q.batch.Columns))},
		answers: append([]float32(nil), answers[:len(answers)/q.rows*n]...)}
	for i, c := range q.batch.Columns {
		if c.Numeric != nil {
			x.batch.Columns[i].Numeric = append([]float32(nil), c.Numeric[:n]...)
		} else {
			x.batch.Columns[i].Text = append([]string(nil), c.Text[:n]...)
		}
	}
	select {
	case l.queue <- x:
	default:
		l.dropped.Add(float64(n))
	}
}

// run publishes until ctx ends, and then what is left.
func (l *predictionLog) run(ctx context.Context) error {
	pending := map[string][]byte{}
	counts := map[string]int{}
	flush := func() {
		for name, lines := range pending {
			if counts[name] > 0 {
				l.publish(name, lines, counts[name])
			}
			delete(pending, name)
			delete(counts, name)
		}
	}
	tick := time.NewTicker(logEvery)
	defer tick.Stop()
	for {
		select {
		case x := <-l.queue:
			name := x.version.ref.Model
			pending[name] = appendPredictions(pending[name], x)
			if counts[name] += x.batch.N; counts[name] >= logBatch {
				l.publish(name, pending[name], counts[name])
				delete(pending, name)
				delete(counts, name)
			}
		case <-tick.C:
			flush()
		case <-ctx.Done():
			for len(l.queue) > 0 {
				x := <-l.queue
				name := x.version.ref.Model
				pending[name] = appendPredictions(pending[name], x)
				counts[name] += x.batch.N
			}
			flush()
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			select {
			case <-l.host.JS.PublishAsyncComplete():
			case <-stop.Done():
			}
			return nil
		}
	}
}

func (l *predictionLog) publish(name string, lines []byte, n int) {
	msg := nats.NewMsg(events.PredictionsSubject(name))
	msg.Data = lines
	msg.Header.Set(events.HeaderContent, events.ContentNDJSON)
	if _, err := l.host.JS.PublishMsgAsync(msg); err != nil {
		l.dropped.Add(float64(n))
	}
}

func appendPredictions(b []byte, x logged) []byte {
	width := len(x.answers) / x.batch.N
	for i := range x.batch.N {
		p := Prediction{Time: x.at, Model: x.version.ref.Model, Version: x.version.ref.Version, ID: x.id, Features: map[string]any{}}
		for k, f := range x.version.manifest.Features {
			c := x.batch.Columns[k]
			switch {
			case c.Text != nil:
				p.Features[f.Name] = c.Text[i]
			case !math.IsNaN(float64(c.Numeric[i])):
				p.Features[f.Name] = c.Numeric[i]
			}
		}
		row := x.answers[i*width : (i+1)*width]
		if len(x.version.labels) > 0 {
			p.Probabilities = row
		} else {
			p.Prediction = &row[0]
		}
		line, err := json.Marshal(p)
		if err != nil {
			continue // finite numbers and text always encode
		}
		b = append(append(b, line...), '\n')
	}
	return b
}
