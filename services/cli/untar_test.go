package cli

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzUntar: whatever arrives, nothing is written outside of the folder.
func FuzzUntar(f *testing.F) {
	for _, name := range []string{"train/train.parquet", "../outside", "/outside", "a/../../outside"} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		require.NoError(f, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: 1}))
		_, err := w.Write([]byte("x"))
		require.NoError(f, err)
		require.NoError(f, w.Close())
		f.Add(b.Bytes())
		f.Add(b.Bytes()[:600])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		home := t.TempDir()
		_, _, _ = untar(bytes.NewReader(b), filepath.Join(home, "to")) // that it may fail is not the question
		entries, err := os.ReadDir(home)
		require.NoError(t, err)
		for _, e := range entries {
			require.Equal(t, "to", e.Name())
		}
	})
}
