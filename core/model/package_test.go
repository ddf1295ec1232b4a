package model_test

import (
	"context"
	"errors"
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
		return nil, errors.New("no object " + key)
	}
	return b, nil
}

func manifest() model.Manifest {
	at := time.Date(2001, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600))
	return model.Manifest{Model: "flight-delay", Version: "7", Dataset: "flights", Contract: flights,
		FeatureSQL: "distance, origin", LabelSQL: "delay >= 15", TrainedThrough: at, CreatedAt: at, TrainRows: 10,
		Metrics: model.Metrics{Validation: map[string]float64{"auc": 0.6}},
		Lineage: model.Lineage{Snapshot: events.Snapshot{ID: "abc"}, Trainer: "builtin/linear", Params: map[string]any{"l2": 1.0}}}
}

func TestPackageRoundTrip(t *testing.T) {
	t.Parallel()
	ctx, store := context.Background(), memory{}
	onnx := answer(flightModel(1), "probabilities")
	p, err := model.Build(manifest(), onnx)
	require.NoError(t, err)
	again, err := model.Build(manifest(), onnx)
	require.NoError(t, err)
	require.Equal(t, p.SHA256, again.SHA256)
	require.NoError(t, p.Write(ctx, store))
	ref := p.Ref()
	require.Equal(t, "models/flight-delay/7", ref.URI)
	require.Equal(t, "abc", ref.Snapshot)

	back, err := model.Read(ctx, store, ref)
	require.NoError(t, err)
	require.Equal(t, p, back)
	require.Equal(t, model.ONNX{Producer: "tidemill", Opsets: map[string]int64{"": 17, "ai.onnx.ml": 3}}, back.Manifest.ONNX)
	opened(t, back.ONNX, back.Manifest.Contract)
}

func TestCorruptPackageIsRefused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	p, err := model.Build(manifest(), answer(flightModel(1), "probabilities"))
	require.NoError(t, err)
	for _, file := range []string{model.ModelFile, model.ManifestFile} {
		store := memory{}
		require.NoError(t, p.Write(ctx, store))
		key := p.URI() + "/" + file
		b := append([]byte(nil), store[key]...)
		b[len(b)/2] ^= 1
		store[key] = b
		_, err = model.Read(ctx, store, p.Ref())
		require.ErrorIs(t, err, model.ErrCorrupt, file)
		require.ErrorContains(t, err, file)
		delete(store, key)
		_, err = model.Read(ctx, store, p.Ref())
		require.ErrorContains(t, err, "no object")
	}
}

func TestBuildRefusesWhatIsNoModel(t *testing.T) {
	t.Parallel()
	_, err := model.Build(manifest(), []byte{1, 2, 3})
	require.ErrorContains(t, err, "not an ONNX model")
	m := manifest()
	m.Classes = nil
	_, err = model.Build(m, answer(flightModel(1), "probabilities"))
	require.ErrorContains(t, err, "two classes")
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
	p, err := model.Build(manifest(), answer(flightModel(1), "probabilities"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.ManifestJSON)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := model.DecodeManifest(b); err == nil && m.Check() != nil {
			t.Fatal("decoded a contract that doesn't hold")
		}
	})
}
