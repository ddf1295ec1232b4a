package projection

import (
	"slices"
	"time"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
)

// alerts are kept in the order in which they began.
type alerts struct {
	list []api.Alert
	open map[string]int // by id: the place in list
}

func (a *alerts) raise(x events.Alert) {
	for i := range a.list {
		if a.list[i].ID == x.ID && (a.list[i].Open || !x.At.After(a.list[i].At)) {
			return // told again
		}
	}
	a.open[x.ID] = len(a.list)
	a.list = append(a.list, api.Alert{Alert: x, Open: true})
	a.bound()
}

// resolve ends an alert. It keeps what it was raised for.
func (a *alerts) resolve(x events.Alert, at time.Time) {
	if i, ok := a.open[x.ID]; ok {
		a.list[i].Open, a.list[i].Resolved = false, at
		delete(a.open, x.ID)
	}
}

// forget ends the open alerts of a model that is gone.
func (a *alerts) forget(model string, at time.Time) {
	for id, i := range a.open {
		if a.list[i].Model == model {
			a.list[i].Open, a.list[i].Resolved = false, at
			delete(a.open, id)
		}
	}
}

func (a *alerts) bound() {
	over := len(a.list) - len(a.open) - maxAlerts
	if over < maxAlerts/4 {
		return
	}
	a.list = slices.DeleteFunc(a.list, func(x api.Alert) bool {
		if x.Open || over <= 0 {
			return false
		}
		over--
		return true
	})
	for i, x := range a.list {
		if x.Open {
			a.open[x.ID] = i
		}
	}
}

// Alerts lists alerts, newest first.
func (p *Projection) Alerts(openOnly bool) []api.Alert {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out []api.Alert
	for _, x := range slices.Backward(p.alerts.list) {
		if x.Open || !openOnly {
			out = append(out, x)
		}
	}
	return out
}

// openOf are the open alerts of a model and of its dataset, oldest first.
func (a *alerts) openOf(model, dataset string) []events.Alert {
	out := []events.Alert{}
	for _, x := range a.list {
		if x.Open && (x.Model == model || x.Model == "" && x.Dataset == dataset) {
			out = append(out, x.Alert)
		}
	}
	return out
}
