package runtime_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
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
