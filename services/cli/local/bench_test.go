package local_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/cli/local"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// counted is a writer that several may use.
type counted struct{ n atomic.Int64 }

func (c *counted) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}

func segment(ordinal uint64, content string) events.Segment {
	sum := events.SHA256([]byte(content))
	return events.Segment{Dataset: "flights", Ordinal: ordinal, Parquet: events.Blob{Key: "segments/" + sum + ".parquet", SHA256: sum, Bytes: int64(len(content))}}
}

// bench is a place for trials over a platform that has some blobs; cache is where it keeps them.
func bench(t *testing.T, cache string, blobs map[string]string) *local.Bench {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, ok := blobs[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(content))
	}))
	t.Cleanup(server.Close)
	library, err := model.FindLibrary(os.Getenv, "")
	require.NoError(t, err)
	b, err := local.Open(t.Context(), call.New(server.URL, ""), "", func(name string) string {
		return map[string]string{"TIDEMILL_CACHE": cache, model.LibraryVar: library, "PATH": os.Getenv("PATH")}[name]
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func path(s events.Segment) string { return "/api/v1/blobs/" + s.Parquet.Key }

func TestSegmentsAreFetchedOnce(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	one, two := segment(1, "rows"), segment(2, "more rows")
	var got counted
	require.NoError(t, bench(t, cache, map[string]string{path(one): "rows", path(two): "more rows"}).Fetch(t.Context(), []events.Segment{one, two}, &got))
	require.EqualValues(t, len("rows")+len("more rows"), got.n.Load())
	require.NoError(t, bench(t, cache, nil).Fetch(t.Context(), []events.Segment{one, two}, &got), "the platform isn't asked again")
	require.EqualValues(t, len("rows")+len("more rows"), got.n.Load())

	old := time.Now().Add(-15 * 24 * time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(cache, "segments", filepath.FromSlash(one.Parquet.Key)), old, old))
	var missing *local.Missing
	require.ErrorAs(t, bench(t, cache, nil).Fetch(t.Context(), []events.Segment{two, one}, &got), &missing)
	require.Equal(t, []uint64{1}, missing.Ordinals, "what nobody used for two weeks is gone")
}

func TestWhatArrivesIsWhatWasNamed(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	one, gone, alsoGone := segment(1, "rows"), segment(7, "x"), segment(3, "y")
	b := bench(t, cache, map[string]string{path(one): "r0ws"})
	err := b.Fetch(t.Context(), []events.Segment{one}, &bytes.Buffer{})
	require.ErrorContains(t, err, "segment 1 of flights")
	require.ErrorContains(t, err, "try again")
	require.NoFileExists(t, filepath.Join(cache, "segments", filepath.FromSlash(one.Parquet.Key)))
	var missing *local.Missing
	require.True(t, errors.As(b.Fetch(t.Context(), []events.Segment{gone, alsoGone}, &bytes.Buffer{}), &missing))
	require.EqualError(t, missing, "segments 3 7 of flights are no longer stored")
}
