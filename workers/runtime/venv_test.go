package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/workers/runtime"
)

// fakePython is python3 as far as environments need it: it tells its version, makes an environment, and "installs" by writing
// down what it was told.
const fakePython = `#!/bin/sh
case "$*" in
--version) echo "Python 3.99.1" ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python3" ;;
"-m pip install"*)
	for last; do :; done
	echo "Collecting $(head -n 1 "$last")"
	env | sort > "$(dirname "$0")/../pip-env"
	echo x >> "$COUNT/installs"
	grep -q bad "$last" && { echo "ERROR: no matching distribution found for bad, ask $PIP_INDEX_URL" >&2; exit 1; }
	grep -q slow "$last" && sleep 60
	printf '#!/bin/sh\necho tool of $VIRTUAL_ENV\n' > "$(dirname "$0")/tool" && chmod +x "$(dirname "$0")/tool" ;;
*) echo "python runs $*" ;;
esac
`

// pythonBench is environments with the fake Python.
type pythonBench struct {
	dir, count string
	path       string
	options    runtime.EnvironmentsOptions
}

func newPython(t *testing.T) *pythonBench {
	b := &pythonBench{dir: filepath.Join(t.TempDir(), "venvs"), count: t.TempDir()}
	bin := t.TempDir()
	script := strings.ReplaceAll(fakePython, "$COUNT", b.count)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "python3"), []byte(script), 0o755))
	b.path = bin + ":" + os.Getenv("PATH")
	b.options = runtime.EnvironmentsOptions{Dir: b.dir, Path: b.path, Grace: 300 * time.Millisecond, Environ: func() []string {
		return []string{"PIP_INDEX_URL=https://me:hidden@example.org/simple", "HTTPS_PROXY=http://proxy:1", "API_KEY=k", "no_proxy=x"}
	}}
	return b
}

func (b *pythonBench) installs() int {
	text, _ := os.ReadFile(filepath.Join(b.count, "installs"))
	return strings.Count(string(text), "x")
}

func source(t *testing.T, requirements string) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, runtime.RequirementsFile), []byte(requirements), 0o644))
	return dir
}

func TestEnvironmentsAreMadeOnce(t *testing.T) {
	t.Parallel()
	b := newPython(t)
	dir := source(t, "pandas==2.2.3  # frames\n-i https://a:b@example.org\nnumpy==2.1.1\n")
	var mu sync.Mutex
	var said []string
	var group sync.WaitGroup
	found := make([]runtime.Environment, 6)
	for i := range found {
		group.Go(func() {
			e := runtime.NewEnvironments(b.options) // as in processes of their own
			env, err := e.For(t.Context(), dir, func(line string) {
				mu.Lock()
				defer mu.Unlock()
				said = append(said, line)
			})
			if err == nil {
				found[i] = env
			}
		})
	}
	group.Wait()
	for _, env := range found {
		require.Equal(t, found[0], env)
	}
	require.Equal(t, 1, b.installs())
	require.Len(t, found[0].Digest, 64)
	require.Equal(t, filepath.Join(b.dir, found[0].Digest[:16], "bin"), found[0].Bin)
	require.Equal(t, "3.99.1", found[0].Python)
	require.Contains(t, said, "installing packages (pandas==2.2.3, numpy==2.1.1)")
	require.Contains(t, said, "Collecting pandas==2.2.3  # frames")
	env, err := os.ReadFile(filepath.Join(found[0].Dir, "pip-env"))
	require.NoError(t, err)
	for _, words := range []string{"PIP_INDEX_URL=https://me:hidden@example.org/simple", "HTTPS_PROXY=http://proxy:1", "no_proxy=x", "PIP_CACHE_DIR="} {
		require.Contains(t, string(env), words)
	}
	require.NotContains(t, string(env), "API_KEY")

	other, err := runtime.NewEnvironments(b.options).For(t.Context(), source(t, "pandas==2.2.2\n"), nil)
	require.NoError(t, err)
	require.NotEqual(t, found[0].Dir, other.Dir)
	none, err := runtime.NewEnvironments(b.options).For(t.Context(), t.TempDir(), nil)
	require.NoError(t, err)
	require.Zero(t, none)

	// One that is not whole is made anew, as is one whose interpreter is gone.
	for _, lost := range []string{"complete", "bin/python3"} {
		require.NoError(t, os.Remove(filepath.Join(other.Dir, lost)))
		before := b.installs()
		again, err := runtime.NewEnvironments(b.options).For(t.Context(), source(t, "pandas==2.2.2\n"), nil)
		require.NoError(t, err)
		require.Equal(t, other, again)
		require.Equal(t, before+1, b.installs())
	}
}

func TestEnvironmentsThatCanNotBe(t *testing.T) {
	t.Parallel()
	b := newPython(t)
	e := runtime.NewEnvironments(b.options)
	var failure *runtime.Failure
	_, err := e.For(t.Context(), source(t, "bad==1\n"), nil)
	require.True(t, errors.As(err, &failure), err)
	require.ErrorContains(t, err, "could not be installed: pip failed; its last lines: Collecting bad==1 | ERROR: no matching distribution found for bad")
	require.NotContains(t, err.Error(), "hidden")
	entries, err := os.ReadDir(b.dir)
	require.NoError(t, err)
	for _, entry := range entries {
		require.False(t, entry.IsDir() && !strings.HasPrefix(entry.Name(), ".pip"), entry.Name())
	}

	options := b.options
	options.Path = t.TempDir()
	_, err = runtime.NewEnvironments(options).For(t.Context(), source(t, "x\n"), nil)
	require.True(t, errors.As(err, &failure))
	require.ErrorContains(t, err, "python3 is not installed on this worker")

	ctx, cancel := context.WithCancel(t.Context())
	_, err = e.For(ctx, source(t, "slow==1\n"), func(line string) {
		if strings.HasPrefix(line, "Collecting") {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, of(b.dir), "pip is left running")
}

func TestOldEnvironmentsAreRemoved(t *testing.T) {
	t.Parallel()
	b := newPython(t)
	now := time.Now()
	b.options.Clock = func() time.Time { return now }
	e := runtime.NewEnvironments(b.options)
	n, err := e.Clean()
	require.NoError(t, err)
	require.Zero(t, n)
	old, err := e.For(t.Context(), source(t, "a\n"), nil)
	require.NoError(t, err)
	now = now.Add(20 * 24 * time.Hour)
	kept, err := e.For(t.Context(), source(t, "b\n"), nil)
	require.NoError(t, err)
	now = now.Add(11 * 24 * time.Hour)
	n, err = e.Clean()
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoDirExists(t, old.Dir)
	require.DirExists(t, kept.Dir)
}

// A trial's python3 is that of its environment, whose tools come first in PATH; time spent on the packages is not the trial's.
func TestTrialWithRequirements(t *testing.T) {
	t.Parallel()
	p := newPython(t)
	b := newBench(t)
	b.options.Path, b.options.Venvs = p.path, p.dir
	s := b.trial("command -v python3; tool; "+leave, map[string][]byte{"model.bin": onnx(1, "probabilities"), "requirements.txt": []byte("pandas==2.2.3\n")})
	r, tail, err := b.run(t.Context(), s)
	require.NoError(t, err)
	log := strings.Join(tail, "\n")
	dir := filepath.Join(p.dir, r.Environment["requirements"][:16])
	require.Contains(t, log, "tidemill: installing packages (pandas==2.2.3)")
	require.Contains(t, log, filepath.Join(dir, "bin", "python3")+"\n")
	require.Contains(t, log, "tool of "+dir)
	require.Equal(t, "3.99.1", r.Environment["python"])
	phases := fmt.Sprint(b.updates)
	require.Contains(t, phases, "installing packages")
	for _, u := range b.updates {
		if strings.Contains(u.Line, "installing packages") {
			require.Equal(t, runtime.PhasePreparing, u.Phase)
		}
	}

	s = b.trial("true", map[string][]byte{"requirements.txt": []byte("bad\n")})
	_, _, err = b.run(t.Context(), s)
	var failure *runtime.Failure
	require.ErrorAs(t, err, &failure)
	require.ErrorContains(t, err, "could not be installed")
}
