package platform

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tidemill/tidemill/core/model"
)

func keysOf(t *testing.T, o Options) (*model.Keyring, error) {
	t.Helper()
	o.Log = zap.NewNop()
	require.NoError(t, o.complete())
	require.NoError(t, os.MkdirAll(o.DataDir, 0o700))
	return (&process{o: o}).openKeys()
}

func TestTheFirstStartMakesAKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := keysOf(t, Options{DataDir: dir})
	require.NoError(t, err)
	require.Len(t, first.KeyID(), 64)
	require.Equal(t, []string{first.KeyID()}, first.Trusts())
	info, err := os.Stat(filepath.Join(dir, signingKeyFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	again, err := keysOf(t, Options{DataDir: dir})
	require.NoError(t, err)
	require.Equal(t, first.KeyID(), again.KeyID())
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, left, 2, "the key and its public half, nothing half-written")
}

func TestAFleetSharesKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const broker = "nats://elsewhere:4222"
	trainer := filepath.Join(dir, "training")
	signs, err := keysOf(t, Options{DataDir: trainer, NATSURL: broker, Targets: []string{"training"}})
	require.NoError(t, err)

	_, err = keysOf(t, Options{DataDir: filepath.Join(dir, "serving"), NATSURL: broker, Targets: []string{"serving"}})
	require.ErrorContains(t, err, "--trusted-key")
	serves, err := keysOf(t, Options{DataDir: filepath.Join(dir, "serving"), NATSURL: broker, Targets: []string{"serving"},
		TrustedKeys: []string{filepath.Join(trainer, publicKeyFile)}})
	require.NoError(t, err)
	require.Empty(t, serves.KeyID())
	require.Equal(t, signs.Trusts(), serves.Trusts())
	require.NoFileExists(t, filepath.Join(dir, "serving", signingKeyFile), "who builds nothing needs no key")

	twin, err := keysOf(t, Options{DataDir: filepath.Join(dir, "twin"), NATSURL: broker, Targets: []string{"training"},
		SigningKey: filepath.Join(trainer, signingKeyFile)})
	require.NoError(t, err)
	require.Equal(t, signs.KeyID(), twin.KeyID())
	require.NoFileExists(t, filepath.Join(dir, "twin", signingKeyFile))

	_, err = keysOf(t, Options{DataDir: filepath.Join(dir, "worker"), NATSURL: broker, Targets: []string{"worker"}})
	require.NoError(t, err)
}

func TestWrongKeyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	nowhere, wrong := filepath.Join(dir, "nowhere"), filepath.Join(dir, "wrong")
	require.NoError(t, os.WriteFile(wrong, []byte("secret"), 0o600))
	for _, path := range []string{nowhere, wrong} {
		_, err := keysOf(t, Options{DataDir: filepath.Join(dir, "data"), SigningKey: path})
		require.ErrorContains(t, err, "--signing-key")
		require.ErrorContains(t, err, path)
		_, err = keysOf(t, Options{DataDir: filepath.Join(dir, "data"), TrustedKeys: []string{path}})
		require.ErrorContains(t, err, "--trusted-key")
		require.ErrorContains(t, err, path)
	}
}
