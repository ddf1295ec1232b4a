package model_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/events"
)

// memory is blob storage in a map.
type memory map[string][]byte

func (m memory) PutBytes(_ context.Context, key string, b []byte) (events.Blob, error) {
	m[key] = b
	return events.Blob{Key: key, Bytes: int64(len(b))}, nil
}

func (m memory) Get(_ context.Context, key string) ([]byte, error) {
	b, ok := m[key]
	if !ok {
		return nil, fmt.Errorf("no object %s: %w", key, fs.ErrNotExist)
	}
	return b, nil
}

func manifest() model.Manifest {
	at := time.Date(2001, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600))
	return model.Manifest{Model: "flight-delay", Version: "7", Dataset: "flights", Contract: flights,
		FeatureSQL: "distance, origin", LabelSQL: "delay >= 15", TrainedThrough: at, CreatedAt: at, TrainRows: 10,
		Metrics: model.Metrics{Validation: map[string]float64{"auc": 0.6}},
		Lineage: model.Lineage{Snapshot: events.Snapshot{ID: "abc"}, Cycle: "c1", Trainer: "builtin/linear", Params: map[string]any{"l2": 1.0}}}
}

func TestPackageRoundTrip(t *testing.T) {
	t.Parallel()
	ctx, store, keys := context.Background(), memory{}, keyring(t, 1)
	onnx := answer(flightModel(1), "probabilities")
	files := map[string][]byte{model.ModelFile: onnx, model.ExtrasFile: []byte("weights")}
	p, err := model.Build(manifest(), files, keys)
	require.NoError(t, err)
	again, err := model.Build(manifest(), files, keyring(t, 1))
	require.NoError(t, err)
	require.Equal(t, p, again, "the same manifest, files and key give the same bytes")
	require.NoError(t, p.Write(ctx, store))
	ref := p.Ref()
	require.Equal(t, "models/flight-delay/7", ref.URI)
	require.Equal(t, "abc", ref.Snapshot)

	back, err := model.Read(ctx, store, ref, keys)
	require.NoError(t, err)
	require.Equal(t, p, back)
	require.Equal(t, keys.KeyID(), back.SignedBy)
	require.Equal(t, model.ONNX{Producer: "tidemill", Opsets: map[string]int64{"": 17, "ai.onnx.ml": 3}}, back.Manifest.ONNX)
	opened(t, back.Files[model.ModelFile], back.Manifest.Contract)
	alone, err := model.ReadManifest(ctx, store, ref, keys)
	require.NoError(t, err)
	require.Equal(t, p.Manifest, alone.Manifest)
	require.Nil(t, alone.Files)
}

func TestBuildRefusesWhatIsNoModel(t *testing.T) {
	t.Parallel()
	keys := keyring(t, 1)
	_, err := model.Build(manifest(), map[string][]byte{model.ModelFile: {1, 2, 3}}, keys)
	require.ErrorContains(t, err, "not an ONNX model")
	_, err = model.Build(manifest(), map[string][]byte{model.ExtrasFile: {1, 2, 3}}, keys)
	require.ErrorContains(t, err, model.ModelFile)
	good := map[string][]byte{model.ModelFile: answer(flightModel(1), "probabilities")}
	_, err = model.Build(manifest(), map[string][]byte{model.ModelFile: good[model.ModelFile], "../other": nil}, keys)
	require.ErrorContains(t, err, "../other")
	m := manifest()
	m.Classes = nil
	_, err = model.Build(m, good, keys)
	require.ErrorContains(t, err, "two classes")
	_, err = model.Build(manifest(), good, nil)
	require.ErrorContains(t, err, "--signing-key")
}

func TestFindLibrary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(parts ...string) string {
		path := filepath.Join(append([]string{dir}, parts...)...)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, nil, 0o644))
		return path
	}
	env := func(pairs map[string]string) func(string) string { return func(k string) string { return pairs[k] } }
	exe := filepath.Join(dir, "bin", "tidemill")

	_, err := model.FindLibrary(env(map[string]string{"HOME": dir}), exe)
	require.ErrorIs(t, err, model.ErrNoLibrary)
	require.ErrorContains(t, err, "make setup")
	require.ErrorContains(t, err, model.LibraryVar)

	name := "libonnxruntime.so.1"
	if runtime.GOOS == "darwin" {
		name = "libonnxruntime.dylib"
	}
	want := at(".cache", "tidemill", name)
	got, err := model.FindLibrary(env(map[string]string{"HOME": dir}), exe)
	require.NoError(t, err)
	require.Equal(t, want, got)

	want = at("bin", "lib", name)
	got, err = model.FindLibrary(env(map[string]string{"HOME": dir}), exe)
	require.NoError(t, err)
	require.Equal(t, want, got)

	_, err = model.FindLibrary(env(map[string]string{model.LibraryVar: "/nowhere/lib.so"}), exe)
	require.ErrorIs(t, err, model.ErrNoLibrary)
	require.ErrorContains(t, err, "/nowhere/lib.so")
}

func FuzzInspect(f *testing.F) {
	f.Add(answer(flightModel(1), "probabilities"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if info, err := model.Inspect(b); err == nil && len(info.Opsets) == 0 {
			t.Fatal("no operator set and no error")
		}
	})
}

func FuzzDecodeManifest(f *testing.F) {
	f.Add(packed(f, manifest(), keyring(f, 1)).ManifestJSON)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := model.DecodeManifest(b); err == nil && m.Check() != nil {
			t.Fatal("decoded a contract that doesn't hold")
		}
	})
}
