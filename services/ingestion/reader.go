package ingestion

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/lifecycle"
)

const (
	heartbeat         = 2 * time.Second
	inactiveThreshold = time.Minute
	forgetTimeout     = 2 * time.Second

	prefetch      = 4096     // messages asked for at once
	prefetchBytes = 16 << 20 // of one answer, at least; it must hold the largest message

	chunkMessages = 1024
	chunkBytes    = 1 << 20
	chunksAhead   = 4 // read while a segment is being written
)

// message is one message of ROWS.
type message struct {
	seq     uint64
	content string // its content type without parameters, "" when it has none
	data    []byte
}

// chunk is messages in order, and how many more wait behind them.
type chunk struct {
	messages []message
	pending  uint64
}

// reader reads the messages of one dataset in order, each once.
type reader struct {
	js      jetstream.JetStream
	log     *zap.Logger
	dataset string
	next    uint64 // the first sequence that was not handed out
}

// run hands out chunks until ctx ends, whatever happens to the connection.
func (r *reader) run(ctx context.Context, out chan<- chunk) {
	backoff := minBackoff
	for {
		before := r.next
		err := r.read(ctx, out)
		if ctx.Err() != nil {
			return
		}
		if r.next > before {
			backoff = minBackoff
		}
		r.log.Warn("reading rows was interrupted", zap.Error(err), zap.Duration("after", backoff))
		if lifecycle.Pause(ctx, backoff) != nil {
			return
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// read makes one consumer and reads from it until something breaks.
func (r *reader) read(ctx context.Context, out chan<- chunk) error {
	consumer, err := r.js.CreateConsumer(ctx, events.StreamRows, jetstream.ConsumerConfig{
		FilterSubject: events.RowsSubject(r.dataset), AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1,
		InactiveThreshold: inactiveThreshold, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(r.next, 1),
	})
	if err != nil {
		return err
	}
	name := consumer.CachedInfo().Name
	defer func() {
		if !r.js.Conn().IsConnected() {
			return // it disappears by itself after inactiveThreshold
		}
		forget, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetTimeout)
		defer cancel()
		_ = r.js.DeleteConsumer(forget, events.StreamRows, name)
	}()
	limit := max(prefetchBytes, int(r.js.Conn().MaxPayload())+64<<10)
	messages, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(prefetch, limit), jetstream.PullHeartbeat(heartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return err
	}
	defer messages.Stop()
	return r.hand(ctx, messages, out)
}

// hand gathers messages into chunks: full ones while many wait, at once what there is otherwise.
func (r *reader) hand(ctx context.Context, messages jetstream.MessagesContext, out chan<- chunk) error {
	var c chunk
	size := 0
	stop := jetstream.NextContext(ctx)
	for expected := uint64(1); ; expected++ {
		msg, err := messages.Next(stop)
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != expected {
			return fmt.Errorf("message %d was lost on the way", expected)
		}
		if c.messages == nil {
			c.messages = make([]message, 0, min(chunkMessages, int(meta.NumPending)+1))
		}
		c.messages = append(c.messages, message{seq: meta.Sequence.Stream, content: contentType(msg), data: msg.Data()})
		size += len(msg.Data())
		if meta.NumPending > 0 && len(c.messages) < chunkMessages && size < chunkBytes {
			continue
		}
		c.pending = meta.NumPending
		select {
		case out <- c:
		case <-ctx.Done():
			return ctx.Err()
		}
		r.next = meta.Sequence.Stream + 1
		c, size = chunk{}, 0
	}
}

// contentType is a message's content type without parameters, in lower case. The names of NATS headers are case-sensitive, those
// of other protocols, from which CloudEvents come, are not.
func contentType(m jetstream.Msg) string {
	h := m.Headers()
	if len(h) == 0 {
		return ""
	}
	text := h.Get(events.HeaderContent)
	if text == "" {
		for name := range h {
			if strings.EqualFold(name, events.HeaderContent) {
				text = h.Get(name)
			}
		}
	}
	text, _, _ = strings.Cut(text, ";")
	return strings.ToLower(strings.TrimSpace(text))
}
