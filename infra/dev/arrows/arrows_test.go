package arrows_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/infra/dev/arrows"
)

// TestRepository holds the rules against the code as it is.
func TestRepository(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	packages, err := arrows.Load(t.Context(), root, arrows.Patterns...)
	require.NoError(t, err)

	var ours int
	for _, p := range packages {
		if strings.HasPrefix(p.Path, arrows.Module) {
			ours++
		}
	}
	require.Greater(t, ours, 10, "go list did not see the repository")
	for _, v := range arrows.Check(packages) {
		t.Error(v)
	}
}

// TestRules holds the rules against imports that nobody wrote, good and bad.
func TestRules(t *testing.T) {
	t.Parallel()
	const duckdb, onnx = "github.com/duckdb/duckdb-go/v2", "github.com/yalue/onnxruntime_go"
	tests := []struct {
		from, to string
		refused  string // part of the reason; "" when the import is fine
	}{
		{"events", "schemas", ""},
		{"schemas", "events", "schemas may not import events"},
		{"core/policy", "events", ""},
		{"core/policy", "infra/bus", "core may not import infra"},
		{"infra/bus", "core/policy", "infra may not import core"},
		{"infra/bus", "infra/lifecycle", ""},
		{"workers/trainer", "core/lake", ""},
		{"workers/trainer", "services/training", "workers may not import services"},
		{"services/training", "workers/runtime", ""},
		{"services/training", "services/retraining", "never import each other"},
		{"services/training", "services/training/store", ""},
		{"services/training", "services/internal/ledger", ""},
		{"services/training", "services/api", ""},
		{"services/internal/ledger", "services/training", "may not know one"},
		{"services/api", "services/gateway", "may not know one"},
		{"services/platform", "services/training", ""},
		{"services/platform", "services/cmd/tidemill", "never import each other"},
		{"services/cmd/tidemill", "services/platform", ""},
		{"services/cmd/tidemill", "services/cli", ""},
		{"services/cli", "services/gateway", "never import each other"},
		{"services/gateway", "dashboard", ""},
		{"core/policy", "dashboard", "core may not import dashboard"},
		{"e2e", "services/platform", ""},
		{"services/platform", "e2e", "services may not import e2e"},
		{"core/lake", "infra/dev/arrows", "core may not import dev"},
		{"infra/lifecycle", "infra/dev/arrows", "infra may not import dev"},
		{"examples/publish", "events/client", ""},
		{"examples/publish", "services/cli", "examples may not import services"},
		{"util", "events", "no room is called util"},
		{"core/lake", duckdb, ""},
		{"core/lake/sql", duckdb, ""},
		{"core/lakes", duckdb, "only core/lake"},
		{"services/ingestion", duckdb, "only core/lake"},
		{"infra/dev/flights", duckdb, ""},
		{"core/model", onnx, ""},
		{"workers/trainer", onnx, "only core/model"},
		{"core/policy", "github.com/nats-io/nats.go/jetstream", "may not talk to brokers"},
		{"core/policy", "net/http", "may not talk to brokers or over HTTP"},
		{"core/policy", "net/url", ""},
		{"infra/bus", "github.com/nats-io/nats.go", ""},
		{"infra/jobs", "github.com/ThreeDotsLabs/watermill/message", ""},
		{"services/training", "github.com/ThreeDotsLabs/watermill/message", "only infra"},
		{"services/demo", "examples", ""},
		{"events", "net/http", "may not talk"},
		{"events/client", "net/http", ""},
		{"events/client", "github.com/nats-io/nats-server/v2/server", "only infra/natsserver"},
	}
	for _, tc := range tests {
		t.Run(tc.from+" to "+tc.to, func(t *testing.T) {
			t.Parallel()
			found := arrows.Check([]arrows.Package{{Path: path(tc.from), Imports: []string{path(tc.to)}}})
			if tc.refused == "" {
				require.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			require.Contains(t, found[0].String(), tc.refused)
		})
	}
}

// TestTestsObeyOurRooms: test files may use outside engines, but no more of our own rooms than the code may.
func TestTestsObeyOurRooms(t *testing.T) {
	t.Parallel()
	core := arrows.Package{Path: path("core/policy"), Tests: []string{"net/http"}}
	require.Empty(t, arrows.Check([]arrows.Package{core}))
	core.Tests = append(core.Tests, path("infra/state"))
	found := arrows.Check([]arrows.Package{core})
	require.Len(t, found, 1)
	require.Contains(t, found[0].String(), "core may not import infra")
}

// TestLight: cgo anywhere below events is found, however far down.
func TestLight(t *testing.T) {
	t.Parallel()
	graph := []arrows.Package{
		{Path: path("events"), Imports: []string{"example.com/a"}},
		{Path: path("core/lake"), Imports: []string{"example.com/b"}},
		{Path: "example.com/a", Imports: []string{"example.com/b", "example.com/a"}},
		{Path: "example.com/b"},
	}
	require.Empty(t, arrows.Check(graph))
	graph[3].Cgo = true
	found := arrows.Check(graph)
	require.Len(t, found, 1, "core may have cgo, events may not")
	require.Contains(t, found[0].String(), "events imports example.com/b: it needs cgo")
}

// path puts a path of ours below the module; a path with a dot in its first element, or of the standard library, stays.
func path(p string) string {
	first, _, _ := strings.Cut(p, "/")
	if strings.Contains(first, ".") || first == "net" {
		return p
	}
	return arrows.Module + "/" + p
}
