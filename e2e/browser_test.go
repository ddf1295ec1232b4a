package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/e2e/harness"
)

var loginLink = regexp.MustCompile(`http://\S+/login\?code=\S+`)

// TestFirstRunToFirstModelInABrowser looks at the dashboard in a real Chromium, from a fresh platform to its first model and the
// retrain button. It never skips: what it needs is named in its failure.
func TestFirstRunToFirstModelInABrowser(t *testing.T) {
	t.Parallel()
	script := filepath.Join(harness.Root(), "dashboard", "e2e", "first-model.mjs")
	node, err := exec.LookPath("node")
	require.NoError(t, err, "the browser story needs Node.js 20 or newer")
	_, err = os.Stat(filepath.Join(harness.Root(), "dashboard", "node_modules", "playwright-core"))
	require.NoError(t, err, "the browser story needs the npm packages: run 'infra/dev/setup.sh npm chromium', or 'make e2e'")

	m := harness.Up(t, harness.Dir(t), nil)
	var link string
	harness.Until(t, 10*time.Second, "'up' prints the login link", func() bool { link = loginLink.FindString(m.Log()); return link != "" })
	m.Apply(harness.Declared{NewRows: 100_000}.YAML())
	rows := filepath.Join(m.Home, "rows.ndjson")
	require.NoError(t, os.WriteFile(rows, []byte(harness.VisitsNDJSON(0, 3000, true)), 0o600))
	m.Must("publish", "visits", rows)

	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, script)
	artifacts := filepath.Join(harness.Root(), "e2e", "artifacts")
	cmd.Env = append(os.Environ(), "TIDEMILL_LOGIN="+link, "TIDEMILL_MODEL=buyers", "TIDEMILL_ARTIFACTS="+artifacts)
	cmd.Dir = filepath.Join(harness.Root(), "dashboard")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "the browser story failed (a missing browser: infra/dev/setup.sh chromium; screenshots: e2e/artifacts)\n%s", out)
	t.Logf("%s", out)
	require.NoError(t, os.RemoveAll(artifacts))
}
