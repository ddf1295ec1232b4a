package resource

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// wire is a resource as it is written: the header and the spec, in the order in which people write the fields.
type wire struct {
	Header
	Spec any `json:"spec"`
}

// spec is the one that is set.
func (r *Resource) spec() any {
	switch {
	case r.Dataset != nil:
		return r.Dataset
	case r.Model != nil:
		return r.Model
	case r.Policy != nil:
		return r.Policy
	}
	return nil
}

// decode fills r from a completed document.
func (r *Resource) decode(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the document: %w", err)
	}
	if err := json.Unmarshal(b, &r.Header); err != nil {
		return fmt.Errorf("decode the header: %w", err)
	}
	switch r.Kind {
	case KindDataset:
		r.Dataset = &DatasetSpec{}
	case KindModel:
		r.Model = &ModelSpec{}
	case KindRetrainingPolicy:
		r.Policy = &PolicySpec{}
	}
	if err := json.Unmarshal(b, &wire{Spec: r.spec()}); err != nil {
		return fmt.Errorf("decode the spec of %s %s: %w", r.Kind, r.Metadata.Name, err)
	}
	return nil
}

// seal sets Canonical and Digest from the decoded fields, so that two ways to write the same thing ("168h" and "7d") agree.
// The form is that of RFC 8785 for what resources contain: sorted keys, no spaces, no HTML escapes.
func (r *Resource) seal() error {
	b, err := r.plain()
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("sort %s %s: %w", r.Kind, r.Metadata.Name, err)
	}
	if b, err = encode(v); err != nil {
		return fmt.Errorf("sort %s %s: %w", r.Kind, r.Metadata.Name, err)
	}
	sum := sha256.Sum256(b)
	r.Canonical, r.Digest = b, hex.EncodeToString(sum[:])
	return nil
}

// plain is the resource as JSON with the fields in their usual order.
func (r *Resource) plain() ([]byte, error) {
	b, err := encode(wire{Header: r.Header, Spec: r.spec()})
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", r.Kind, r.Metadata.Name, err)
	}
	return b, nil
}

// encode is json.Marshal without HTML escapes: "delay >= 15" stays as it is.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
