package serving

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/host"
	"github.com/tidemill/tidemill/services/serving/oip"
)

// The log of predictions. A message on events.PredictionsSubject(model) has the content type events.ContentNDJSON and holds up
// to linesPerMessage predictions of the model, one JSON object a line (in Go, Prediction):
//
//	{"time":"2026-01-02T03:04:05.678Z","model":"flight-delay","version":"3","id":"42","row":0,
//	 "features":{"hour":"7","distance":300},"probabilities":[0.9,0.1]}
//
// Predictions are logged at most once, in about the order of the answers. When the log can't keep up, predictions are
// answered, not logged, and counted as dropped.
const (
	linesPerMessage = 500
	bytesPerMessage = 256 << 10
	pendingRows     = 50_000 // more are dropped
	bytesPerRow     = 512    // of a request; longer rows count as several
	wakeRows        = linesPerMessage
	flushEvery      = 100 * time.Millisecond
	flushAtStop     = 5 * time.Second
	messagesInAir   = 256
)

// Prediction is a line of the log.
type Prediction struct {
	Time    time.Time `json:"time"`
	Model   string    `json:"model"`
	Version string    `json:"version"`
	// ID is the request's id; Row is the row in a request of several.
	ID  string `json:"id,omitempty"`
	Row int    `json:"row,omitempty"`
	// Features are what the model saw when the request held features; null is a missing number.
	Features map[string]any `json:"features,omitempty"`
	// Columns are the dataset's columns that the features are made of, when the request held columns; timestamps are RFC 3339.
	Columns map[string]any `json:"columns,omitempty"`
	// Probabilities are in the order of the manifest's classes; a regression has Prediction in their place.
	Probabilities []float32 `json:"probabilities,omitempty"`
	Prediction    *float32  `json:"prediction,omitempty"`
}

// predictionLog takes answered requests and publishes them in the background.
type predictionLog struct {
	js       jetstream.JetStream
	fraction float64
	dropped  prometheus.Counter
	pool     *requestPool
	wake     chan struct{}

	// Of the one who publishes.
	messages map[string]*message
	head     []byte

	mu      sync.Mutex
	pending []*request
	rows    int
	woken   bool
}

func newPredictionLog(h *host.Host, fraction float64, dropped prometheus.Counter, pool *requestPool) (*predictionLog, error) {
	if fraction == 0 {
		fraction = 1
	}
	l := &predictionLog{fraction: fraction, dropped: dropped, pool: pool, wake: make(chan struct{}, 1), messages: map[string]*message{}}
	var err error
	// A context of its own: its acknowledgements are nobody else's.
	l.js, err = jetstream.New(h.NC, jetstream.WithPublishAsyncMaxPending(messagesInAir),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, _ error) { l.drop(lines(m.Data)) }))
	return l, err
}

func lines(b []byte) int { return bytes.Count(b, []byte{'\n'}) }

func (l *predictionLog) drop(n int) { l.dropped.Add(float64(n)) }

// add takes an answered request; it is the log's from now on. It never waits for the broker.
func (l *predictionLog) add(r *request) {
	weight := max(r.batch.N, len(r.body)/bytesPerRow)
	if cap(r.body) > 2*len(r.body)+bytesPerRow {
		r.body = nil // what waits must not weigh more than it counts
	}
	if r.batch.N == 0 || l.fraction < 0 {
		l.pool.put(r)
		return
	}
	l.mu.Lock()
	if l.rows+weight > pendingRows {
		l.mu.Unlock()
		l.drop(r.batch.N)
		l.pool.put(r)
		return
	}
	l.pending = append(l.pending, r)
	l.rows += weight
	wake := l.rows >= wakeRows && !l.woken
	l.woken = l.woken || wake
	l.mu.Unlock()
	if wake {
		select {
		case l.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// run publishes until ctx ends, and then what is left.
func (l *predictionLog) run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	var spare []*request
	for {
		select {
		case <-ctx.Done():
			l.flush(spare)
			select {
			case <-l.js.PublishAsyncComplete():
			case <-time.After(flushAtStop):
			}
			return nil
		case <-tick.C:
		case <-l.wake:
		}
		spare = l.flush(spare)
	}
}

// flush publishes what is pending and gives its list back for reuse.
func (l *predictionLog) flush(spare []*request) []*request {
	l.mu.Lock()
	list := l.pending
	l.pending, l.rows, l.woken = spare[:0], 0, false
	l.mu.Unlock()
	select {
	case <-l.wake: // this flush is its answer
	default:
	}
	for i, r := range list {
		l.head = r.appendHead(l.head[:0])
		m := l.message(r.version.ref.Model)
		for row := range r.batch.N {
			if l.fraction < 1 && rand.Float64() >= l.fraction {
				continue
			}
			m.data = r.appendLine(append(m.data, l.head...), row)
			if m.lines++; m.lines >= linesPerMessage || len(m.data) >= bytesPerMessage {
				l.publish(m)
			}
		}
		l.pool.put(r)
		list[i] = nil
	}
	for name, m := range l.messages {
		l.publish(m)
		delete(l.messages, name)
	}
	return list
}

// message is what a model's predictions are gathered in.
type message struct {
	model string
	data  []byte
	lines int
}

func (l *predictionLog) message(model string) *message {
	m := l.messages[model]
	if m == nil {
		m = &message{model: model}
		l.messages[model] = m
	}
	return m
}

// publish sends without waiting for the acknowledgement, but not without end: with messagesInAir unanswered it gives up soon.
func (l *predictionLog) publish(m *message) {
	if m.lines == 0 {
		return
	}
	msg := nats.NewMsg(events.PredictionsSubject(m.model))
	msg.Data = m.data
	msg.Header.Set(events.HeaderContent, events.ContentNDJSON)
	if _, err := l.js.PublishMsgAsync(msg); err != nil {
		l.drop(m.lines)
	}
	m.data, m.lines = make([]byte, 0, len(m.data)+len(m.data)/8), 0 // the broker's client keeps the old one
}

// appendHead appends what all rows of the request begin with.
func (r *request) appendHead(b []byte) []byte {
	b = r.at.UTC().AppendFormat(append(b, `{"time":"`...), time.RFC3339Nano)
	b = append(append(b, '"'), r.version.logHead...)
	if r.id != "" {
		b = oip.AppendString(append(b, `,"id":`...), r.id)
	}
	return b
}

// appendLine appends the rest of one row with its line end.
func (r *request) appendLine(b []byte, row int) []byte {
	if row > 0 {
		b = strconv.AppendInt(append(b, `,"row":`...), int64(row), 10)
	}
	if r.raw != nil {
		b = r.appendColumns(append(b, `,"columns":{`...), row)
	} else {
		b = r.appendFeatures(append(b, `,"features":{`...), row)
	}
	width := len(r.answers) / r.batch.N
	if r.version.manifest.Task == resource.TaskRegression {
		b = oip.AppendFloat(append(b, `},"prediction":`...), r.answers[row])
		return append(b, "}\n"...)
	}
	b = oip.AppendFloats(append(b, `},"probabilities":[`...), r.answers[row*width:(row+1)*width])
	return append(b, "]}\n"...)
}

func (r *request) appendFeatures(b []byte, row int) []byte {
	for i, f := range r.version.manifest.Features {
		b = append(b, r.version.logKeys[i]...)
		switch c := r.batch.Columns[i]; {
		case f.Kind == model.KindString:
			b = oip.AppendString(b, c.Text[row])
		case math.IsNaN(float64(c.Numeric[row])):
			b = append(b, "null"...)
		default:
			b = oip.AppendFloat(b, c.Numeric[row])
		}
	}
	return b
}

func (r *request) appendColumns(b []byte, row int) []byte {
	for i := range r.raw.features.Used {
		b = append(b, r.raw.logKeys[i]...)
		v := r.bound[row][i]
		switch {
		case v.Null:
			b = append(b, "null"...)
		case r.raw.types[i] == resource.TypeFloat64:
			b = strconv.AppendFloat(b, v.F, 'g', -1, 64)
		case r.raw.types[i] == resource.TypeInt64:
			b = strconv.AppendInt(b, v.I, 10)
		case r.raw.types[i] == resource.TypeBoolean:
			b = strconv.AppendBool(b, v.I != 0)
		case r.raw.types[i] == resource.TypeTimestamp:
			b = append(time.UnixMicro(v.I).UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
		default:
			b = oip.AppendString(b, v.S)
		}
	}
	return b
}

// keys are the names as JSON, as the members of an object begin.
func keys(names []string) [][]byte {
	out := make([][]byte, len(names))
	for i, name := range names {
		if i > 0 {
			out[i] = []byte{','}
		}
		out[i] = append(oip.AppendString(out[i], name), ':')
	}
	return out
}
