package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/internal/hosttest"
)

// facts are the facts that the stream tells without following.
func (p *place) facts(query url.Values) []api.FactEvent {
	p.t.Helper()
	query.Set("follow", "false")
	var out []api.FactEvent
	require.NoError(p.t, p.api.Stream(p.t.Context(), query, func(e call.Event) error {
		require.Equal(p.t, "fact", e.Name)
		var f api.FactEvent
		require.NoError(p.t, json.Unmarshal(e.Data, &f))
		require.Equal(p.t, e.ID, fmt.Sprint(f.Seq))
		out = append(out, f)
		return nil
	}))
	return out
}

func shorts(facts []api.FactEvent) string {
	var out []string
	for _, f := range facts {
		out = append(out, f.Type.Short())
	}
	return strings.Join(out, " ")
}

func TestFactsAreToldInOrderByTypeAndModel(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	other := strings.Replace(strings.Split(declarations, "---\n")[1], "name: flight-delay", "name: other", 1)
	p.apply(other)
	observed := func(model string, ordinal uint64) events.Fact {
		return p.say(events.Fact{}, events.SegmentObservedType, "flights", "", payload(t, events.SegmentObservedType, func(o *events.SegmentObserved) {
			o.Model, o.Ordinal = model, ordinal
		}))
	}
	observed("flight-delay", 1)
	observed("other", 1)
	ready := p.say(events.Fact{}, events.ModelReadyType, "flight-delay", "", payload[events.ModelReady](t, events.ModelReadyType, nil))
	p.say(events.Fact{}, events.ModelReadyType, "other", "", payload(t, events.ModelReadyType, func(r *events.ModelReady) { r.Model = "other" }))

	all := p.facts(url.Values{"since": {"1"}})
	require.Equal(t, "resource.applied resource.applied resource.applied resource.applied segment.observed segment.observed model.ready model.ready", shorts(all))
	require.Equal(t, "Dataset flights was declared.", all[0].Text)
	require.Equal(t, "resource.applied resource.applied resource.applied segment.observed model.ready", shorts(p.facts(url.Values{"since": {"1"}, "model": {"flight-delay"}})))
	some := p.facts(url.Values{"since": {"1"}, "model": {"flight-delay"}, "types": {"segment.observed,model.ready"}})
	require.Equal(t, "segment.observed model.ready", shorts(some))
	require.Equal(t, ready.ID, some[1].ID)
	require.Equal(t, "model.ready model.ready", shorts(p.facts(url.Values{"since": {"-2"}})))
	require.Empty(t, p.facts(url.Values{}), "by default it begins with the next fact")

	one := get[events.Fact](p, fmt.Sprintf("/api/v1/facts/%d", ready.Seq), nil)
	require.Equal(t, ready.Seq, one.Seq)
	require.Equal(t, ready.ID, one.ID)
	_, err := call.Get[events.Fact](t.Context(), p.api, "/api/v1/facts/999", nil)
	refused(t, err, http.StatusNotFound, "999")
	err = p.api.Stream(t.Context(), url.Values{"types": {"model.reddy"}}, nil)
	refused(t, err, http.StatusUnprocessableEntity, "model.reddy", `did you mean "model.ready"?`)
	err = p.api.Stream(t.Context(), url.Values{"model": {"flight"}}, nil)
	refused(t, err, http.StatusNotFound, "flight-delay")
	err = p.api.Stream(t.Context(), url.Values{"since": {"yesterday"}}, nil)
	refused(t, err, http.StatusUnprocessableEntity, "yesterday")
}

// TestTheStreamIsLive follows facts, progress and rates, and goes on by Last-Event-ID.
func TestTheStreamIsLive(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard := make(chan call.Event, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- p.api.Stream(ctx, url.Values{"follow": {"true"}, "since": {"-1"}}, func(e call.Event) error { heard <- e; return nil })
	}()
	await := func(name string) call.Event {
		for {
			select {
			case e := <-heard:
				if e.Name == name {
					return e
				}
			case <-time.After(hosttest.Patience):
				require.Fail(t, "never heard: "+name)
			}
		}
	}
	first := await("fact")
	require.Contains(t, string(first.Data), "RetrainingPolicy")
	p.say(events.Fact{}, events.CycleRequestedType, "flight-delay", "flight-delay-3", payload[events.CycleRequested](t, events.CycleRequestedType, nil))
	second := await("fact")
	require.Contains(t, string(second.Data), `"text":"Cycle flight-delay-3 was requested`)
	p.say(events.Fact{}, events.TrialProgressedType, "flight-delay", "", payload[events.TrialProgressed](t, events.TrialProgressedType, nil))
	var progress events.TrialProgressed
	require.NoError(t, json.Unmarshal(await("progress").Data, &progress))
	require.Equal(t, "flight-delay-3", progress.Cycle)
	var rates api.Rates
	require.NoError(t, json.Unmarshal(await("rates").Data, &rates))
	require.False(t, rates.At.IsZero())
	cancel()
	require.NoError(t, <-ended)

	req := request(t, p, "/api/v1/facts?follow=false&since=1", "", nil)
	req.Method = http.MethodGet
	req.Header.Set("Last-Event-ID", first.ID)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	var ids []string
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			ids = append(ids, id)
		}
	}
	require.Equal(t, []string{second.ID}, ids)
}

func (p *place) next(durable string, query url.Values) (*api.FactEvent, error) {
	if query.Get("wait") == "" {
		query.Set("wait", "20s")
	}
	f, err := call.Get[*api.FactEvent](p.t.Context(), p.api, "/api/v1/subscriptions/"+durable+"/next", query)
	return f, err
}

func (p *place) ack(durable string, seq uint64) error {
	_, err := call.Post[struct{}](p.t.Context(), p.api, "/api/v1/subscriptions/"+durable+"/ack", nil, api.Ack{Seq: seq})
	return err
}

// TestADurableSubscriptionMissesNothing takes facts one at a time, over two gateways: the broker remembers, not they.
func TestADurableSubscriptionMissesNothing(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	q := openIn(t, p.World)
	ready := func(version string) events.Fact {
		return p.say(events.Fact{}, events.ModelReadyType, "flight-delay", "", payload(t, events.ModelReadyType, func(r *events.ModelReady) { r.Version.Version = version }))
	}
	one := ready("1")
	query := func() url.Values {
		return url.Values{"types": {"model.ready"}, "model": {"flight-delay"}, "since": {"1"}}
	}
	f, err := p.next("hook", query())
	require.NoError(t, err)
	require.Equal(t, one.ID, f.ID)
	require.Equal(t, one.Seq, f.Seq)
	require.Contains(t, f.Text, "Version 1 of flight-delay")
	two := ready("2")
	blocked := query()
	blocked.Set("wait", "50ms")
	f, err = q.next("hook", blocked)
	require.NoError(t, err)
	require.Nil(t, f, "one fact is outstanding")
	refused(t, p.ack("hook", two.Seq), http.StatusConflict, "not waiting")
	require.NoError(t, q.ack("hook", one.Seq), "the other gateway acknowledges")
	require.NoError(t, p.ack("hook", one.Seq), "twice is no error")
	f, err = q.next("hook", query())
	require.NoError(t, err)
	require.Equal(t, two.ID, f.ID)
	require.NoError(t, p.ack("hook", two.Seq))
	f, err = p.next("hook", blocked)
	require.NoError(t, err)
	require.Nil(t, f)

	refused(t, p.ack("nobody", 1), http.StatusNotFound, "no such subscription")
	_, err = p.next("Not A Name", url.Values{})
	refused(t, err, http.StatusUnprocessableEntity, "lower-case")
	_, err = p.next("x", url.Values{"types": {"trial.progressed"}})
	refused(t, err, http.StatusUnprocessableEntity, "trial.progressed")
	_, err = p.next("x", url.Values{"wait": {"soon"}})
	refused(t, err, http.StatusUnprocessableEntity, "soon")
}

// TestASubscriptionPassesOverOtherModels shares a dataset between two models, whose observations have one subject.
func TestASubscriptionPassesOverOtherModels(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	for ordinal, model := range []string{"other", "other", "flight-delay"} {
		p.say(events.Fact{}, events.SegmentObservedType, "flights", "", payload(t, events.SegmentObservedType, func(o *events.SegmentObserved) {
			o.Model, o.Ordinal = model, uint64(ordinal)
		}))
	}
	f, err := p.next("all", url.Values{"model": {"flight-delay"}, "since": {"4"}})
	require.NoError(t, err)
	o, err := events.PayloadOf[events.SegmentObserved](f.Fact)
	require.NoError(t, err)
	require.Equal(t, "flight-delay", o.Model)
}
