package runtime

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASpareIsTakenOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSpare(dir)
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	s.take(first)
	require.NoDirExists(t, first, "nothing is in store yet")

	var all sync.WaitGroup
	for range 4 { // as many slots
		all.Go(s.refill)
	}
	all.Wait()
	left, err := os.ReadDir(filepath.Join(dir, spareFolder))
	require.NoError(t, err)
	require.Len(t, left, 1)
	s.take(first)
	s.take(second)
	f := foldersIn(first, "")
	for _, folder := range []string{f.code, f.train, f.validation, f.model, f.output, f.temp} {
		require.DirExists(t, folder)
	}
	require.NoDirExists(t, second)
	info, err := os.Stat(first)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode().Perm())

	s.refill()
	s.clean()
	require.NoDirExists(t, filepath.Join(dir, spareFolder))
	s.take(second)
	require.NoDirExists(t, second)
}
