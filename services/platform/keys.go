package platform

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"go.uber.org/zap"

	"github.com/tidemill/tidemill/core/model"
)

// Files of the data directory: the key that signs packages, and its public half for processes elsewhere.
const (
	signingKeyFile = "signing.key"
	publicKeyFile  = "signing.pub"
)

// loads are the targets that read packages.
var loads = []string{"gateway", "monitoring", "evaluation", "serving"}

// openKeys gives the keys that sign and verify packages. The process that builds packages makes a key on its first start, unless
// it was given one; every other process has to be told whom to trust.
func (p *process) openKeys() (*model.Keyring, error) {
	signing, err := p.signingKey()
	if err != nil {
		return nil, err
	}
	var trusted []ed25519.PublicKey
	for _, path := range p.o.TrustedKeys {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read a trusted key (--trusted-key): %w", err)
		}
		keys, err := model.ParseTrustedKeys(text)
		if err != nil {
			return nil, fmt.Errorf("read the trusted key %s (--trusted-key): %w", path, err)
		}
		trusted = append(trusted, keys...)
	}
	keys, err := model.NewKeyring(signing, trusted...)
	if err != nil {
		return nil, err
	}
	if len(keys.Trusts()) == 0 && slices.ContainsFunc(loads, p.o.runs) {
		return nil, fmt.Errorf("this process loads models but trusts no key: give it --trusted-key FILE, the %s in the data directory of the process that runs training",
			publicKeyFile)
	}
	p.o.Log.Info("packages are verified", zap.String("signs", keys.KeyID()), zap.Strings("trusts", keys.Trusts()))
	return keys, nil
}

// signingKey is the key that was given, or the one of the data directory, which is made when this process needs one; nil when it
// doesn't.
func (p *process) signingKey() (ed25519.PrivateKey, error) {
	path := p.o.SigningKey
	if path == "" {
		path = filepath.Join(p.o.DataDir, signingKeyFile)
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && p.o.SigningKey == "" {
		if !p.o.runs("training") && !p.o.whole() {
			return nil, nil
		}
		text, err = makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the signing key (--signing-key): %w", err)
	}
	key, err := model.ParseSigningKey(text)
	if err != nil {
		return nil, fmt.Errorf("read the signing key %s (--signing-key): %w", path, err)
	}
	public, err := model.PublicPEM(key)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(p.o.DataDir, publicKeyFile), public, 0o644); err != nil {
		return nil, fmt.Errorf("keep the public key: %w", err)
	}
	return key, nil
}

// makeKey makes a signing key at path. When another process does so at the same time, the first one's counts.
func makeKey(path string) ([]byte, error) {
	text, err := model.NewSigningKey(nil)
	if err != nil {
		return nil, err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), signingKeyFile+".*") // 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(text)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}
