// Package dsse signs bytes with Ed25519 in a DSSE envelope, and verifies them
// (https://github.com/secure-systems-lab/dsse/blob/master/envelope.md).
//
// What is signed is the pre-authentication encoding of type and payload, so that a payload of one type never passes for one of
// another. An envelope has one text and one signature: any other spelling of the same JSON is refused, which leaves no byte that
// can be changed unseen.
package dsse

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxEnvelope is the most bytes that an envelope may have.
const MaxEnvelope = 1 << 20

// ErrEnvelope marks bytes that are no envelope as [Sign] writes them.
var ErrEnvelope = errors.New("not a signature envelope")

// ErrSignature marks a signature that another key made, or over other bytes.
var ErrSignature = errors.New("the signature is not of this key over these bytes")

// Envelope is a payload with its signature.
type Envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     []byte      `json:"payload"` // base64 in JSON
	Signatures  []Signature `json:"signatures"`
}

// Signature is one signature.
type Signature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"` // base64 in JSON
}

// KeyID names a public key: the SHA-256 (lower-case hex) of its DER form (SubjectPublicKeyInfo).
func KeyID(key ed25519.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("encode public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// pae is the pre-authentication encoding: "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body.
func pae(payloadType string, payload []byte) []byte {
	head := fmt.Sprintf("DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload))
	return append([]byte(head), payload...)
}

// Sign gives the envelope of a payload as JSON. The same arguments give the same bytes: Ed25519 uses no randomness.
func Sign(payloadType string, payload []byte, keyID string, key ed25519.PrivateKey) ([]byte, error) {
	e := Envelope{PayloadType: payloadType, Payload: payload,
		Signatures: []Signature{{KeyID: keyID, Sig: ed25519.Sign(key, pae(payloadType, payload))}}}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode signature: %w", err)
	}
	return b, nil
}

// Decode reads an envelope. It verifies nothing yet. The error wraps [ErrEnvelope].
func Decode(b []byte) (Envelope, error) {
	var e Envelope
	if len(b) > MaxEnvelope {
		return e, fmt.Errorf("%w: it has %d bytes, at most %d are read", ErrEnvelope, len(b), MaxEnvelope)
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return Envelope{}, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	if len(e.Signatures) != 1 {
		return Envelope{}, fmt.Errorf("%w: it has %d signatures, not one", ErrEnvelope, len(e.Signatures))
	}
	again, err := json.Marshal(e)
	if err != nil || !bytes.Equal(again, b) {
		return Envelope{}, fmt.Errorf("%w: it is not in the form in which it was written", ErrEnvelope)
	}
	return e, nil
}

// KeyID names the key that is said to have signed; [Envelope.Verify] proves it.
func (e Envelope) KeyID() string { return e.Signatures[0].KeyID }

// Verify tells whether the key signed this payload as one of payloadType. The error is or wraps [ErrSignature].
func (e Envelope) Verify(payloadType string, key ed25519.PublicKey) error {
	if e.PayloadType != payloadType {
		return fmt.Errorf("%w: it is of type %q, not %q", ErrSignature, e.PayloadType, payloadType)
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, pae(e.PayloadType, e.Payload), e.Signatures[0].Sig) {
		return ErrSignature
	}
	return nil
}
