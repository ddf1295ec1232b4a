package serving_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/rollout"
	"github.com/tidemill/tidemill/services/internal/hosttest"
)

// rebuilt is a package's model under another manifest.
func rebuilt(t testing.TB, m model.Manifest, from model.Package) model.Package {
	t.Helper()
	pkg, err := model.Build(m, from.Files, hosttest.Keys(t))
	require.NoError(t, err)
	return pkg
}

// TestNoRequestFailsWhileVersionsChange swaps under load; each answer must be the one of the version that it names.
func TestNoRequestFailsWhileVersionsChange(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "1", 0.1))
	bodies := make([][]byte, 2)
	for i, inputs := range [][]tensor{featureTensors(), columnTensors()} {
		var err error
		bodies[i], err = json.Marshal(map[string]any{"inputs": inputs})
		require.NoError(t, err)
	}
	stop := make(chan struct{})
	var asked atomic.Int64
	var slowest atomic.Int64
	var seen sync.Map
	var group sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	for i := range 6 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				began := time.Now()
				version, err := check(client, p.url, bodies[i%2])
				if err != nil {
					t.Error(err)
					return
				}
				slowest.Store(max(slowest.Load(), int64(time.Since(began))))
				seen.Store(version, true)
				asked.Add(1)
			}
		})
	}
	for v := 2; v <= 12; v++ {
		p.promote(binary(t, "late", fmt.Sprint(v), float32(v)/10))
		at := asked.Load()
		hosttest.Await(t, "requests go on", func() bool { return asked.Load() > at+20 || t.Failed() })
	}
	p.decide("late", rollout.RollbackAsked{To: "3"})
	p.serves("late", "3")
	close(stop)
	group.Wait()
	for v := 1; v <= 12; v++ {
		_, ok := seen.Load(fmt.Sprint(v))
		require.True(t, ok, "version %d answered nothing", v)
	}
	t.Logf("%d requests, the slowest took %s", asked.Load(), time.Duration(slowest.Load()))
	hosttest.Await(t, "old versions are closed", func() bool { return p.metric("tidemill_serving_loaded_versions") == 1 })
	require.Equal(t, float64(asked.Load()), p.metric("tidemill_serving_request_seconds", "status", "200"))
}

func check(client *http.Client, url string, body []byte) (version string, err error) {
	resp, err := client.Post(url+"/v2/models/late/infer", "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var a struct {
		Version string `json:"model_version"`
		Outputs []struct{ Data []any }
	}
	if err := json.Unmarshal(b, &a); err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s %w", resp.Status, b, err)
	}
	var n float64
	if _, err := fmt.Sscan(a.Version, &n); err != nil {
		return "", err
	}
	for i, p := range want(n / 10) {
		if got := a.Outputs[0].Data[2*i+1].(float64); got < p-1e-5 || got > p+1e-5 {
			return "", fmt.Errorf("version %s answers %v for row %d, expected %v", a.Version, got, i, p)
		}
	}
	return a.Version, nil
}

func TestEarlierVersionsAnswerOnDemand(t *testing.T) {
	t.Parallel()
	p := open(t)
	for v := 1; v <= 8; v++ {
		p.promote(binary(t, "late", fmt.Sprint(v), float32(v)/10))
	}
	var group sync.WaitGroup
	for v := 1; v <= 8; v++ {
		for range 2 {
			group.Go(func() {
				status, a := p.infer(fmt.Sprintf("late/versions/%d", v), map[string]any{"inputs": columnTensors()})
				if status != http.StatusOK || a.Version != fmt.Sprint(v) {
					t.Errorf("%d: %+v", status, a)
					return
				}
				if got := a.numbers(t, "probabilities")[1]; got < want(float64(v) / 10)[0]-1e-5 || got > want(float64(v) / 10)[0]+1e-5 {
					t.Errorf("version %d answers %v", v, got)
				}
			})
		}
	}
	group.Wait()
	hosttest.Await(t, "a few are kept", func() bool { return p.metric("tidemill_serving_loaded_versions") == 5 })
	var ready struct{ Ready bool }
	require.Equal(t, http.StatusOK, p.get("/v2/models/late/versions/2/ready", &ready))
	require.True(t, ready.Ready)
	var m metadata
	require.Equal(t, http.StatusOK, p.get("/v2/models/late/versions/2", &m))
	require.Equal(t, "2", m.Parameters.Version)
	require.Equal(t, "8", m.Parameters.Champion)
	require.Len(t, m.Versions, 8)
}

func TestAVersionThatCannotBeLoadedLeavesThePreviousOne(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "1", 1))
	pkg := binary(t, "late", "2", 2)
	ref := p.store(pkg)
	broken := append([]byte(nil), pkg.Files[model.ModelFile]...)
	broken[len(broken)/2] ^= 1
	_, err := p.Blobs.PutBytes(t.Context(), ref.URI+"/"+model.ModelFile, broken)
	require.NoError(t, err)
	p.deploy(ref)
	var m metadata
	hosttest.Await(t, "the metadata tell", func() bool { return p.get("/v2/models/late", &m) == http.StatusOK && m.Parameters.Error != "" })
	require.Equal(t, "1", m.Parameters.Version)
	require.Equal(t, "2", m.Parameters.Champion)
	require.Contains(t, m.Parameters.Error, "corrupt")
	require.Positive(t, p.metric("tidemill_serving_load_failures_total", "model", "late"))
	require.NotZero(t, p.logs.FilterMessageSnippet("can't be loaded").Len())
	_, a := p.infer("late", map[string]any{"inputs": featureTensors()})
	require.Equal(t, "1", a.Version)
	_, err = p.Blobs.PutBytes(t.Context(), ref.URI+"/"+model.ModelFile, pkg.Files[model.ModelFile])
	require.NoError(t, err)
	p.serves("late", "2") // it is tried again
	p.get("/v2/models/late", &m)
}

// TestTamperedPackagesAreRefused changes one byte on disk, of each file of a package in turn.
func TestTamperedPackagesAreRefused(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "1", 1))
	for i, file := range []string{model.ModelFile, model.ManifestFile, model.SignatureFile} {
		name := fmt.Sprint(i + 2)
		pkg := binary(t, "late", name, 2)
		ref := p.store(pkg)
		path := filepath.Join(p.Blobs.Dir(), filepath.FromSlash(ref.URI), file)
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		broken := bytes.Clone(whole)
		broken[len(broken)-3] ^= 1
		require.NoError(t, os.WriteFile(path, broken, 0o600))
		p.deploy(ref)
		var m metadata
		hosttest.Await(t, "the metadata tell of "+file, func() bool {
			return p.get("/v2/models/late", &m) == http.StatusOK && m.Parameters.Champion == name && m.Parameters.Error != ""
		})
		require.Contains(t, m.Parameters.Error, file)
		require.Equal(t, "1", m.Parameters.Version)
		status, a := p.infer("late", map[string]any{"inputs": featureTensors()})
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "1", a.Version, "the version before serves on")
	}
	require.NotZero(t, p.logs.FilterMessageSnippet("can't be loaded").Len())

	// A package that nobody of ours signed.
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	stranger, err := model.NewKeyring(key)
	require.NoError(t, err)
	pkg, err := model.Build(manifest("late", "9"), binary(t, "late", "9", 1).Files, stranger)
	require.NoError(t, err)
	p.deploy(p.store(pkg))
	var m metadata
	hosttest.Await(t, "the metadata tell of the key", func() bool {
		return p.get("/v2/models/late", &m) == http.StatusOK && m.Parameters.Champion == "9" && m.Parameters.Error != ""
	})
	require.Contains(t, m.Parameters.Error, "--trusted-key")
	require.Equal(t, "1", m.Parameters.Version)
}

func TestTheFirstVersionCannotBeLoaded(t *testing.T) {
	t.Parallel()
	p := world(t)
	p.Apply(t, flightsYAML)
	p.deploy(binary(t, "late", "1", 1).Ref()) // never stored
	p.serve()
	var ready struct {
		Ready bool
		Error string
	}
	require.Equal(t, http.StatusOK, p.get("/v2/health/ready", &ready), "one model doesn't take the others out of service")
	require.Equal(t, http.StatusServiceUnavailable, p.get("/v2/models/late/ready", &ready))
	require.False(t, ready.Ready)
	status, a := p.infer("late", map[string]any{"inputs": featureTensors()})
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, a.Error, "no such object")
}

func TestDeletedModelsAreUnloaded(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "1", 1))
	p.promote(binary(t, "other", "1", 1))
	p.decide("late", rollout.Deleted{})
	var e struct{ Error string }
	hosttest.Await(t, "it is gone", func() bool { return p.get("/v2/models/late", &e) == http.StatusNotFound })
	require.Contains(t, e.Error, "other")
	hosttest.Await(t, "it is closed", func() bool { return p.metric("tidemill_serving_loaded_versions") == 1 })
	status, _ := p.infer("other", map[string]any{"inputs": featureTensors()})
	require.Equal(t, http.StatusOK, status)
	p.promote(binary(t, "late", "2", 1))
	status, _ = p.infer("late/versions/1", map[string]any{"inputs": featureTensors()})
	require.Equal(t, http.StatusNotFound, status, "its past is gone with it")
}

func TestReadyWithWhatThereIs(t *testing.T) {
	t.Parallel()
	p := world(t)
	p.Apply(t, flightsYAML)
	for _, name := range []string{"a", "b", "c"} {
		p.deploy(p.store(binary(t, name, "1", 1)))
	}
	p.serve()
	for _, name := range []string{"a", "b", "c"} {
		status, a := p.infer(name, map[string]any{"inputs": columnTensors()})
		require.Equal(t, http.StatusOK, status, a.Error)
	}
	var server struct {
		Name, Version string
		Extensions    []string
		Live, Ready   bool
	}
	require.Equal(t, http.StatusOK, p.get("/v2", &server))
	require.Equal(t, http.StatusOK, p.get("/v2/health/live", &server))
	require.Equal(t, http.StatusOK, p.get("/v2/health/ready", &server))
	require.Equal(t, "tidemill 1.2.3 true true", fmt.Sprint(server.Name, " ", server.Version, " ", server.Live, " ", server.Ready))
	var m metadata
	require.Equal(t, http.StatusOK, p.get("/v2/models/a", &m))
	require.Equal(t, []tensor{{Name: "far", Datatype: "FP32", Shape: []int{-1, 1}}, {Name: "hour", Datatype: "FP32", Shape: []int{-1, 1}},
		{Name: "size", Datatype: "FP32", Shape: []int{-1, 1}}, {Name: "origin", Datatype: "BYTES", Shape: []int{-1, 1}}}, m.Inputs)
	require.Len(t, m.Parameters.Columns, 5, "delay is not needed")
	p.stop()
	require.Equal(t, http.StatusServiceUnavailable, p.get("/v2/health/ready", &server))
	status, _ := p.infer("a", map[string]any{"inputs": columnTensors()})
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Zero(t, p.metric("tidemill_serving_loaded_versions"))
	var e struct{ Error string }
	require.Equal(t, http.StatusNotFound, p.get("/v2/nothing", &e))
	require.Contains(t, e.Error, "Open Inference Protocol")
	require.Equal(t, http.StatusMethodNotAllowed, p.get("/v2/models/a/infer", &e))
}

func TestColumnsFollowTheDataset(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(numeric(t, "sum", "1"))
	request := one("distance", "FP64", "[1]", "[5]")
	status, _ := p.infer("sum", strings.Replace(request, `{"inputs"`, `{"parameters":{"input":"columns"},"inputs"`, 1))
	require.Equal(t, http.StatusUnprocessableEntity, status, "seats are null, the model can't")
	p.Apply(t, strings.Replace(flightsYAML, "    - {name: seats, type: int64}\n", "", 1))
	var m metadata
	hosttest.Await(t, "the dataset lacks what the model needs", func() bool { return p.get("/v2/models/sum", &m) == http.StatusOK && m.Parameters.NoRows != "" })
	require.Contains(t, m.Parameters.NoRows, "seats")
	status, a := p.infer("sum", one("date", "BYTES", "[1]", `["2001-01-01"]`))
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, a.Error, "seats")
	status, _ = p.infer("sum", one("features", "FP32", "[1,2]", "[1,2]"))
	require.Equal(t, http.StatusOK, status, "features are served all the same")
	p.Apply(t, flightsYAML)
	hosttest.Await(t, "it is back", func() bool {
		status, _ := p.infer("sum", `{"parameters":{"input":"columns"},"inputs":[{"name":"distance","datatype":"FP64","shape":[1],"data":[1]},{"name":"seats","datatype":"INT64","shape":[1],"data":[2]}]}`)
		return status == http.StatusOK
	})
	hosttest.Await(t, "the versions before are closed", func() bool { return p.metric("tidemill_serving_loaded_versions") == 1 })
}
