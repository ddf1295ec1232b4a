package gateway_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/workers/runtime"
)

// put stores content under a digest.
func (p *place) put(path string, b []byte) (events.Blob, error) {
	resp, err := p.api.Do(p.t.Context(), http.MethodPut, path, nil, &call.Body{Type: "application/octet-stream", Reader: bytes.NewReader(b), Length: int64(len(b))}, "")
	if err != nil {
		return events.Blob{}, err
	}
	defer resp.Body.Close()
	var out events.Blob
	return out, json.NewDecoder(resp.Body).Decode(&out)
}

// bytes reads a whole answer.
func (p *place) bytes(path string) ([]byte, error) {
	resp, err := p.api.Do(p.t.Context(), http.MethodGet, path, nil, nil, "")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// packed is a source folder with one script.
func packed(t *testing.T, script string) []byte {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "train.py"), []byte(script), 0o600))
	b, err := runtime.PackSource(dir)
	require.NoError(t, err)
	return b
}

// unsafe is an archive that would write outside of its folder.
func unsafe(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	out := tar.NewWriter(zip)
	require.NoError(t, out.WriteHeader(&tar.Header{Name: "../train.py", Mode: 0o644, Size: 1}))
	_, err := out.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, errors.Join(out.Close(), zip.Close()))
	return b.Bytes()
}

func TestCodeIsStoredByItsDigest(t *testing.T) {
	t.Parallel()
	p := open(t)
	b := packed(t, "print(1)")
	sum := events.SHA256(b)
	require.Equal(t, http.StatusNotFound, status(t, http.MethodHead, p.url+"/api/v1/code/"+sum, token))
	for range 2 { // again changes nothing
		stored, err := p.put("/api/v1/code/"+sum, b)
		require.NoError(t, err)
		require.Equal(t, events.Blob{Key: "code/" + sum + ".tar.gz", SHA256: sum, Bytes: int64(len(b))}, stored)
	}
	require.Equal(t, http.StatusOK, status(t, http.MethodHead, p.url+"/api/v1/code/"+sum, token))
	got, err := p.bytes("/api/v1/blobs/code/" + sum + ".tar.gz")
	require.NoError(t, err)
	require.Equal(t, b, got)

	_, err = p.put("/api/v1/code/"+sum, []byte("other"))
	refused(t, err, http.StatusUnprocessableEntity, "not "+sum)
	_, err = p.put("/api/v1/code/nonsense", b)
	refused(t, err, http.StatusUnprocessableEntity, "no SHA-256")
	for _, useless := range [][]byte{nil, []byte("no archive"), unsafe(t)} {
		_, err = p.put("/api/v1/code/"+events.SHA256(useless), useless)
		refused(t, err, http.StatusUnprocessableEntity, "can't be used")
	}
	_, err = p.put("/api/v1/code/"+sum, make([]byte, runtime.MaxSource+1))
	refused(t, err, http.StatusRequestEntityTooLarge, "64 MiB")
	require.Equal(t, http.StatusUnauthorized, status(t, http.MethodHead, p.url+"/api/v1/code/"+sum, ""))
	left, err := os.ReadDir(p.Blobs.Scratch())
	require.NoError(t, err)
	require.Empty(t, left, "what was refused leaves nothing")
}

// TestOnlyWhatFactsNameIsSent: files that people sent, and whatever else is there, stay inside.
func TestOnlyWhatFactsNameIsSent(t *testing.T) {
	t.Parallel()
	p := open(t)
	for _, key := range []string{"files/x.csv", "quarantine/x.parquet", "code/../files/x.csv", "code/..%2ffiles%2fx.csv", ".tmp/x", "code", "code/missing.tar.gz"} {
		_, err := p.Blobs.PutBytes(t.Context(), "files/x.csv", []byte("secret"))
		require.NoError(t, err)
		_, err = p.bytes("/api/v1/blobs/" + key)
		var problem *call.Error
		require.ErrorAs(t, err, &problem, key)
		require.Equal(t, http.StatusNotFound, problem.Status, key)
	}
}

// withTrainer adds a process candidate to the declarations.
func withTrainer(fields string) string {
	return strings.Replace(declarations, "{name: logistic, trainer: builtin/linear}",
		"{name: own, trainer: process, command: [python3, train.py], "+fields+"}", 1)
}

func TestCodeIsPinnedAtApply(t *testing.T) {
	t.Parallel()
	p := open(t)
	folder := filepath.Join(t.TempDir(), "trainer")
	require.NoError(t, os.Mkdir(folder, 0o755))
	script := filepath.Join(folder, "train.py")
	require.NoError(t, os.WriteFile(script, []byte("print(1)"), 0o600))
	yaml := withTrainer("source: " + folder)

	dry, err := p.tryApply(yaml, map[string][]string{"dryRun": {"true"}})
	require.NoError(t, err)
	require.Equal(t, "created", dry[1].Action)
	codes, err := p.Blobs.List(t.Context(), "code/")
	require.NoError(t, err)
	require.Empty(t, codes, "a dry run stores nothing")

	p.apply(yaml)
	first := p.pinned()
	stored, err := p.Blobs.Exists(t.Context(), first.Key)
	require.NoError(t, err)
	require.True(t, stored)
	require.Equal(t, "unchanged", p.apply(yaml)[1].Action)

	require.NoError(t, os.WriteFile(script, []byte("print(2)"), 0o600))
	changed := p.apply(yaml)[1]
	require.Equal(t, "configured", changed.Action)
	require.Equal(t, "spec.candidates[own].code.key", changed.Changes[0].Path)
	require.NotEqual(t, first.SHA256, p.pinned().SHA256)
}

// pinned is the code of the first candidate as it is declared now.
func (p *place) pinned() events.Blob {
	p.t.Helper()
	r, err := resource.FromJSON(get[api.Resource](p, "/api/v1/resources/models/flight-delay", nil).Document)
	require.NoError(p.t, err)
	require.NotNil(p.t, r.Model.Candidates[0].Code)
	return *r.Model.Candidates[0].Code
}

func TestCodeThatIsNotStoredIsRefused(t *testing.T) {
	t.Parallel()
	p := open(t)
	b := packed(t, "print(1)")
	sum := events.SHA256(b)
	pinned := func(key, sum string) string {
		return withTrainer(fmt.Sprintf("source: ./gone, code: {key: code/%s.tar.gz, sha256: %s, bytes: %d}", key, sum, len(b)))
	}
	_, err := p.tryApply(pinned(sum, sum), map[string][]string{"file": {"f.yaml"}})
	e := refused(t, err, http.StatusUnprocessableEntity, "is not stored")
	require.Contains(t, e.Errors[0].Location, "f.yaml:21:")
	_, err = p.tryApply(pinned(strings.Repeat("b", 64), sum), nil)
	refused(t, err, http.StatusUnprocessableEntity, "don't belong together")
	require.Empty(t, get[api.List[api.Resource]](p, "/api/v1/resources/models", nil).Items)

	_, err = p.put("/api/v1/code/"+sum, b)
	require.NoError(t, err)
	p.apply(pinned(sum, sum))
	require.Equal(t, sum, p.pinned().SHA256)
}

// TestImportIsAsked says retrain.asked with the model, once that is stored.
func TestImportIsAsked(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.apply(declarations)
	b := []byte("\x3a\x00\x42\x02\x10\x0d") // a graph and an operator set
	sum := events.SHA256(b)
	brought := events.Import{ONNX: events.Blob{Key: "imports/" + sum + ".onnx", SHA256: sum, Bytes: int64(len(b))}, Name: "m.onnx"}
	const path = "/api/v1/models/flight-delay/retrain"
	_, err := call.Post[api.Asked](t.Context(), p.api, path, nil, api.Retrain{Import: &brought})
	refused(t, err, http.StatusUnprocessableEntity, "is not stored")
	elsewhere := brought
	elsewhere.ONNX.Key = "signing.key"
	_, err = call.Post[api.Asked](t.Context(), p.api, path, nil, api.Retrain{Import: &elsewhere})
	refused(t, err, http.StatusUnprocessableEntity, "does not name a stored model")
	require.Empty(t, p.Said(t, events.RetrainAskedType, "flight-delay"))

	_, err = p.put("/api/v1/imports/"+events.SHA256([]byte("rows")), []byte("rows"))
	refused(t, err, http.StatusUnprocessableEntity, "not an ONNX model")
	_, err = p.put("/api/v1/imports/"+sum, b)
	require.NoError(t, err)
	_, err = call.Post[api.Asked](t.Context(), p.api, path, nil, api.Retrain{Import: &brought})
	require.NoError(t, err)
	said, err := events.PayloadOf[events.RetrainAsked](p.Said(t, events.RetrainAskedType, "flight-delay")[0])
	require.NoError(t, err)
	require.Equal(t, &brought, said.Import)
}
