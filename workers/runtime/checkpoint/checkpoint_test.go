package checkpoint_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/workers/runtime/checkpoint"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func look(t *testing.T, dir string) checkpoint.State {
	t.Helper()
	s, err := checkpoint.Look(dir)
	require.NoError(t, err)
	return s
}

func TestFolderTravels(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.Empty(t, look(t, dir))
	require.Empty(t, look(t, filepath.Join(dir, "nowhere")))
	write(t, dir, "epoch-2.bin", "two")
	write(t, dir, "deep/er/optimizer", "momentum")
	write(t, dir, "epoch-3.bin.tmp", "half of three")
	write(t, dir, ".cache/x", "no checkpoint")
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	old := time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)
	require.NoError(t, os.Chtimes(filepath.Join(dir, "epoch-2.bin"), old, old))

	s := look(t, dir)
	require.Len(t, s, 2)
	require.EqualValues(t, len("two")+len("momentum"), s.Bytes())
	require.True(t, s.Same(look(t, dir)))
	var packed, again bytes.Buffer
	require.NoError(t, checkpoint.Pack(dir, s, &packed))
	require.NoError(t, checkpoint.Pack(dir, s, &again))
	require.Equal(t, packed.Bytes(), again.Bytes())

	there := filepath.Join(t.TempDir(), "new")
	require.NoError(t, checkpoint.Unpack(bytes.NewReader(packed.Bytes()), there, s.Bytes()))
	require.True(t, s.Same(look(t, there)), "names, sizes, permissions and times: %v", look(t, there))
	b, err := os.ReadFile(filepath.Join(there, "deep", "er", "optimizer"))
	require.NoError(t, err)
	require.Equal(t, "momentum", string(b))

	require.ErrorContains(t, checkpoint.Unpack(bytes.NewReader(packed.Bytes()), t.TempDir(), s.Bytes()-1), "more than it may")
}

func TestChangesAreSeen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a", "one")
	before := look(t, dir)
	for name, change := range map[string]func(){
		"longer":  func() { write(t, dir, "a", "one more") },
		"touched": func() { require.NoError(t, os.Chtimes(filepath.Join(dir, "a"), time.Time{}, time.Unix(1, 0))) },
		"another": func() { write(t, dir, "b", "") },
		"a pipe": func() {
			require.NoError(t, os.Remove(filepath.Join(dir, "a")))
			require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "a"), 0o600))
		},
		"gone": func() { require.NoError(t, os.Remove(filepath.Join(dir, "a"))) },
	} {
		change()
		require.False(t, before.Same(look(t, dir)), name)
		require.ErrorIs(t, checkpoint.Pack(dir, before, io.Discard), checkpoint.ErrChanged, name)
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "b")))
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "a")))
		write(t, dir, "a", "one")
		require.NoError(t, os.Chtimes(filepath.Join(dir, "a"), before[0].Time, before[0].Time))
		require.True(t, before.Same(look(t, dir)))
	}
}

// archive is a gzipped tar of one entry, as somebody else may make it.
func archive(t *testing.T, h tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	tarball := tar.NewWriter(zip)
	require.NoError(t, tarball.WriteHeader(&h))
	require.NoError(t, tarball.Close())
	require.NoError(t, zip.Close())
	return out.Bytes()
}

func TestForeignArchivesAreRefused(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]tar.Header{
		"leads out": {Name: "../x", Typeflag: tar.TypeReg},
		"absolute":  {Name: "/x", Typeflag: tar.TypeReg},
		"link":      {Name: "x", Linkname: "/etc", Typeflag: tar.TypeSymlink},
	} {
		dir := filepath.Join(t.TempDir(), "inner")
		require.ErrorContains(t, checkpoint.Unpack(bytes.NewReader(archive(t, h)), dir, 1), "no file of a checkpoint", name)
		require.Empty(t, look(t, filepath.Dir(dir)))
	}
	require.Error(t, checkpoint.Unpack(bytes.NewReader([]byte("text")), t.TempDir(), 1))
}

func FuzzUnpack(f *testing.F) {
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("b"), 0o600); err != nil {
		f.Fatal(err)
	}
	s, err := checkpoint.Look(dir)
	if err != nil {
		f.Fatal(err)
	}
	var packed bytes.Buffer
	if err := checkpoint.Pack(dir, s, &packed); err != nil {
		f.Fatal(err)
	}
	f.Add(packed.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		inner := filepath.Join(dir, "inner")
		if err := checkpoint.Unpack(bytes.NewReader(b), inner, 1<<16); err != nil {
			t.Skip() // any error is fine, leaving the folder is not
		}
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, 1)
	})
}
