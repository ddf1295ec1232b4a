package lake_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/events"
)

func stores(t *testing.T) map[string]*lake.Store {
	t.Helper()
	out := map[string]*lake.Store{}
	for name, url := range map[string]string{"file": "file://" + filepath.Join(t.TempDir(), "a", "blobs") + "?create", "mem": "mem://"} {
		s, err := lake.OpenStore(context.Background(), url, filepath.Join(t.TempDir(), "cache"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		out[name] = s
	}
	return out
}

func TestStoreKeepsObjects(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			b, err := s.PutBytes(ctx, "models/m/1/model.onnx", []byte("hello"))
			require.NoError(t, err)
			require.Equal(t, events.Blob{Key: "models/m/1/model.onnx", Bytes: 5,
				SHA256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}, b)
			got, err := s.Get(ctx, b.Key)
			require.NoError(t, err)
			require.Equal(t, "hello", string(got))
			path, err := s.Local(ctx, b)
			require.NoError(t, err)
			got, err = os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, "hello", string(got))

			_, err = s.PutBytes(ctx, "models/n/1/a", nil)
			require.NoError(t, err)
			list, err := s.List(ctx, "models/m/")
			require.NoError(t, err)
			require.Equal(t, []events.Blob{{Key: b.Key, Bytes: 5}}, list)
			all, err := s.List(ctx, "")
			require.NoError(t, err)
			require.Len(t, all, 2, "half-written files are not listed")

			require.NoError(t, s.Delete(ctx, b.Key))
			require.NoError(t, s.Delete(ctx, b.Key))
			ok, err := s.Exists(ctx, b.Key)
			require.NoError(t, err)
			require.False(t, ok)
			_, err = s.Get(ctx, b.Key)
			require.ErrorIs(t, err, lake.ErrNotFound)
			for _, key := range []string{"", "/etc/passwd", "../x", "a/../b", "a//b", ".tmp/x", "a b"} {
				_, err := s.PutBytes(ctx, key, nil)
				require.ErrorContains(t, err, "not a blob key", key)
			}
		})
	}
}

func TestStoreAdoptsByContent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(s.Scratch(), "x")
			require.NoError(t, os.WriteFile(path, []byte("hello"), 0o600))
			b, err := s.Adopt(ctx, "segments", ".parquet", path)
			require.NoError(t, err)
			require.Equal(t, "segments/"+b.SHA256+".parquet", b.Key)
			require.NoFileExists(t, path)
			got, err := s.Get(ctx, b.Key)
			require.NoError(t, err)
			require.Equal(t, "hello", string(got))
			_, err = s.Local(ctx, b)
			require.NoError(t, err)
		})
	}
}

func TestLocalVerifiesItsCopy(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := stores(t)["mem"]
	b, err := s.PutBytes(ctx, "a/b", []byte("right"))
	require.NoError(t, err)
	_, err = s.PutBytes(ctx, "a/b", []byte("wrong"))
	require.NoError(t, err)
	_, err = s.Local(ctx, b)
	require.ErrorContains(t, err, "the object was changed")
	left, err := os.ReadDir(s.Scratch())
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestLocalVerifiesFiles: a file store's own files are no safer from a changed byte than a copy is.
func TestLocalVerifiesFiles(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := stores(t)["file"]
	b, err := s.PutBytes(ctx, "a/b", []byte("right"))
	require.NoError(t, err)
	path, err := s.Local(ctx, b)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte("wrong"), 0o600))
	touched := time.Now().Add(time.Minute) // whatever the clock of the file system can tell apart
	require.NoError(t, os.Chtimes(path, touched, touched))
	_, err = s.Local(ctx, b)
	require.ErrorContains(t, err, "blob a/b has the SHA-256")
	require.NoError(t, os.WriteFile(path, []byte("right"), 0o600))
	_, err = s.Local(ctx, b)
	require.NoError(t, err, "it was restored")
}

// failing breaks in the middle, as a client that hangs up does.
type failing struct{ r *bytes.Reader }

func (f failing) Read(p []byte) (int, error) {
	if n, _ := f.r.Read(p); n > 0 {
		return n, nil
	}
	return 0, os.ErrDeadlineExceeded
}

func TestFailedPutLeavesTheOldObject(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			_, err := s.PutBytes(ctx, "k", []byte("old"))
			require.NoError(t, err)
			_, err = s.Put(ctx, "k", failing{bytes.NewReader([]byte("new"))})
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			got, err := s.Get(ctx, "k")
			require.NoError(t, err)
			require.Equal(t, "old", string(got))
		})
	}
}

func TestSweepScratch(t *testing.T) {
	t.Parallel()
	s := stores(t)["file"]
	path := filepath.Join(s.Scratch(), "put-1")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, s.SweepScratch(info.ModTime().Add(-time.Second)))
	require.FileExists(t, path)
	require.NoError(t, s.SweepScratch(info.ModTime().Add(time.Second)))
	require.NoFileExists(t, path)
}

func TestOpenStoreSaysWhatToDo(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, err := lake.OpenStore(ctx, "file://"+filepath.Join(t.TempDir(), "no"), "")
	require.ErrorContains(t, err, "?create")
	_, err = lake.OpenStore(ctx, "ftp://user:secret@host/x", t.TempDir())
	require.ErrorContains(t, err, "use file://")
	require.False(t, strings.Contains(err.Error(), "secret"))
	_, err = lake.OpenStore(ctx, "mem://", "")
	require.ErrorContains(t, err, "cache directory")
}
