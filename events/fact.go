package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
)

// ContentType is the content type of a fact on the wire (CloudEvents structured mode).
const ContentType = "application/cloudevents+json"

// Extension attributes of a fact's envelope.
const (
	extCycle        = "cycleid"
	extCausation    = "causationid"
	extCausationSeq = "causationseq"
	extTraceParent  = "traceparent"
	extSequence     = "sequence"
)

// Fact is one event of the control plane.
type Fact struct {
	ID      string    // UUIDv5 of (cause, step): the same decision always says the same id
	Type    Type      // what happened
	Source  string    // the service that says it: "/tidemill/retraining"
	Subject string    // the name it is about: a dataset for segment facts, else a model or resource
	Time    time.Time // UTC
	CycleID string    // the cycle it belongs to, if any

	CausationID  string // the fact (or request) that caused it
	CausationSeq uint64 // that fact's sequence in FACTS, so that "why" is a direct read; 0 when there is none
	TraceParent  string // W3C trace context

	Data json.RawMessage // the payload struct of Type, as JSON

	Seq uint64 // its own sequence in FACTS when it was read from there, by whatever way; 0 before
}

// namespace is the UUIDv5 namespace of all derived ids.
var namespace = uuid.MustParse("5f0d5a4e-93a2-5c52-9d5c-0f7d6a2b8e11")

// DeriveID is the UUIDv5 of the parts: the same cause and step give the same id in every process and on every try.
func DeriveID(parts ...string) string {
	return uuid.NewSHA1(namespace, []byte(strings.Join(parts, "\x1f"))).String()
}

// SegmentStepID is the id of a fact about one segment: derived from (dataset, ordinal, step), whatever caused it.
func SegmentStepID(dataset string, ordinal uint64, step string) string {
	return DeriveID("segment", dataset, fmt.Sprint(ordinal), step)
}

// NewFact makes a fact of the payload p. The id is given: derive it with DeriveID from the cause and the step.
func NewFact(id string, t Type, source, subject string, at time.Time, p any) (Fact, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return Fact{}, fmt.Errorf("encode %s: %w", t.Short(), err)
	}
	return Fact{ID: id, Type: t, Source: "/tidemill/" + source, Subject: subject, Time: at.UTC(), Data: data}, nil
}

// Caused returns f linked to its cause: causation, cycle and trace are taken over where f has none of its own.
func (f Fact) Caused(by Fact) Fact {
	f.CausationID, f.CausationSeq = by.ID, by.Seq
	if f.CycleID == "" {
		f.CycleID = by.CycleID
	}
	if f.TraceParent == "" {
		f.TraceParent = by.TraceParent
	}
	return f
}

// InCycle returns f as a fact of the cycle.
func (f Fact) InCycle(cycle string) Fact { f.CycleID = cycle; return f }

// Decode reads the payload into p, which must be a pointer to the payload struct of f.Type.
func (f Fact) Decode(p any) error {
	if err := json.Unmarshal(f.Data, p); err != nil {
		return fmt.Errorf("payload of %s %s: %w", f.Type.Short(), f.ID, err)
	}
	return nil
}

// PayloadOf reads the payload of f as a T.
func PayloadOf[T any](f Fact) (T, error) {
	var p T
	err := f.Decode(&p)
	return p, err
}

// Where is the subject on which f is said. All facts go to FACTS, but for two that would crowd it: policy.evaluated goes to
// EVALUATIONS and trial.progressed to PROGRESS.
func (f Fact) Where() string {
	switch f.Type {
	case PolicyEvaluatedType:
		return EvaluationsSubject(f.Subject)
	case TrialProgressedType:
		return ProgressSubject(f.Subject)
	}
	return FactSubject(f.Type, f.Subject)
}

// MarshalJSON writes the CloudEvents structured form, as the ledger stores it: without Seq, which is known only from then on.
func (f Fact) MarshalJSON() ([]byte, error) { return f.encode(nil) }

// Told writes the form in which a fact leaves the ledger for people and programs: with its sequence in the extension "sequence",
// and one sentence about it in the extension "text". UnmarshalJSON reads it as any other fact.
func (f Fact) Told(text string) ([]byte, error) {
	return f.encode(map[string]string{extSequence: fmt.Sprint(f.Seq), "text": text})
}

func (f Fact) encode(more map[string]string) ([]byte, error) {
	e := cloudevents.New(cloudevents.CloudEventsVersionV1)
	e.SetID(f.ID)
	e.SetType(string(f.Type))
	e.SetSource(f.Source)
	e.SetSubject(f.Subject)
	e.SetTime(f.Time)
	set := func(name, value string) {
		if value != "" {
			e.SetExtension(name, value)
		}
	}
	set(extCycle, f.CycleID)
	set(extCausation, f.CausationID)
	if f.CausationSeq != 0 {
		// A decimal string: CloudEvents integers are 32 bits wide, a ledger outgrows them.
		e.SetExtension(extCausationSeq, fmt.Sprint(f.CausationSeq))
	}
	set(extTraceParent, f.TraceParent)
	for name, value := range more {
		set(name, value)
	}
	if err := e.SetData("application/json", f.Data); err != nil {
		return nil, fmt.Errorf("envelope of %s: %w", f.Type.Short(), err)
	}
	return json.Marshal(e)
}

// UnmarshalJSON reads the CloudEvents structured form; an event that isn't a valid CloudEvent is an error.
func (f *Fact) UnmarshalJSON(b []byte) error {
	var e cloudevents.Event
	if err := json.Unmarshal(b, &e); err != nil {
		return fmt.Errorf("not a CloudEvent: %w", err)
	}
	if err := e.Validate(); err != nil {
		return fmt.Errorf("not a valid CloudEvent: %w", err)
	}
	*f = Fact{ID: e.ID(), Type: Type(e.Type()), Source: e.Source(), Subject: e.Subject(), Time: e.Time(), Data: e.Data()}
	ext := e.Extensions()
	text := func(name string) string {
		if v, ok := ext[name]; ok {
			return fmt.Sprint(v)
		}
		return ""
	}
	f.CycleID, f.CausationID, f.TraceParent = text(extCycle), text(extCausation), text(extTraceParent)
	for name, into := range map[string]*uint64{extCausationSeq: &f.CausationSeq, extSequence: &f.Seq} {
		if s := text(name); s != "" {
			if _, err := fmt.Sscan(s, into); err != nil {
				return fmt.Errorf("%s %q is not a sequence number", name, s)
			}
		}
	}
	if f.Subject == "" {
		return errors.New("a fact needs a subject: the dataset, model or resource it is about")
	}
	return nil
}
