package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/e2e/harness"
	"github.com/tidemill/tidemill/events"
)

var crashConst = regexp.MustCompile(`(?m)^\s*(?:const\s+)?Crash[A-Z]\w*\s*=\s*"([a-z.]+)"`)

// TestCrashPointsAreComplete keeps the list of crash points in step with the code: a new one must be killed at, too.
func TestCrashPointsAreComplete(t *testing.T) {
	t.Parallel()
	var inCode []string
	for _, room := range []string{"services", "workers"} {
		err := filepath.WalkDir(filepath.Join(harness.Root(), room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			for _, found := range crashConst.FindAllSubmatch(b, -1) {
				inCode = append(inCode, string(found[1]))
			}
			return err
		})
		require.NoError(t, err)
	}
	require.NotEmpty(t, inCode)
	for _, bucket := range events.Buckets() {
		if bucket == events.BucketLeases || bucket == events.BucketTrials || bucket == events.BucketWorkers {
			continue // no decisions with an outbox are made there
		}
		inCode = append(inCode, "state."+bucket+".decided", "state."+bucket+".said")
	}
	var listed []string
	for _, point := range crashPoints {
		name, _, _ := strings.Cut(point, ":")
		listed = append(listed, name)
	}
	slices.Sort(inCode)
	slices.Sort(listed)
	require.Equal(t, slices.Compact(inCode), slices.Compact(listed))
}
