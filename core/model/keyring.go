package model

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/core/model/dsse"
)

// PEM blocks of keys: PKCS#8 and SubjectPublicKeyInfo, as openssl writes them.
const (
	pemPrivate = "PRIVATE KEY"
	pemPublic  = "PUBLIC KEY"
)

// ErrUntrusted marks a package without a signature that a trusted key made over its very bytes.
var ErrUntrusted = errors.New("package is not trusted")

// Keyring holds the keys by whose signatures packages are trusted and, where packages are built, the one that signs. It never
// changes and is safe for concurrent use. A nil Keyring trusts nobody.
type Keyring struct {
	private ed25519.PrivateKey
	id      string // of private; "" without one
	trusted map[string]ed25519.PublicKey
}

// NewKeyring trusts keys, and the public half of signing, which signs packages; it may be nil where none are built.
func NewKeyring(signing ed25519.PrivateKey, trusted ...ed25519.PublicKey) (*Keyring, error) {
	k := &Keyring{private: signing, trusted: map[string]ed25519.PublicKey{}}
	if signing != nil {
		public := signing.Public().(ed25519.PublicKey) // it never is another type
		trusted = append([]ed25519.PublicKey{public}, trusted...)
	}
	for i, key := range trusted {
		id, err := dsse.KeyID(key)
		if err != nil {
			return nil, fmt.Errorf("key ring: %w", err)
		}
		if i == 0 && signing != nil {
			k.id = id
		}
		k.trusted[id] = key
	}
	return k, nil
}

// KeyID names the key that signs: the SHA-256 of its public half's DER form; "" when there is none.
func (k *Keyring) KeyID() string {
	if k == nil {
		return ""
	}
	return k.id
}

// Trusts lists the ids of the trusted keys, in order.
func (k *Keyring) Trusts() []string {
	if k == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(k.trusted))
}

// TrustedPEM are the trusted keys as PEM, which [ParseTrustedKeys] reads, in order of their ids.
func (k *Keyring) TrustedPEM() ([]byte, error) {
	var out []byte
	for _, id := range k.Trusts() {
		der, err := x509.MarshalPKIXPublicKey(k.trusted[id])
		if err != nil {
			return nil, fmt.Errorf("encode public key: %w", err)
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der})...)
	}
	return out, nil
}

// NewSigningKey makes a key and gives it as a PKCS#8 PEM; random is nil for the system's randomness.
func NewSigningKey(random io.Reader) ([]byte, error) {
	if random == nil {
		random = rand.Reader
	}
	_, private, err := ed25519.GenerateKey(random)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), nil
}

// ParseSigningKey reads an Ed25519 private key from a PKCS#8 PEM.
func ParseSigningKey(text []byte) (ed25519.PrivateKey, error) {
	const make = "make one with: openssl genpkey -algorithm ed25519 -out signing.key"
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemPrivate {
		return nil, fmt.Errorf("it holds no %q block in PEM; %s", pemPrivate, make)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("it is no PKCS#8 key: %w; %s", err, make)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it is another kind of key than Ed25519 (%s); %s", strings.TrimPrefix(fmt.Sprintf("%T", parsed), "*"), make)
	}
	return key, nil
}

// PublicPEM is the public half of a signing key as PEM, to be given to processes that only verify.
func PublicPEM(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), nil
}

// ParseTrustedKeys reads Ed25519 public keys from a PEM with one block or more.
func ParseTrustedKeys(text []byte) ([]ed25519.PublicKey, error) {
	const give = "give the public half: openssl pkey -in signing.key -pubout"
	var out []ed25519.PublicKey
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != pemPublic {
			return nil, fmt.Errorf("it holds a %q, not a %q; %s", block.Type, pemPublic, give)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("it is no public key: %w; %s", err, give)
		}
		key, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("it is another kind of key than Ed25519 (%s); %s", strings.TrimPrefix(fmt.Sprintf("%T", parsed), "*"), give)
		}
		out = append(out, key)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("it holds no %q block in PEM; %s", pemPublic, give)
	}
	return out, nil
}
