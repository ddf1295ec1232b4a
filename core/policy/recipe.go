package policy

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

// Parts of a recipe that a change trigger may watch.
const (
	changeCode     = "code"
	changeFeatures = "features"
	changeParams   = "params"
)

// Recipe is how a model is made of its rows, as digests. The zero value is an unknown recipe.
type Recipe struct {
	Code     string `json:"code,omitempty"`     // the sources of its trainers
	Features string `json:"features,omitempty"` // SQL of features, label and weight
	Params   string `json:"params,omitempty"`   // its candidates: trainers, commands, hyperparameters, searches, class weights, seed
}

// recipeOf digests a model's declaration. What bounds a trial or where it runs is not part of the recipe.
func recipeOf(m resource.ModelSpec) Recipe {
	type candidate struct {
		Name, Trainer, Format string
		Params                map[string]any
		Command, Predict      []string
		Search                *resource.Search
	}
	var code, candidates []any
	for _, c := range m.Candidates {
		switch {
		case c.Code != nil:
			code = append(code, c.Name, c.Code.SHA256)
		case c.Source != "":
			code = append(code, c.Name, c.Source)
		}
		candidates = append(candidates, candidate{c.Name, c.Trainer, c.Format, c.Params, c.Command, c.Predict, c.Search})
	}
	return Recipe{Code: digestOf(code), Features: digestOf([]string{m.Features, m.Label, m.Weight}),
		Params: digestOf([]any{candidates, m.ClassWeights, m.Seed})}
}

// digestOf names a value by its JSON; maps have their keys in order there.
func digestOf(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "" // unknown: a declaration came from JSON, so that this can't happen
	}
	return events.SHA256(b)[:16]
}

// part gives a part by its name in a change trigger.
func (r Recipe) part(name string) string {
	return map[string]string{changeCode: r.Code, changeFeatures: r.Features, changeParams: r.Params}[name]
}

// change holds while a watched part of the model's recipe is not what the champion was made by.
func (s *State) change(parts []string) events.Reason {
	r := events.Reason{Rule: "change", Target: 1}
	watched := joinWords(parts)
	var known Recipe
	whose := "version " + s.Current.Version
	switch {
	case s.base().running:
		known, whose = s.Running.Recipe, "the running cycle "+s.Running.ID
	case s.Current.Version == "":
		r.Text = "there is no champion yet whose recipe could differ; give the policy an 'initial' or run tidemill retrain"
		return r
	default:
		known = s.Current.Recipe
	}
	if known == (Recipe{}) || s.Spec == nil {
		r.Text = "it is not known by which recipe " + whose + " was made"
		return r
	}
	var changed []string
	for _, name := range parts {
		if s.Spec.Recipe.part(name) != known.part(name) {
			changed = append(changed, name)
		}
	}
	r.Value, r.Holds = float64(len(changed)), len(changed) > 0
	r.Text = fmt.Sprintf("%s of the model are as in %s", watched, whose)
	if r.Holds {
		verb := "is"
		if len(changed) > 1 || changed[0] != changeCode {
			verb = "are"
		}
		r.Text = fmt.Sprintf("%s of the model %s not as in %s any more", joinWords(changed), verb, whose)
	}
	return r
}

// changed reports whether the policy watches a part of the recipe that isn't the champion's any more. Such a model has something
// to learn from the same rows, as long as there are some that can judge it.
func (s *State) changed() bool {
	return s.Policy != nil && s.Spec != nil && s.changedIn(s.Policy.Spec.When)
}

func (s *State) changedIn(t resource.Trigger) bool {
	for _, child := range append(append([]resource.Trigger{}, t.Any...), t.All...) {
		if s.changedIn(child) {
			return true
		}
	}
	return len(t.Change) > 0 && s.change(t.Change).Holds
}

// joinWords lists names as a sentence does: "code", "code and params", "code, features and params".
func joinWords(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
