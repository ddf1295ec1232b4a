package monitoring

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tidemill/tidemill/events"
)

// book opens and closes the alerts of one decision.
type book struct {
	service *Service
	cause   events.Fact
	model   string // "" for alerts about a dataset alone
	dataset string
	ordinal uint64
	at      time.Time

	open  map[string]events.Alert
	facts []events.Fact
	err   error
}

// update takes in how the monitors stand. An alert whose monitor is no longer declared ends.
func (b *book) update(states []monitored) {
	declared := map[string]bool{}
	for _, m := range states {
		declared[m.key] = true
		_, open := b.open[m.key]
		switch {
		case m.ok && m.bad && !open:
			m.alert.Kind = m.kind
			b.raise(m.key, m.alert)
		case m.ok && !m.bad && open:
			b.resolve(m.key, m.alert.Value, m.alert.Message)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(b.open)) {
		if !declared[key] {
			b.resolve(key, b.open[key].Value, "nothing watches for it any more")
		}
	}
}

func (b *book) raise(key string, a events.Alert) {
	a.ID = events.DeriveID("alert", b.model, b.dataset, key, b.cause.ID)
	a.Model, a.Dataset, a.Ordinal, a.At = b.model, b.dataset, b.ordinal, b.at
	if b.open == nil {
		b.open = map[string]events.Alert{}
	}
	b.open[key] = a
	b.say(events.AlertRaisedType, a, events.AlertRaised{Alert: a})
}

func (b *book) resolve(key string, value float64, why string) {
	a := b.open[key]
	delete(b.open, key)
	a.Value, a.Message, a.Ordinal, a.At = value, why, b.ordinal, b.at
	b.say(events.AlertResolvedType, a, events.AlertResolved{Alert: a})
}

func (b *book) say(t events.Type, a events.Alert, payload any) {
	subject := b.model
	if subject == "" {
		subject = b.dataset
	}
	f, err := events.NewFact(events.DeriveID(b.cause.ID, string(t), a.ID), t, Name, subject, b.service.host.Clock(), payload)
	b.err = errors.Join(b.err, err)
	b.facts = append(b.facts, f.Caused(b.cause))
}
