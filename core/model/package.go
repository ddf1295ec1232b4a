package model

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tidemill/tidemill/events"
)

// Files of a package.
const (
	ModelFile    = "model.onnx"
	ManifestFile = "manifest.json"
)

// ErrCorrupt marks a package whose bytes are not those that its digests name.
var ErrCorrupt = errors.New("package is corrupt")

// Prefix is where a version's package lives in blob storage: the URI of the version.
func Prefix(model, version string) string { return "models/" + model + "/" + version }

// Writer stores one immutable object under a key, and returns when it is durable.
type Writer interface {
	PutBytes(ctx context.Context, key string, b []byte) (events.Blob, error)
}

// Reader reads one object by its key.
type Reader interface {
	Get(ctx context.Context, key string) ([]byte, error)
}

// Package is a version, whole: its manifest and its model.
type Package struct {
	Manifest     Manifest
	ManifestJSON []byte
	ONNX         []byte
	SHA256       string // of ManifestJSON, which holds the digest of every other file: the version's digest
}

// Build makes a package of a model and its manifest; it fills in the manifest's ONNX and Files. The same arguments give the
// same bytes and so the same digest.
func Build(m Manifest, onnx []byte) (Package, error) {
	if err := m.Check(); err != nil {
		return Package{}, fmt.Errorf("build package %s@%s: %w", m.Model, m.Version, err)
	}
	if m.Model == "" || m.Version == "" {
		return Package{}, errors.New("build package: model and version must be named")
	}
	info, err := Inspect(onnx)
	if err != nil {
		return Package{}, fmt.Errorf("build package %s@%s: %w", m.Model, m.Version, err)
	}
	m.ONNX = info
	m.Files = map[string]string{ModelFile: digest(onnx)}
	m.CreatedAt, m.TrainedThrough = m.CreatedAt.UTC(), m.TrainedThrough.UTC()
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return Package{}, fmt.Errorf("build package %s@%s: encode manifest: %w", m.Model, m.Version, err)
	}
	return Package{Manifest: m, ManifestJSON: b, ONNX: onnx, SHA256: digest(b)}, nil
}

// URI is the key prefix of the package.
func (p Package) URI() string { return Prefix(p.Manifest.Model, p.Manifest.Version) }

// Ref names the version as facts do.
func (p Package) Ref() events.Version {
	m := p.Manifest
	return events.Version{Model: m.Model, Version: m.Version, URI: p.URI(), SHA256: p.SHA256,
		Snapshot: m.Lineage.Snapshot.ID, TrainedThrough: m.TrainedThrough}
}

// Write stores the package. The manifest goes last, so that a manifest that can be read has its model beside it.
func (p Package) Write(ctx context.Context, w Writer) error {
	if _, err := w.PutBytes(ctx, p.URI()+"/"+ModelFile, p.ONNX); err != nil {
		return fmt.Errorf("write package %s: %w", p.URI(), err)
	}
	if _, err := w.PutBytes(ctx, p.URI()+"/"+ManifestFile, p.ManifestJSON); err != nil {
		return fmt.Errorf("write package %s: %w", p.URI(), err)
	}
	return nil
}

// Read loads a version's package and verifies it: the manifest against v.SHA256, every file against the manifest. The error
// wraps [ErrCorrupt] when the bytes are others.
func Read(ctx context.Context, r Reader, v events.Version) (Package, error) {
	m, b, err := ReadManifest(ctx, r, v)
	if err != nil {
		return Package{}, err
	}
	onnx, err := r.Get(ctx, v.URI+"/"+ModelFile)
	if err != nil {
		return Package{}, fmt.Errorf("read package %s: %w", v.URI, err)
	}
	if got, want := digest(onnx), m.Files[ModelFile]; got != want {
		return Package{}, corrupt(v.URI, ModelFile, got, want)
	}
	return Package{Manifest: m, ManifestJSON: b, ONNX: onnx, SHA256: v.SHA256}, nil
}

// ReadManifest loads and verifies the manifest alone.
func ReadManifest(ctx context.Context, r Reader, v events.Version) (Manifest, []byte, error) {
	b, err := r.Get(ctx, v.URI+"/"+ManifestFile)
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("read package %s: %w", v.URI, err)
	}
	if got := digest(b); got != v.SHA256 {
		return Manifest{}, nil, corrupt(v.URI, ManifestFile, got, v.SHA256)
	}
	m, err := DecodeManifest(b)
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("read package %s: %w", v.URI, err)
	}
	return m, b, nil
}

// DecodeManifest reads a manifest and checks its contract.
func DecodeManifest(b []byte) (Manifest, error) {
	var m Manifest
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("decode manifest: %w", err)
	}
	if err := m.Check(); err != nil {
		return Manifest{}, fmt.Errorf("decode manifest: %w", err)
	}
	if m.Files[ModelFile] == "" {
		return Manifest{}, fmt.Errorf("decode manifest: it names no digest of %s", ModelFile)
	}
	return m, nil
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
