package policy

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// nextTime is the first time after t that the schedule names, in UTC; zero when there is none within five years.
func nextTime(expr, zone string, t time.Time) (time.Time, error) {
	// The library panics on a zone without an expression, and has a field of its own for it here.
	if strings.Contains(expr, "TZ=") {
		return time.Time{}, fmt.Errorf("cron %q: write the zone as timezone, not in the expression", expr)
	}
	loc, err := time.LoadLocation(zone)
	if err == nil && zone == "Local" {
		err = errors.New("it differs from machine to machine")
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("timezone %q is not an IANA name such as Europe/Berlin: %w", zone, err)
	}
	plan, err := cron.ParseStandard(expr)
	if err != nil {
		return time.Time{}, fmt.Errorf("cron %q needs five fields or a name such as @daily: %w", expr, err)
	}
	next := plan.Next(t.In(loc))
	if next.IsZero() {
		return time.Time{}, nil
	}
	return next.UTC(), nil
}

// schedulesOf lists the schedules of a when-tree. One that an earlier tree had at the same place, unchanged, keeps its times.
func schedulesOf(when resource.Trigger, old []Schedule, now time.Time) []Schedule {
	var out []Schedule
	walk(when, "when", func(path string, t resource.Trigger) {
		if t.Schedule == nil {
			return
		}
		for _, k := range old {
			if k.Key == path && k.Cron == t.Schedule.Cron && k.Timezone == t.Schedule.Timezone {
				out = append(out, k)
				return
			}
		}
		next, err := nextTime(t.Schedule.Cron, t.Schedule.Timezone, now)
		if err != nil {
			next = time.Time{} // never; the trigger's sentence says why
		}
		out = append(out, Schedule{Key: path, Cron: t.Schedule.Cron, Timezone: t.Schedule.Timezone, Next: next})
	})
	return out
}

// walk visits every node of a trigger tree with its path.
func walk(t resource.Trigger, path string, visit func(path string, t resource.Trigger)) {
	visit(path, t)
	for i, c := range t.Any {
		walk(c, childPath(path, "any", i), visit)
	}
	for i, c := range t.All {
		walk(c, childPath(path, "all", i), visit)
	}
}

// fire marks the schedule due when its time has come. A timer that comes again finds the next time moved on.
func (k *Schedule) fire(key string, now time.Time) {
	if k.Key != key || k.Next.IsZero() || now.Before(k.Next) {
		return
	}
	k.Due = k.Next
	next, err := nextTime(k.Cron, k.Timezone, now)
	if err != nil {
		next = time.Time{}
	}
	k.Next = next
}

// scheduleDue reports whether any schedule waits to be served.
func (s *State) scheduleDue() bool {
	for _, k := range s.Schedules {
		if !k.Due.IsZero() {
			return true
		}
	}
	return false
}

func (s *State) schedule(t resource.Schedule, path string) events.Reason {
	r := events.Reason{Rule: "schedule"}
	zone := t.Timezone
	if zone == "" {
		zone = "UTC"
	}
	for _, k := range s.Schedules {
		switch {
		case k.Key != path:
		case !k.Due.IsZero():
			r.Holds = true
			r.Text = fmt.Sprintf("%s (%s) came due at %s and is not served yet", t.Cron, zone, moment(k.Due))
			return r
		case !k.Next.IsZero():
			r.Text = fmt.Sprintf("%s (%s) is next due at %s", t.Cron, zone, moment(k.Next))
			return r
		}
	}
	r.Text = fmt.Sprintf("%s (%s) never comes due", t.Cron, zone)
	if _, err := nextTime(t.Cron, t.Timezone, time.Unix(0, 0)); err != nil {
		r.Text = err.Error()
	}
	return r
}
