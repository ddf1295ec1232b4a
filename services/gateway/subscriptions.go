package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

const (
	ackWait = time.Minute
	maxWait = time.Minute
)

type NextInput struct {
	Durable string `path:"durable"`
	Types   string `query:"types" doc:"comma-separated: model.ready,cycle.ended"`
	Model   string `query:"model"`
	Since   string `query:"since" doc:"where a new subscription begins; default: with the next fact"`
	Wait    string `query:"wait" default:"30s"`
}

// nextOutput is a fact, or nothing: status 204.
type nextOutput struct {
	Status int
	Body   *api.FactEvent
}

func (s *Service) subscriptionRoutes(h huma.API) {
	const path = "/api/v1/subscriptions/{durable}"
	on(s, h, http.MethodGet, path+"/next", "next-fact", "Wait for the next fact of a durable subscription", s.next)
	on(s, h, http.MethodPost, path+"/ack", "ack-fact", "Acknowledge the fact that next gave",
		func(ctx context.Context, in *struct {
			Durable string `path:"durable"`
			Body    api.Ack
		}) (*struct{}, error) {
			return nil, s.ack(ctx, in.Durable, in.Body.Seq)
		})
}

// next gives the next fact that is not acknowledged, one at a time: the one after it comes when it is, and it comes again when it
// is not within a minute. The broker remembers; any process may answer.
func (s *Service) next(ctx context.Context, in *NextInput) (*nextOutput, error) {
	wait, err := time.ParseDuration(in.Wait)
	if err != nil || wait < 0 {
		return nil, fail(http.StatusUnprocessableEntity, "write 30s", "wait=%q is not a duration", in.Wait)
	}
	want, err := s.wants(in.Types, in.Model)
	if err != nil {
		return nil, err
	}
	consumer, err := s.subscription(ctx, in, want)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, max(min(wait, maxWait), 10*time.Millisecond))
	defer cancel()
	for {
		msg, err := consumer.Next(jetstream.FetchContext(ctx))
		switch {
		case ctx.Err() != nil, errors.Is(err, nats.ErrTimeout), errors.Is(err, jetstream.ErrNoMessages):
			if err == nil { // it came too late to be answered: give it back at once
				err = msg.Nak()
			} else {
				err = nil
			}
			return &nextOutput{Status: http.StatusNoContent}, err
		case err != nil:
			return nil, err
		}
		f, err := factOf(msg)
		if err == nil && want.about(f) {
			event := told(f)
			return &nextOutput{Status: http.StatusOK, Body: &event}, nil
		}
		// What is no fact, or is about another model of the same dataset, is nothing to wait for.
		if err := msg.Ack(); err != nil {
			return nil, err
		}
	}
}

func factOf(msg jetstream.Msg) (events.Fact, error) {
	var f events.Fact
	if err := json.Unmarshal(msg.Data(), &f); err != nil {
		return f, err
	}
	meta, err := msg.Metadata()
	if err == nil {
		f.Seq = meta.Sequence.Stream
	}
	return f, err
}

// subscription finds the durable consumer, or makes it. One that exists goes on where it was; what it asks for may change.
func (s *Service) subscription(ctx context.Context, in *NextInput, want wanted) (jetstream.Consumer, error) {
	name, err := durable(in.Durable)
	if err != nil {
		return nil, err
	}
	filters, err := want.consumer()
	if err != nil {
		return nil, err
	}
	old, err := s.host.JS.Consumer(ctx, events.StreamFacts, name)
	if err == nil {
		config := old.CachedInfo().Config
		if slices.Equal(config.FilterSubjects, filters) {
			return old, nil
		}
		config.FilterSubjects, config.FilterSubject = filters, ""
		return s.host.JS.UpdateConsumer(ctx, events.StreamFacts, config)
	}
	if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, err
	}
	from, err := s.since(ctx, in.Since)
	if err != nil {
		return nil, err
	}
	return s.host.JS.CreateOrUpdateConsumer(ctx, events.StreamFacts, jetstream.ConsumerConfig{Name: name, Durable: name, FilterSubjects: filters,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxAckPending: 1, Replicas: max(s.host.Replicas, 1)})
}

func durable(name string) (string, error) {
	if err := events.ValidName(name); err != nil {
		return "", fail(http.StatusUnprocessableEntity, "", "subscription: %s", err)
	}
	return "user-" + name, nil
}

// consumer are the filters of a durable consumer. They are as narrow as subjects allow, and two never overlap; facts beside the
// ledger can't be subscribed to.
func (w wanted) consumer() ([]string, error) {
	types := w.types
	if len(types) == 0 {
		types = events.Types()
	}
	var out []string
	for _, t := range types {
		if outside(t) {
			if len(w.types) > 0 {
				return nil, fail(http.StatusUnprocessableEntity, "subscribe to another type; progress comes with GET /api/v1/facts", "%s is not kept for subscriptions", t.Short())
			}
			continue
		}
		name := "*"
		switch {
		case w.model == "":
		case t.Noun() == "segment" || t.Noun() == "quarantine":
			name = w.dataset
		case t.Noun() != "alert" && t.Noun() != "resource": // those may be about the model's dataset
			name = w.model
		}
		if subject := events.FactSubject(t, name); !slices.Contains(out, subject) {
			out = append(out, subject)
		}
	}
	slices.Sort(out)
	return out, nil
}

// outside tells whether facts of a type have a stream of their own.
func outside(t events.Type) bool {
	return t == events.PolicyEvaluatedType || t == events.TrialProgressedType
}

// ack acknowledges the fact that is outstanding. One that was acknowledged before is no error.
func (s *Service) ack(ctx context.Context, name string, seq uint64) error {
	name, err := durable(name)
	if err != nil {
		return err
	}
	c, err := s.host.JS.Consumer(ctx, events.StreamFacts, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fail(http.StatusNotFound, "the first GET …/next makes one", "there is no such subscription")
	}
	if err != nil {
		return err
	}
	info := c.CachedInfo()
	switch {
	case seq != 0 && seq <= info.AckFloor.Stream:
		return nil
	case info.NumAckPending == 0 || info.Delivered.Stream != seq:
		return fail(http.StatusConflict, "acknowledge the fact that …/next gave last", "fact %d is not waiting to be acknowledged", seq)
	}
	// With one fact outstanding its acknowledgement needs no memory of the delivery: this is the reply subject that it came with
	// (NATS ADR-15: deliveries, stream and consumer sequence, time, pending), of which the broker looks at the sequences.
	reply := fmt.Sprintf("$JS.ACK.%s.%s.1.%d.%d.0.0", events.StreamFacts, name, seq, info.Delivered.Consumer)
	_, err = s.host.NC.RequestWithContext(ctx, reply, []byte("+ACK"))
	return err
}
