package lake_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/core/lake"
)

// The machine's zone must not matter: run as if far from UTC.
func TestMain(m *testing.M) {
	if err := os.Setenv("TZ", "America/New_York"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func openEngine(t testing.TB, threads int, dirs ...string) *lake.Engine {
	t.Helper()
	e, err := lake.OpenEngine(context.Background(), lake.EngineOptions{Threads: threads, Dirs: dirs})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

func TestEngineIsLocked(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(other, "x.csv"), []byte("a\n1\n"), 0o600))
	e := openEngine(t, 2, dir)
	ctx := context.Background()
	run := func(q string) error { _, err := e.DB().ExecContext(ctx, q); return err }
	in := filepath.Join(dir, "a'b.parquet")
	require.NoError(t, run("COPY (SELECT 1 AS a) TO "+lake.Literal(in)))
	require.NoError(t, run("SELECT * FROM "+lake.ReadParquet([]string{in})))
	for _, q := range []string{
		"SELECT * FROM read_csv(" + lake.Literal(filepath.Join(other, "x.csv")) + ")",
		"SELECT * FROM read_text('/etc/passwd')",
		"SELECT * FROM glob(" + lake.Literal(other+"/*") + ")",
		"COPY (SELECT 1) TO " + lake.Literal(filepath.Join(other, "y.csv")),
		"ATTACH " + lake.Literal(filepath.Join(other, "z.db")),
		"SELECT * FROM read_csv(" + lake.Literal(filepath.Join(dir, "..", filepath.Base(other), "x.csv")) + ")",
		"SET enable_external_access = true",
		"SET TimeZone = 'Europe/Zurich'",
		"SET allowed_directories = ['/']",
		"INSTALL httpfs", "LOAD httpfs",
	} {
		require.Error(t, run(q), q)
	}
	for range 3 { // on every connection, not just the first
		conn, err := e.DB().Conn(ctx)
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
		var zone, threads, parsed string
		require.NoError(t, conn.QueryRowContext(ctx, "SELECT current_setting('TimeZone'), current_setting('threads')::VARCHAR, "+
			"(TIMESTAMPTZ '2001-01-01 00:00:00+00')::TIMESTAMP::VARCHAR").Scan(&zone, &threads, &parsed))
		require.Equal(t, "UTC", zone)
		require.Equal(t, "2", threads)
		require.Equal(t, "2001-01-01 00:00:00", parsed)
	}
}
