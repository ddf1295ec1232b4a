package resource

import (
	"slices"

	"github.com/tidemill/tidemill/events"
)

// Pinned is the model r with the packed source of some of its candidates, by their place in the list. Its digest is another one
// when the code is.
func (r Resource) Pinned(code map[int]events.Blob) (Resource, error) {
	if len(code) == 0 {
		return r, nil
	}
	m := *r.Model
	m.Candidates = slices.Clone(m.Candidates)
	for i, b := range code {
		m.Candidates[i].Code = &b
	}
	r.Model = &m
	err := r.seal()
	return r, err
}
