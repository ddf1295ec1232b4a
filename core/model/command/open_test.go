package command_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/command"
	"github.com/tidemill/tidemill/core/model/modeltest"
	"github.com/tidemill/tidemill/events"
)

type memory map[string][]byte

func (m memory) PutBytes(_ context.Context, key string, b []byte) (events.Blob, error) {
	m[key] = b
	return events.Blob{Key: key}, nil
}

func (m memory) Get(_ context.Context, key string) ([]byte, error) {
	if b, ok := m[key]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
}

func manifest(c *model.PredictCommand) model.Manifest {
	return model.Manifest{Model: "m", Version: "1", Dataset: "flights", Contract: modeltest.Binary, FeatureSQL: "distance, origin", LabelSQL: "late", Predict: c}
}

// A version without ONNX is packed, signed, read and opened like any other.
func TestPackagesWithACommandAreOpened(t *testing.T) {
	t.Parallel()
	keys, err := model.NewKeyring(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	require.NoError(t, err)
	p, err := model.Build(manifest(&python), script(t, modeltest.Binary), keys)
	require.NoError(t, err)
	require.Equal(t, model.RuntimeCommand, p.Manifest.Runtime)
	require.Contains(t, string(p.ManifestJSON), `"runtime": "command"`)
	require.NotContains(t, string(p.ManifestJSON), `"onnx"`)
	store := memory{}
	require.NoError(t, p.Write(t.Context(), store))
	back, err := model.Read(t.Context(), store, p.Ref(), keys)
	require.NoError(t, err)
	opened, err := command.Opener{Options: impatient(t)}.Open(t.Context(), back)
	require.NoError(t, err)
	defer opened.Close()
	b, z := modeltest.Batch(1)
	got, err := opened.Score(t.Context(), b)
	require.NoError(t, err)
	require.InDelta(t, 1/(1+1/exp(z[0])), got[1], 1e-5)

	for name := range p.Files {
		changed := append([]byte(nil), p.Files[name]...)
		changed[len(changed)/2] ^= 1
		store[p.URI()+"/"+name] = changed
		_, err := model.Read(t.Context(), store, p.Ref(), keys)
		require.ErrorIs(t, err, model.ErrCorrupt, name)
		store[p.URI()+"/"+name] = p.Files[name]
	}
}

func TestOpenerTellsWhatItCannotOpen(t *testing.T) {
	t.Parallel()
	failing := model.PredictCommand{Command: []string{"no-such-program"}, Folder: model.FolderCode}
	p, err := command.Opener{Options: impatient(t)}.Open(t.Context(), model.Package{Manifest: manifest(&failing), Files: script(t, modeltest.Binary)})
	require.Error(t, err)
	require.Nil(t, p)
}

func TestBuildChecksTheCommand(t *testing.T) {
	t.Parallel()
	keys, err := model.NewKeyring(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	require.NoError(t, err)
	files := script(t, modeltest.Binary)
	for want, c := range map[string]model.PredictCommand{
		"is empty":       {Folder: model.FolderCode},
		"the folder":     {Command: []string{"./predict"}, Folder: "/bin"},
		model.CodeFile:   {Command: []string{"./predict"}, Folder: model.FolderCode},
		model.ExtrasFile: {Command: []string{"./predict"}, Folder: model.FolderModel},
	} {
		left := map[string][]byte{}
		if want != model.CodeFile {
			left[model.CodeFile] = files[model.CodeFile]
		}
		if want != model.ExtrasFile {
			left[model.ExtrasFile] = files[model.ExtrasFile]
		}
		_, err := model.Build(manifest(&c), left, keys)
		require.ErrorContains(t, err, want)
	}
}
