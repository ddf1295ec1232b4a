package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/model/archive"
)

func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}

func pack(t testing.TB, dir string, o archive.Options) ([]byte, int, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	return archive.Pack(root, o)
}

func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		out[name] = string(b)
		return err
	}))
	return out
}

func TestPackedFoldersComeBack(t *testing.T) {
	t.Parallel()
	files := map[string]string{"predict": "#!/bin/sh", "weights/a.bin": "\x00\x01", "weights/deep/b.txt": "", "z": "z"}
	dir := folder(t, files)
	require.NoError(t, os.Chmod(filepath.Join(dir, "predict"), 0o700))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	packed, n, err := pack(t, dir, archive.Options{Limit: 1 << 20})
	require.NoError(t, err)
	require.Equal(t, 4, n)
	to := t.TempDir()
	require.NoError(t, archive.Unpack(packed, to, 1<<20))
	require.Equal(t, files, contents(t, to), "the link is left out")
	info, err := os.Stat(filepath.Join(to, "predict"))
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&0o100, "it can still be run")

	other := folder(t, files)
	require.NoError(t, os.Chmod(filepath.Join(other, "predict"), 0o755))
	require.NoError(t, os.Chtimes(filepath.Join(other, "z"), time.Unix(1, 0), time.Unix(1, 0)))
	again, _, err := pack(t, other, archive.Options{Limit: 1 << 20})
	require.NoError(t, err)
	require.Equal(t, packed, again, "the same files give the same bytes")
	require.ErrorIs(t, archive.Unpack(packed, to, 1<<20), fs.ErrExist, "nothing is overwritten")
}

func TestWhatIsSkippedAndLimited(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"model.onnx": "12345", "keep": "123", "cache/a": "1234567"})
	skip := func(name string, _ bool) bool { return name == "model.onnx" || name == "cache" }
	packed, n, err := pack(t, dir, archive.Options{Limit: 3, Skip: skip})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	to := t.TempDir()
	require.ErrorIs(t, archive.Unpack(packed, to, 2), archive.ErrTooLarge)
	require.NoError(t, archive.Unpack(packed, to, 3))
	require.Equal(t, map[string]string{"keep": "123"}, contents(t, to))
	_, _, err = pack(t, dir, archive.Options{Limit: 14})
	require.ErrorIs(t, err, archive.ErrTooLarge)
	_, _, err = pack(t, dir, archive.Options{Limit: 100, Check: func(name string, f fs.FileInfo) error {
		require.True(t, f.Mode().IsRegular())
		if name == "cache/a" {
			return errors.New("not yours")
		}
		return nil
	}})
	require.ErrorContains(t, err, "cache/a: not yours")
	_, n, err = pack(t, t.TempDir(), archive.Options{})
	require.NoError(t, err)
	require.Zero(t, n)
}

func packedAs(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	for _, h := range headers {
		require.NoError(t, w.WriteHeader(&h))
		_, err := w.Write(make([]byte, h.Size))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, zip.Close())
	return out.Bytes()
}

func TestUnsafeArchivesAreRefused(t *testing.T) {
	t.Parallel()
	for name, packed := range map[string][]byte{
		"up":       packedAs(t, tar.Header{Name: "../evil", Size: 1, Mode: 0o644}),
		"deep up":  packedAs(t, tar.Header{Name: "a/../../evil", Size: 1, Mode: 0o644}),
		"absolute": packedAs(t, tar.Header{Name: "/evil", Size: 1, Mode: 0o644}),
		"symlink":  packedAs(t, tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: ".."}, tar.Header{Name: "a/evil", Size: 1}),
		"hardlink": packedAs(t, tar.Header{Name: "a", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}),
		"device":   packedAs(t, tar.Header{Name: "a", Typeflag: tar.TypeFifo}),
		"no gzip":  []byte("hello"),
		"cut":      packedAs(t, tar.Header{Name: "a", Size: 10_000})[:60],
		"empty":    nil,
	} {
		outer := t.TempDir()
		dir := filepath.Join(outer, "in")
		require.NoError(t, os.Mkdir(dir, 0o755))
		require.Error(t, archive.Unpack(packed, dir, 1<<20), name)
		require.NoFileExists(t, filepath.Join(outer, "evil"), name)
	}
	dir := t.TempDir()
	require.NoError(t, archive.Unpack(packedAs(t, tar.Header{Name: "./a/", Typeflag: tar.TypeDir, Mode: 0o755}, tar.Header{Name: "./a/b", Size: 1}), dir, 1<<20))
	require.FileExists(t, filepath.Join(dir, "a", "b"), "folders of their own are fine")
	bomb := packedAs(t, tar.Header{Name: "a", Size: 1 << 20}, tar.Header{Name: "b", Size: 1 << 20})
	require.ErrorIs(t, archive.Unpack(bomb, t.TempDir(), 1<<20), archive.ErrTooLarge)
}

// A small archive may hold very many files.
func TestTooManyFilesAreRefused(t *testing.T) {
	t.Parallel()
	headers := make([]tar.Header, 20_001)
	for i := range headers {
		headers[i] = tar.Header{Name: "same", Typeflag: tar.TypeReg, Mode: 0o644}
		if i > 0 {
			headers[i].Name = "f" + strconv.Itoa(i)
		}
	}
	dir := t.TempDir()
	err := archive.Unpack(packedAs(t, headers...), dir, 1<<20)
	require.ErrorIs(t, err, archive.ErrTooLarge)
}

func FuzzUnpack(f *testing.F) {
	f.Add(packedAs(f, tar.Header{Name: "a/b", Size: 3, Mode: 0o755}))
	f.Add(packedAs(f, tar.Header{Name: "../evil", Size: 1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "in")
		require.NoError(t, os.Mkdir(dir, 0o755))
		_ = archive.Unpack(b, dir, 1<<16)
		entries, err := os.ReadDir(outer)
		require.NoError(t, err)
		require.Len(t, entries, 1, "something was written beside the folder")
	})
}

func TestEachReadsWhatWasPacked(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"b/c.txt": "see", "a.txt": "ay"})
	packed, _, err := pack(t, dir, archive.Options{Limit: 100})
	require.NoError(t, err)
	got := map[string]string{}
	require.NoError(t, archive.Each(packed, 5, func(name string, content []byte) { got[name] = string(content) }))
	require.Equal(t, map[string]string{"b/c.txt": "see", "a.txt": "ay"}, got)
	nothing := func(string, []byte) {}
	require.ErrorIs(t, archive.Each(packed, 4, nothing), archive.ErrTooLarge)
	require.ErrorIs(t, archive.Each([]byte("nonsense"), 5, nothing), archive.ErrUnsafe)
	require.Error(t, archive.Each(packed[:len(packed)/2], 5, nothing))
}
