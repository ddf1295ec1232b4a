package runtime_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidemill/tidemill/workers/runtime"
)

func TestPackSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"train.py", "lib/deep/x.py", ".venv/bin/python", "__pycache__/x.pyc"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644))
	}
	first, err := runtime.PackSource(dir)
	require.NoError(t, err)
	require.NoError(t, os.Chtimes(filepath.Join(dir, "train.py"), time.Unix(0, 0), time.Unix(0, 0)))
	second, err := runtime.PackSource(dir)
	require.NoError(t, err)
	require.Equal(t, first, second, "the digest is of the content alone")
	_, err = runtime.PackSource(filepath.Join(dir, "nowhere"))
	require.ErrorContains(t, err, "nowhere")

	b := newBench(t)
	s := b.trial("test -f lib/deep/x.py && ! test -e .venv && echo complete; exit 1", nil)
	blob, err := b.blobs.PutBytes(context.Background(), "deep", first)
	require.NoError(t, err)
	s.Code, s.Candidate.Command = &blob, []string{"sh", "-c", "cat lib/deep/x.py; echo; ls -a"}
	_, tail, err := b.run(context.Background(), s)
	require.Error(t, err)
	require.Equal(t, []string{"lib/deep/x.py", ".", "..", "lib", "train.py"}, tail)
}

// packedAs packs files as nobody should: with any names, types and sizes.
func packedAs(t testing.TB, headers ...tar.Header) []byte {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	for _, h := range headers {
		require.NoError(t, w.WriteHeader(&h))
		_, err := io.CopyN(w, zeros{}, h.Size)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, zip.Close())
	return out.Bytes()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// What is no source of files, or holds far more than it seems to, fails the trial with a reason.
func TestSourceThatIsNone(t *testing.T) {
	t.Parallel()
	for words, b := range map[string][]byte{
		"can't be used":              []byte("no archive"),
		"can't be used: unpack: not": packedAs(t, tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}),
		"more than a source may":     packedAs(t, tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 40 << 20}, tar.Header{Name: "b", Typeflag: tar.TypeReg, Size: 40 << 20}),
	} {
		require.Less(t, len(b), 1<<20)
		require.ErrorContains(t, (&bench{t: t, blobs: &memory{}, dir: t.TempDir()}).ofSource(b), words)
	}
}

// ofSource runs a trial whose source is some bytes, and returns how it failed.
func (b *bench) ofSource(packed []byte) error {
	b.options = runtime.Options{Dir: b.dir}
	s := b.trial("exit 0", nil)
	blob, err := b.blobs.PutBytes(context.Background(), "odd", packed)
	require.NoError(b.t, err)
	s.Code = &blob
	_, _, err = b.run(context.Background(), s)
	var failure *runtime.Failure
	require.ErrorAs(b.t, err, &failure)
	return err
}

// A source that would write outside of its folder is refused.
func TestSourceThatLeadsOut(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../escaped", "/tmp/escaped", "a/../../escaped"} {
		var out bytes.Buffer
		zip := gzip.NewWriter(&out)
		archive := tar.NewWriter(zip)
		require.NoError(t, archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: 1}))
		_, err := archive.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, archive.Close())
		require.NoError(t, zip.Close())
		b := newBench(t)
		s := b.trial("true", nil)
		blob, err := b.blobs.PutBytes(context.Background(), "evil", out.Bytes())
		require.NoError(t, err)
		s.Code = &blob
		_, _, err = b.run(context.Background(), s)
		var failure *runtime.Failure
		require.ErrorAs(t, err, &failure)
		require.ErrorContains(t, err, "the candidate's source can't be used")
	}
}
