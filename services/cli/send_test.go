package cli_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/services/api"
)

const (
	filesPath = "POST /api/v1/datasets/flights/files"
	batchPath = "GET /api/v1/datasets/flights/batches/b1"
)

// ingesting is a fake that needs three looks for a batch.
func ingesting(t *testing.T, end api.Batch) *fake {
	f := newFake(t)
	f.say(filesPath, api.Published{Dataset: "flights", Rows: 300_000, Batch: "b1", Sequence: 7})
	var looks atomic.Int64
	f.on(batchPath, func(w http.ResponseWriter, _ *http.Request) {
		switch looks.Add(1) {
		case 1:
			problem(w, api.Problem{Status: 404, Detail: "this gateway has not heard of it"})
		case 2:
			reply(w, api.Batch{Batch: "b1", Rows: 300_000, Accepted: 100_000})
		default:
			reply(w, end)
		}
	})
	return f
}

func TestPublishAccountsForEveryRow(t *testing.T) {
	t.Parallel()
	f := ingesting(t, api.Batch{Batch: "b1", Rows: 300_000, Accepted: 299_871, Quarantined: 129, Reasons: map[string]int64{"belowMin": 100, "future": 29}, Done: true})
	file := write(t, t.TempDir(), "week 1.csv", "a\n1\n")
	r := run(t, f, "publish", "flights", file, "--id", "again-1")
	require.Equal(t, result{0, "sent 300,000  accepted 299,871  quarantined 129 (belowMin 100, future 29)\nsee: tidemill quarantine list flights\n", ""}, r)
	asked := f.asks(filesPath)[0]
	require.Equal(t, request{filesPath, "id=again-1&name=week+1.csv", "text/csv", "application/json", "a\n1\n"}, asked)
	require.Len(t, f.asks(batchPath), 3)

	r = run(t, f, "publish", "flights", file, "-o", "json", "--again")
	require.Contains(t, r.out, `"accepted": 299871`)
	require.Contains(t, f.asks(filesPath)[1].query, "again=true")
}

func TestPublishFailsWhenTheFileWasRefused(t *testing.T) {
	t.Parallel()
	f := ingesting(t, api.Batch{Batch: "b1", Rows: 300_000, Quarantined: 300_000, Reasons: map[string]int64{"unreadable": 300_000}, Error: "the file is cut off"})
	file := write(t, t.TempDir(), "cut.parquet", "PAR1")
	r := run(t, f, "publish", "flights", file)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.out, "quarantined 300,000 (unreadable 300,000)")
	require.Equal(t, "error: "+file+" was refused: the file is cut off\n  mend the file and publish it again\n", r.err)

	f.refuse(filesPath, api.Problem{Status: 422, Detail: "cut.parquet is no Parquet file", Hint: "nothing was stored"})
	r = run(t, f, "publish", "flights", file)
	require.Equal(t, result{1, "", "error: cut.parquet is no Parquet file\n  nothing was stored\n"}, r)
}

func TestPublishFromStandardInput(t *testing.T) {
	t.Parallel()
	f := ingesting(t, api.Batch{})
	r := runWith(t, f, "{\"a\":1}\n", "publish", "flights", "-", "--no-wait")
	require.Equal(t, result{0, "sent 300,000 rows as batch b1\nsee: tidemill get batch b1 --dataset flights\n", ""}, r)
	r = runWith(t, f, "a\n1\n", "publish", "flights", "-", "--no-wait", "--format", "csv")
	require.Zero(t, r.code, r.err)
	asks := f.asks(filesPath)
	require.Equal(t, request{filesPath, "name=stdin.ndjson", "application/x-ndjson", "application/json", "{\"a\":1}\n"}, asks[0])
	require.Equal(t, request{filesPath, "name=stdin.csv", "text/csv", "application/json", "a\n1\n"}, asks[1])
	require.Empty(t, f.asks(batchPath))
}

func TestProgressIsForPeople(t *testing.T) {
	t.Parallel()
	done := api.Batch{Batch: "b1", Rows: 300_000, Accepted: 300_000, Done: true}
	file := write(t, t.TempDir(), "rows.ndjson", strings.Repeat("{}\n", 1000))
	person := newTerminal(true)
	require.Zero(t, person.run(t.Context(), ingesting(t, done), "publish", "flights", file))
	require.Contains(t, person.err.String(), "ingesting")
	require.Contains(t, person.err.String(), "100000/300000")
	require.Equal(t, "sent 300,000  accepted 300,000  quarantined 0\n", person.out.String(), "the answer has no bars in it")
	program := newTerminal(false)
	require.Zero(t, program.run(t.Context(), ingesting(t, done), "publish", "flights", file))
	require.Empty(t, program.err.String())
}

func TestColourIsForPeopleWhoWantIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		terminal bool
		env      map[string]string
		colour   bool
	}{{true, nil, true}, {true, map[string]string{"NO_COLOR": "1"}, false}, {true, map[string]string{"TERM": "dumb"}, false}, {false, nil, false}} {
		x := newTerminal(c.terminal)
		for k, v := range c.env {
			x.env[k] = v
		}
		require.Zero(t, x.run(t.Context(), airline(t), "why", "flight-delay"))
		require.Equal(t, c.colour, strings.Contains(x.out.String(), "\x1b["), "%+v", c)
		require.Equal(t, 2, x.run(t.Context(), nil, "nothing"))
		require.Equal(t, c.colour, strings.Contains(x.err.String(), "\x1b["), "%+v", c)
	}
}

const predictPath = "POST /api/v1/models/flight-delay/predict"

func TestPredict(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.on(predictPath, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("scored as " + r.Header.Get("Accept")))
	})
	dir := t.TempDir()
	file := write(t, dir, "rows.csv", "a\n1\n")
	out := filepath.Join(dir, "out.parquet")
	r := run(t, f, "predict", "flight-delay", file, "-o", out, "--version", "v3")
	require.Equal(t, result{0, "wrote " + out + " (40 B)\n", ""}, r)
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, "scored as application/vnd.apache.parquet", string(b))
	require.Contains(t, f.asks(predictPath)[0].query, "version=3")
	require.Equal(t, "text/csv", f.asks(predictPath)[0].contentType)
	require.Equal(t, "scored as application/x-ndjson", run(t, f, "predict", "flight-delay", file).out)
	require.Equal(t, "scored as text/csv", run(t, f, "predict", "flight-delay", file, "-o", "-", "--to", "csv").out)
}

func TestPredictLeavesWholeFilesOrNone(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.on(predictPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("cut off"))
	})
	dir := t.TempDir()
	file := write(t, dir, "rows.csv", "a\n1\n")
	r := run(t, f, "predict", "flight-delay", file, "-o", filepath.Join(dir, "out.csv"))
	require.Equal(t, 1, r.code)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing but the input is left: %v", left)

	r = run(t, f, "predict", "flight-delay", file, "-o", filepath.Join(dir, "out.docx"))
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "out.docx has no known ending")
	require.Len(t, f.asks(predictPath), 1)
}
