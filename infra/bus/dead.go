package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/internal/follow"
)

// Headers of a dead letter, and of its replay.
const (
	headerDeadSubject  = "Tidemill-Dead-Subject"
	headerDeadStream   = "Tidemill-Dead-Stream"
	headerDeadSeq      = "Tidemill-Dead-Seq"
	headerDeadHandler  = "Tidemill-Dead-Handler"
	headerDeadError    = "Tidemill-Dead-Error"
	headerDeadTime     = "Tidemill-Dead-Time"
	headerDeadAttempts = "Tidemill-Dead-Attempts"
	headerReplayFor    = "Tidemill-Replay-For"
)

// HeaderJob carries the id of a message that is a job.
const HeaderJob = "Tidemill-Job-Id"

const maxDeadError = 2000 // bytes of an error that are kept

// ErrNoLetter says that there is no such dead letter.
var ErrNoLetter = errors.New("no such dead letter")

// Letter is a message that a handler gave up on.
type Letter struct {
	ID          uint64    `json:"id"` // its sequence in DEAD
	Handler     string    `json:"handler"`
	Stream      string    `json:"stream"` // where it came from
	Subject     string    `json:"subject"`
	Seq         uint64    `json:"seq"`
	Attempts    int       `json:"attempts"`
	Error       string    `json:"error"`
	Time        time.Time `json:"time"`          // when it was given up
	Job         string    `json:"job,omitempty"` // its id, when the message was a job
	ContentType string    `json:"contentType,omitempty"`
	Data        []byte    `json:"data,omitempty"` // the message as it was; List leaves it out
}

// NewLetter describes a message with delivery d that handler gave up on for reason.
func NewLetter(handler string, d Delivery, data []byte, reason error) Letter {
	return Letter{
		Handler: handler, Stream: d.Stream, Subject: d.Subject, Seq: d.Seq, Attempts: d.Attempt, Error: reason.Error(),
		Time: time.Now().UTC(), Data: data,
	}
}

// Dead is the room of dead letters, the stream DEAD.
type Dead struct{ js jetstream.JetStream }

// NewDead opens the room; EnsureStreams must have run.
func NewDead(js jetstream.JetStream) *Dead { return &Dead{js: js} }

// Bury stores a letter and returns once it is on disk. The same message of the same handler is stored once.
func (d *Dead) Bury(ctx context.Context, l Letter) error {
	msg := nats.NewMsg(events.DeadSubject(l.Handler))
	msg.Data = l.Data
	for key, value := range map[string]string{
		jetstream.MsgIDHeader: fmt.Sprintf("dead/%s/%s/%d", l.Handler, l.Stream, l.Seq),
		headerContentType:     l.ContentType,
		HeaderJob:             l.Job,
		headerDeadSubject:     l.Subject, headerDeadStream: l.Stream, headerDeadSeq: strconv.FormatUint(l.Seq, 10),
		headerDeadHandler: l.Handler, headerDeadError: oneLine(l.Error), headerDeadTime: l.Time.UTC().Format(time.RFC3339Nano),
		headerDeadAttempts: strconv.Itoa(l.Attempts),
	} {
		if value != "" {
			msg.Header.Set(key, value)
		}
	}
	if _, err := d.js.PublishMsg(ctx, msg); err != nil {
		return fmt.Errorf("keep dead letter of %s: %w", l.Handler, err)
	}
	return nil
}

// oneLine makes text fit for a header.
func oneLine(text string) string {
	if len(text) > maxDeadError {
		text = strings.ToValidUTF8(text[:maxDeadError], "") + "…"
	}
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " | ")
}

var errListed = errors.New("listed")

// List returns the letters of a handler, or of all when it is "", oldest first and without their data.
func (d *Dead) List(ctx context.Context, handler string) ([]Letter, error) {
	o := follow.Options{Stream: events.StreamDead, HeadersOnly: true, CaughtUp: func(uint64) error { return errListed }}
	if handler != "" {
		o.Subjects = []string{events.DeadSubject(handler)}
	}
	var letters []Letter
	err := follow.Run(ctx, d.js, o, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		letters = append(letters, readLetter(meta.Sequence.Stream, m.Headers(), nil))
		return nil
	})
	if err == nil {
		err = context.Cause(ctx)
	}
	if !errors.Is(err, errListed) {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return letters, nil
}

func readLetter(id uint64, h nats.Header, data []byte) Letter {
	l := Letter{
		ID: id, Handler: h.Get(headerDeadHandler), Stream: h.Get(headerDeadStream), Subject: h.Get(headerDeadSubject),
		Error: h.Get(headerDeadError), ContentType: h.Get(headerContentType), Job: h.Get(HeaderJob),
		Data: data,
	}
	// Written by Bury; a letter of other origin simply lacks them.
	l.Seq, _ = strconv.ParseUint(h.Get(headerDeadSeq), 10, 64)
	l.Attempts, _ = strconv.Atoi(h.Get(headerDeadAttempts))
	l.Time, _ = time.Parse(time.RFC3339Nano, h.Get(headerDeadTime))
	return l
}

// Show returns one letter with its data; ErrNoLetter when there is none.
func (d *Dead) Show(ctx context.Context, id uint64) (Letter, error) {
	stream, err := d.js.Stream(ctx, events.StreamDead)
	if err != nil {
		return Letter{}, fmt.Errorf("read dead letter %d: %w", id, err)
	}
	msg, err := stream.GetMsg(ctx, id)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = ErrNoLetter
	}
	if err != nil {
		return Letter{}, fmt.Errorf("read dead letter %d: %w", id, err)
	}
	return readLetter(id, msg.Header, msg.Data), nil
}

// Replay sends a letter to its handler again, and to no other, and removes it. The handler sees a new sequence, the same fact id.
func (d *Dead) Replay(ctx context.Context, id uint64) error {
	l, err := d.Show(ctx, id)
	if err != nil {
		return err
	}
	if l.Subject == "" || l.Handler == "" {
		return fmt.Errorf("replay dead letter %d: it does not say where it came from", id)
	}
	msg := nats.NewMsg(l.Subject)
	msg.Data = l.Data
	// An id of its own: under the old one the broker would take it for a duplicate.
	msg.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("replay/%d", id))
	msg.Header.Set(headerReplayFor, l.Handler)
	if l.ContentType != "" {
		msg.Header.Set(headerContentType, l.ContentType)
	}
	if l.Job != "" {
		msg.Header.Set(HeaderJob, l.Job)
	}
	if _, err := d.js.PublishMsg(ctx, msg); err != nil {
		return fmt.Errorf("replay dead letter %d: %w", id, err)
	}
	return d.remove(ctx, id)
}

// Drop removes a letter for good; ErrNoLetter when there is none.
func (d *Dead) Drop(ctx context.Context, id uint64) error {
	if _, err := d.Show(ctx, id); err != nil {
		return err
	}
	return d.remove(ctx, id)
}

func (d *Dead) remove(ctx context.Context, id uint64) error {
	stream, err := d.js.Stream(ctx, events.StreamDead)
	if err == nil {
		err = stream.DeleteMsg(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("remove dead letter %d: %w", id, err)
	}
	return nil
}
