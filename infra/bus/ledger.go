package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/internal/follow"
)

// ErrNoFact says that the ledger holds no such fact.
var ErrNoFact = errors.New("no such fact")

// Ledger reads a stream of facts without acknowledging anything: FACTS, or another that carries them.
type Ledger struct {
	js     jetstream.JetStream
	stream string
}

// NewLedger reads FACTS.
func NewLedger(js jetstream.JetStream) *Ledger { return LedgerOf(js, events.StreamFacts) }

// LedgerOf reads another stream of facts, such as EVALUATIONS or PROGRESS.
func LedgerOf(js jetstream.JetStream, stream string) *Ledger { return &Ledger{js: js, stream: stream} }

// Get reads the fact with a sequence; ErrNoFact when there is none.
func (l *Ledger) Get(ctx context.Context, seq uint64) (events.Fact, error) {
	return l.read(ctx, fmt.Sprintf("%s %d", l.stream, seq), func(s jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return s.GetMsg(ctx, seq)
	})
}

// Last reads the newest fact on a subject, which may have wildcards; ErrNoFact when there is none.
func (l *Ledger) Last(ctx context.Context, subject string) (events.Fact, error) {
	return l.read(ctx, "the last on "+subject, func(s jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return s.GetLastMsgForSubject(ctx, subject)
	})
}

func (l *Ledger) read(ctx context.Context, what string, get func(jetstream.Stream) (*jetstream.RawStreamMsg, error)) (events.Fact, error) {
	stream, err := l.js.Stream(ctx, l.stream)
	if err != nil {
		return events.Fact{}, fmt.Errorf("read %s: %w", what, err)
	}
	msg, err := get(stream)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = ErrNoFact
	}
	if err != nil {
		return events.Fact{}, fmt.Errorf("read %s: %w", what, err)
	}
	return decode(msg.Data, msg.Sequence)
}

// LastSeq is the sequence of the stream's newest message, 0 when it is empty.
func (l *Ledger) LastSeq(ctx context.Context) (uint64, error) {
	stream, err := l.js.Stream(ctx, l.stream)
	if err != nil {
		return 0, fmt.Errorf("read the end of %s: %w", l.stream, err)
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// FollowOptions say what to follow.
type FollowOptions struct {
	// From is the first sequence; 0 means from the start.
	From uint64
	// Subjects filters; none means all.
	Subjects []string
	// CaughtUp, when set, is called once: when all that was in the stream at the start has been handed out. It gets the stream's
	// last sequence at the start.
	CaughtUp func(lastSeq uint64)
	// Disconnected, when set, is told when the broker is away; Follow goes on by itself.
	Disconnected func(error)
}

// Follow hands every fact to fn, each once and in order, until ctx ends (nil) or fn fails (its error). It goes on where it was
// after a disconnect. Replays of dead letters are left out: they were heard before. A message that is no fact ends it.
func (l *Ledger) Follow(ctx context.Context, o FollowOptions, fn func(events.Fact) error) error {
	return follow.Run(ctx, l.js, follow.Options{
		Stream: l.stream, From: o.From, Subjects: o.Subjects, Disconnected: o.Disconnected,
		CaughtUp: func(last uint64) error {
			if o.CaughtUp != nil {
				o.CaughtUp(last)
			}
			return nil
		},
	}, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		if m.Headers().Get(headerReplayFor) != "" {
			return nil
		}
		fact, err := decode(m.Data(), meta.Sequence.Stream)
		if err != nil {
			return fmt.Errorf("follow %s: %w", l.stream, err)
		}
		return fn(fact)
	})
}
