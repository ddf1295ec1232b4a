package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/core/resource"
)

// check holds resources that are about to be applied against those that are there, and their SQL against the columns.
func (s *Service) check(ctx context.Context, list []resource.Resource) error {
	all := slices.DeleteFunc(s.declaredNow(), func(old resource.Resource) bool {
		return slices.ContainsFunc(list, func(r resource.Resource) bool { return same(old, r) })
	})
	all = append(all, list...)
	if err := resource.CrossCheck(all); err != nil {
		return err
	}
	datasets := map[string]resource.Resource{}
	for _, r := range all {
		if r.Dataset != nil {
			datasets[r.Metadata.Name] = r
		}
	}
	var errs resource.Errors
	for _, r := range list {
		if r.Dataset != nil {
			errs = append(errs, s.checkTypes(r)...)
		}
	}
	for _, m := range all {
		if m.Model == nil {
			continue
		}
		d := datasets[m.Model.Dataset]
		isNew := slices.ContainsFunc(list, func(r resource.Resource) bool { return same(m, r) })
		if !isNew && !slices.ContainsFunc(list, func(r resource.Resource) bool { return same(d, r) }) {
			continue
		}
		if e, err := s.checkSQL(ctx, m, d, isNew); err != nil {
			return err
		} else if e != nil {
			errs = append(errs, *e)
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

func same(a, b resource.Resource) bool { return a.Kind == b.Kind && a.Metadata.Name == b.Metadata.Name }

// checkSQL compiles a model's features, label and weight. What is wrong is placed in the model, or in the dataset that would break it.
func (s *Service) checkSQL(ctx context.Context, m, d resource.Resource, isNew bool) (*resource.Error, error) {
	_, err := s.data.CompileWeighted(ctx, d.Dataset.Columns, m.Model.Features, m.Model.Label, m.Model.Task, m.Model.Weight)
	switch {
	case err == nil:
		return nil, nil
	case ctx.Err() != nil:
		return nil, err
	case !isNew:
		e := d.At("spec.columns", fmt.Sprintf("the model %s would no longer work: %s", m.Metadata.Name, err), "change the model in the same file")
		return &e, nil
	}
	field := "spec.features"
	for _, other := range []string{"label", "weight"} {
		if strings.HasPrefix(err.Error(), other) {
			field = "spec." + other
		}
	}
	e := m.At(field, err.Error(), "")
	return &e, nil
}

// checkTypes refuses to change what a column with data holds: segments that are at rest keep the type they were written with.
func (s *Service) checkTypes(r resource.Resource) resource.Errors {
	old, exists := s.host.Catalog.Dataset(r.Metadata.Name)
	if !exists || s.projection.Dataset(r.Metadata.Name).Accepted == 0 {
		return nil
	}
	var errs resource.Errors
	for i, c := range r.Dataset.Columns {
		if before, ok := old.Dataset.Column(c.Name); ok && before.Type != c.Type {
			errs = append(errs, r.At(fmt.Sprintf("spec.columns[%d].type", i), fmt.Sprintf("the column %s holds rows as %s, it can't become %s",
				c.Name, before.Type, c.Type), "add a column with another name, or declare a new dataset"))
		}
	}
	return errs
}
