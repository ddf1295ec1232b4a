package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tidemill/tidemill/core/model/dsse"
)

// SignatureFile lies beside the manifest: a DSSE envelope around an in-toto statement about every other file.
const SignatureFile = "signature.json"

// What a signature says, in the words of in-toto (https://github.com/in-toto/attestation/tree/main/spec/v1).
const (
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://tidemill.dev/model-package/v1"
)

// statement says which files make up which version.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"` // in the order of names
	PredicateType string    `json:"predicateType"`
	Predicate     predicate `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

type predicate struct {
	Model    string `json:"model"`
	Version  string `json:"version"`
	Snapshot string `json:"snapshot"`
	Cycle    string `json:"cycle"`
}

// statement is what is signed about a package: its manifest, by its digest, and the files that the manifest names.
func (m Manifest) statement(manifestSHA256 string) statement {
	files := maps.Clone(m.Files)
	files[ManifestFile] = manifestSHA256
	s := statement{Type: statementType, PredicateType: PredicateType, Predicate: predicate{Model: m.Model, Version: m.Version,
		Snapshot: m.Lineage.Snapshot.ID, Cycle: m.Lineage.Cycle}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		s.Subject = append(s.Subject, subject{Name: name, Digest: map[string]string{"sha256": files[name]}})
	}
	return s
}

// sign gives the signature file of a package.
func (k *Keyring) sign(m Manifest, manifestSHA256 string) ([]byte, error) {
	if k.KeyID() == "" {
		return nil, errors.New("this process has no signing key: start it with --signing-key FILE")
	}
	text, err := json.Marshal(m.statement(manifestSHA256))
	if err != nil {
		return nil, fmt.Errorf("encode statement: %w", err)
	}
	return dsse.Sign(payloadType, text, k.id, k.private)
}

// verify proves that a trusted key signed this manifest and the digests that it names. It returns the key's id.
func (k *Keyring) verify(signature []byte, m Manifest, manifestSHA256 string) (string, error) {
	e, err := dsse.Decode(signature)
	if err != nil {
		return "", fmt.Errorf("%s: %w", SignatureFile, err)
	}
	if k == nil || len(k.trusted) == 0 {
		return "", errors.New("this process trusts no key: start it with --trusted-key FILE, the signing.pub of the process that runs training")
	}
	key, ok := k.trusted[e.KeyID()]
	if !ok {
		return "", fmt.Errorf("it is signed by the key %s, which this process doesn't trust (it trusts %s): "+
			"if it is yours, start this process with --trusted-key FILE", short(e.KeyID()), shorts(k.Trusts()))
	}
	if err := e.Verify(payloadType, key); err != nil {
		return "", err
	}
	want, err := json.Marshal(m.statement(manifestSHA256))
	if err != nil {
		return "", fmt.Errorf("encode statement: %w", err)
	}
	// The statement has one form: what is signed must be this package, no file more and none less.
	if string(want) != string(e.Payload) {
		return "", fmt.Errorf("its signature is about %s", about(e.Payload))
	}
	return e.KeyID(), nil
}

// about tells what a signature that doesn't fit was made for.
func about(payload []byte) string {
	var s statement
	if err := json.Unmarshal(payload, &s); err != nil || s.Type != statementType || s.PredicateType != PredicateType {
		return "no model package"
	}
	return fmt.Sprintf("other files, those of version %s of %s", s.Predicate.Version, s.Predicate.Model)
}

func shorts(ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = short(id)
	}
	return out
}
