package platform

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Trials lie in the data directory, which nobody else may enter, unless another user must reach them.
func TestPlacesOfTrials(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own, err := newPlaces(Options{DataDir: dir, Venvs: filepath.Join(dir, "shared")})
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "trials"), own.trials)
	require.Equal(t, filepath.Join(dir, "shared"), own.venvs)
	info, err := os.Stat(own.trials)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	_, err = newPlaces(Options{DataDir: dir, TrialUser: "root"})
	require.ErrorContains(t, err, "is root; name a user without rights")
	theirs, err := newPlaces(Options{DataDir: dir, TrialUser: "12345"})
	if os.Geteuid() != 0 {
		require.ErrorContains(t, err, "only a worker that runs as root")
		return
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(theirs.trials)) })
	for folder := theirs.trials; folder != filepath.Dir(os.TempDir()); folder = filepath.Dir(folder) {
		info, err := os.Stat(folder)
		require.NoError(t, err)
		require.NotZero(t, info.Mode().Perm()&0o001, "%s can't be entered", folder)
	}
}
