package bench

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/services/demo"
)

// BenchmarkDemo plays half a year of flights with gradient boosting, trained again on all rows: its figure is how well, not how fast.
func BenchmarkDemo(b *testing.B) {
	if _, err := exec.LookPath("python3"); err != nil {
		b.Skip("LightGBM needs python3")
	}
	root, err := filepath.Abs("../..")
	require.NoError(b, err)
	install := exec.Command(filepath.Join(root, "infra", "dev", "python-venv.sh"), filepath.Join(root, "examples", "lightgbm"))
	install.Stderr = b.Output()
	venv, err := install.Output()
	require.NoError(b, err)
	home := b.TempDir()
	env := append(harness.Env(home), "TIDEMILL_VENVS="+filepath.Dir(strings.TrimSpace(string(venv))))
	for b.Loop() {
		r := harness.Run(b, home, env, "up", "--demo", "--once", "--with", filepath.Join(root, "examples", "lightgbm", "tidemill.yaml"))
		require.Zero(b, r.Code, "%s\n%s", r.Stdout, r.Stderr)
		lines := strings.Split(strings.TrimSpace(r.Stdout), "\n")
		var s demo.Summary
		require.NoError(b, json.Unmarshal([]byte(lines[len(lines)-1]), &s))
		note(b, figure{Name: "demo: mean weekly AUC of LightGBM with refit", Value: s.Continuous.AUC, Unit: "auc", Aim: "≥ 0.655"})
	}
}
