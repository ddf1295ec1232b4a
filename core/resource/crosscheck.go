package resource

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/events"
)

// set finds resources by kind and name.
type set map[string]map[string]Resource

func setOf(all []Resource) set {
	s := set{KindDataset: {}, KindModel: {}, KindRetrainingPolicy: {}}
	for _, r := range all {
		if s[r.Kind] != nil {
			s[r.Kind][r.Metadata.Name] = r
		}
	}
	return s
}

func (s set) names(kindName string) []string {
	var out []string
	for name := range s[kindName] {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// CrossCheck checks all resources together, those that are there already and those about to be: each is declared once, what
// they refer to exists and fits. Of two resources with one kind and name it takes none: the caller replaces the old by the
// new before. The error is an Errors.
func CrossCheck(all []Resource) error {
	var errs Errors
	seen := map[string]bool{}
	policyOf := map[string]string{}
	s := setOf(all)
	for _, r := range all {
		id := r.Kind + " " + r.Metadata.Name
		if seen[id] {
			errs = append(errs, r.error(path("metadata", "name"), id+" is declared twice", "remove one"))
		}
		seen[id] = true
		switch {
		case r.Model != nil:
			errs = append(errs, s.model(r)...)
		case r.Policy != nil:
			errs = append(errs, s.policy(r)...)
			if first, taken := policyOf[r.Policy.Model]; taken && first != r.Metadata.Name {
				errs = append(errs, r.error(path("spec", "model"), fmt.Sprintf("the model %s has a policy already: %s", r.Policy.Model, first),
					"a model has one policy; combine their triggers with any"))
			} else {
				policyOf[r.Policy.Model] = r.Metadata.Name
			}
		}
	}
	return errs.err()
}

// missing is the finding that a reference leads nowhere.
func (s set) missing(r Resource, p pointer, kindName, name string) Error {
	names := s.names(kindName)
	hint := suggestOr(name, names, "there are")
	if len(names) == 0 {
		hint = fmt.Sprintf("declare it in the same file, or apply the %s first", kindName)
	}
	return r.error(p, fmt.Sprintf("%s %s: there is no %s %q", r.Kind, r.Metadata.Name, kindName, name), hint)
}

func (s set) model(r Resource) Errors {
	if _, ok := s[KindDataset][r.Model.Dataset]; !ok {
		return Errors{s.missing(r, path("spec", "dataset"), KindDataset, r.Model.Dataset)}
	}
	return nil
}

func (s set) policy(r Resource) Errors {
	m, ok := s[KindModel][r.Policy.Model]
	if !ok {
		return Errors{s.missing(r, path("spec", "model"), KindModel, r.Policy.Model)}
	}
	d := s[KindDataset][m.Model.Dataset]
	errs := s.trigger(r, path("spec", "when"), r.Policy.When, m, d)
	if r.Policy.Window.Method == events.SampleBalanced && m.Model.Task == TaskRegression {
		p := path("spec", "window", "sample", "method")
		errs = append(errs, r.error(p, fmt.Sprintf("%s: the model %s is a regression, which has no classes to balance", p, m.Metadata.Name),
			"use method: "+events.SampleReservoir))
	}
	return errs
}

func (s set) trigger(r Resource, p pointer, t Trigger, m, d Resource) Errors {
	var errs Errors
	for i, child := range t.Any {
		errs = append(errs, s.trigger(r, append(p.with("any"), path(i)...), child, m, d)...)
	}
	for i, child := range t.All {
		errs = append(errs, s.trigger(r, append(p.with("all"), path(i)...), child, m, d)...)
	}
	if t.Performance != nil {
		q := p.with("performance").with("metric")
		if message, hint := metricProblem(t.Performance.Metric, m.Model.Task); message != "" {
			errs = append(errs, r.error(q, fmt.Sprintf("%s: the model %s: %s", q, m.Metadata.Name, message), hint))
		}
	}
	if t.Drift == nil || d.Dataset == nil {
		return errs
	}
	for i, name := range t.Drift.Columns {
		q := append(p.with("drift").with("columns"), path(i)...)
		col, found := d.Dataset.Column(name)
		switch {
		case !found:
			errs = append(errs, r.error(q, fmt.Sprintf("%s: the dataset %s has no column %q", q, d.Metadata.Name, name),
				suggestOr(name, columnNames(d.Dataset), "columns")))
		case col.EventTime:
			errs = append(errs, r.error(q, fmt.Sprintf("%s: %s is the event time, which always moves on", q, name), "remove it"))
		}
	}
	return errs
}

// CheckDelete says why a resource can't be deleted from all, or nil: nothing else may refer to it, and it must be there.
func CheckDelete(all []Resource, kindName, name string) error {
	s := setOf(all)
	if s[kindName] == nil {
		return Errors{{Path: "kind", Message: fmt.Sprintf("there is no kind %q", kindName), Hint: suggestOr(kindName, Kinds(), "kinds")}}
	}
	if _, ok := s[kindName][name]; !ok {
		return Errors{{Path: "metadata.name", Message: fmt.Sprintf("there is no %s %q", kindName, name),
			Hint: suggestOr(name, s.names(kindName), "there are")}}
	}
	var users []string
	for _, r := range all {
		switch {
		case kindName == KindDataset && r.Model != nil && r.Model.Dataset == name,
			kindName == KindModel && r.Policy != nil && r.Policy.Model == name:
			users = append(users, r.Kind+" "+r.Metadata.Name)
		}
	}
	if len(users) == 0 {
		return nil
	}
	slices.Sort(users)
	verb := "uses"
	if len(users) > 1 {
		verb = "use"
	}
	return Errors{{Path: "metadata.name", Message: fmt.Sprintf("%s %s can't be deleted: %s %s it", kindName, name, strings.Join(users, ", "), verb),
		Hint: "delete " + cmp.Or(strings.Join(users, " and "), "its users") + " first"}}
}
