package model

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/tidemill/tidemill/events"
)

// Files of a package beside its [SignatureFile].
const (
	ModelFile    = "model.onnx"
	ManifestFile = "manifest.json"
	ExtrasFile   = "extras.tar.gz" // what else the trainer left in its model folder
	CodeFile     = "code.tar.gz"   // the source that a predict command needs
)

// ErrCorrupt marks a package whose bytes are not those that its digests name.
var ErrCorrupt = errors.New("package is corrupt")

// Prefix is where a version's package lives in blob storage: the URI of the version.
func Prefix(model, version string) string { return "models/" + model + "/" + version }

// Writer stores one immutable object under a key, and returns when it is durable.
type Writer interface {
	PutBytes(ctx context.Context, key string, b []byte) (events.Blob, error)
}

// Reader reads one object by its key. The error for an object that isn't there is an [fs.ErrNotExist].
type Reader interface {
	Get(ctx context.Context, key string) ([]byte, error)
}

// Package is a version, whole: its manifest, its files and the signature over them.
type Package struct {
	Manifest     Manifest
	ManifestJSON []byte
	Files        map[string][]byte // by name, those that the manifest names: ModelFile, ExtrasFile, CodeFile
	Signature    []byte
	SignedBy     string // id of the key
	SHA256       string // of ManifestJSON, which holds the digest of every other file: the version's digest
}

// Build makes a package of files and their manifest, and signs it; it fills in the manifest's Runtime, ONNX and Files. The same arguments
// give the same bytes and so the same digest.
func Build(m Manifest, files map[string][]byte, keys *Keyring) (Package, error) {
	fail := func(err error) (Package, error) {
		return Package{}, fmt.Errorf("build package %s@%s: %w", m.Model, m.Version, err)
	}
	if m.Model == "" || m.Version == "" {
		return Package{}, errors.New("build package: model and version must be named")
	}
	m.Files = map[string]string{}
	for name, b := range files {
		m.Files[name] = digest(b)
	}
	m.Runtime, m.ONNX = RuntimeONNX, ONNX{}
	if m.Predict != nil {
		m.Runtime = RuntimeCommand
	}
	if err := m.check(); err != nil {
		return fail(err)
	}
	if m.Predict == nil {
		var err error
		if m.ONNX, err = Inspect(files[ModelFile]); err != nil {
			return fail(err)
		}
	}
	m.CreatedAt, m.TrainedThrough = m.CreatedAt.UTC(), m.TrainedThrough.UTC()
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fail(fmt.Errorf("encode manifest: %w", err))
	}
	p := Package{Manifest: m, ManifestJSON: b, Files: maps.Clone(files), SHA256: digest(b), SignedBy: keys.KeyID()}
	if p.Signature, err = keys.sign(m, p.SHA256); err != nil {
		return fail(err)
	}
	return p, nil
}

// URI is the key prefix of the package.
func (p Package) URI() string { return Prefix(p.Manifest.Model, p.Manifest.Version) }

// Ref names the version as facts do.
func (p Package) Ref() events.Version {
	m := p.Manifest
	return events.Version{Model: m.Model, Version: m.Version, URI: p.URI(), SHA256: p.SHA256,
		Snapshot: m.Lineage.Snapshot.ID, TrainedThrough: m.TrainedThrough}
}

// Write stores the package. The manifest goes last, so that a manifest that can be read has all the rest beside it.
func (p Package) Write(ctx context.Context, w Writer) error {
	put := func(name string, b []byte) error {
		if _, err := w.PutBytes(ctx, p.URI()+"/"+name, b); err != nil {
			return fmt.Errorf("write package %s: %w", p.URI(), err)
		}
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		if err := put(name, p.Files[name]); err != nil {
			return err
		}
	}
	if err := put(SignatureFile, p.Signature); err != nil {
		return err
	}
	return put(ManifestFile, p.ManifestJSON)
}

// Read loads a version's package and verifies all of it: the manifest against v.SHA256, the signature over the manifest by a
// trusted key, every file against the manifest. The error wraps [ErrCorrupt] when the bytes are others than v names, and
// [ErrUntrusted] when no trusted key signed them.
func Read(ctx context.Context, r Reader, v events.Version, keys *Keyring) (Package, error) {
	p, err := ReadManifest(ctx, r, v, keys)
	if err != nil {
		return Package{}, err
	}
	p.Files = map[string][]byte{}
	for name, want := range p.Manifest.Files {
		b, err := r.Get(ctx, v.URI+"/"+name)
		if err != nil {
			return Package{}, fmt.Errorf("read package %s: %w", v.URI, err)
		}
		if got := digest(b); got != want {
			return Package{}, corrupt(v.URI, name, got, want)
		}
		p.Files[name] = b
	}
	return p, nil
}

// ReadManifest loads and verifies a package without its files: the manifest and the signature over it.
func ReadManifest(ctx context.Context, r Reader, v events.Version, keys *Keyring) (Package, error) {
	b, err := r.Get(ctx, v.URI+"/"+ManifestFile)
	if err != nil {
		return Package{}, fmt.Errorf("read package %s: %w", v.URI, err)
	}
	if got := digest(b); got != v.SHA256 {
		return Package{}, corrupt(v.URI, ManifestFile, got, v.SHA256)
	}
	m, err := DecodeManifest(b)
	if err != nil {
		return Package{}, fmt.Errorf("read package %s: %w", v.URI, err)
	}
	if m.Model != v.Model || m.Version != v.Version {
		return Package{}, fmt.Errorf("read package %s: %w: it is version %s of %s, not version %s of %s", v.URI, ErrCorrupt,
			m.Version, m.Model, v.Version, v.Model)
	}
	signature, err := r.Get(ctx, v.URI+"/"+SignatureFile)
	if errors.Is(err, fs.ErrNotExist) {
		return Package{}, fmt.Errorf("%w: %s has no %s; packages are signed when they are made: train the model again, or put the file back",
			ErrUntrusted, v.URI, SignatureFile)
	}
	if err != nil {
		return Package{}, fmt.Errorf("read package %s: %w", v.URI, err)
	}
	id, err := keys.verify(signature, m, v.SHA256)
	if err != nil {
		return Package{}, fmt.Errorf("%w: %s: %w", ErrUntrusted, v.URI, err)
	}
	return Package{Manifest: m, ManifestJSON: b, Signature: signature, SignedBy: id, SHA256: v.SHA256}, nil
}

// DecodeManifest reads a manifest and checks its contract.
func DecodeManifest(b []byte) (Manifest, error) {
	var m Manifest
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("decode manifest: %w", err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("decode manifest: %w", err)
	}
	return m, nil
}

// check tells what is wrong with the contract or the list of files.
func (m Manifest) check() error {
	if err := m.Check(); err != nil {
		return err
	}
	for name := range m.Files {
		// Names are fixed: none of them leads anywhere else.
		if name != ModelFile && name != ExtrasFile && name != CodeFile {
			return fmt.Errorf("a package holds no file %q", name)
		}
	}
	switch {
	case (m.Runtime == RuntimeCommand) != (m.Predict != nil) || m.Runtime != RuntimeCommand && m.Runtime != RuntimeONNX:
		return fmt.Errorf("its runtime %q doesn't fit; it is %s, or %s with a predict command", m.Runtime, RuntimeONNX, RuntimeCommand)
	case m.Predict != nil:
		return m.Predict.check(m.Files)
	case m.Files[ModelFile] == "":
		return fmt.Errorf("it names no digest of %s", ModelFile)
	}
	return nil
}

func corrupt(uri, file, got, want string) error {
	return fmt.Errorf("%w: %s/%s has sha256 %s, expected %s; restore it from a copy or promote another version",
		ErrCorrupt, uri, file, short(got), short(want))
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func short(hash string) string {
	if len(hash) > 12 {
		return hash[:12] + "…"
	}
	return hash
}
