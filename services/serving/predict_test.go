package serving_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/events"
)

// predict sends a file and gives the answer.
func (p *place) predict(path, contentType, accept string, body []byte) (int, string, []byte) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, p.url+"/api/v1/models/"+path, bytes.NewReader(body))
	require.NoError(p.t, err)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", "Bearer "+token)
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(p.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	return resp.StatusCode, resp.Header.Get("Content-Type"), b
}

// ndjson are the flights with an id that the dataset does not know and without the label.
func ndjson() []byte {
	var b bytes.Buffer
	for i, f := range flightRows {
		line, _ := json.Marshal(map[string]any{"id": fmt.Sprint("row ", i), "date": f.date, "distance": f.distance, "origin": f.origin, "seats": f.seats, "weekend": f.weekend})
		b.Write(append(line, '\n'))
	}
	return b.Bytes()
}

func csvFile() []byte {
	text := func(x any) string {
		if x == nil {
			return ""
		}
		return fmt.Sprint(x)
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"weekend", "id", "date", "distance", "origin", "seats"})
	for i, f := range flightRows {
		_ = w.Write([]string{text(f.weekend), fmt.Sprint("row ", i), f.date, text(f.distance), f.origin, text(f.seats)})
	}
	w.Flush()
	return b.Bytes()
}

// rowsOf reads an answer of any format as NDJSON would.
func (p *place) rowsOf(contentType string, body []byte) []map[string]any {
	p.t.Helper()
	if contentType == events.ContentNDJSON {
		var out []map[string]any
		for line := range bytes.Lines(body) {
			var row map[string]any
			require.NoError(p.t, json.Unmarshal(line, &row), "%s", line)
			out = append(out, row)
		}
		return out
	}
	path := filepath.Join(p.Blobs.Scratch(), "answer")
	require.NoError(p.t, os.WriteFile(path, body, 0o600))
	defer os.Remove(path)
	from := "read_parquet(" + lake.Literal(path) + ")"
	if contentType == events.ContentCSV {
		from = "read_csv(" + lake.Literal(path) + ", header = true)"
	}
	var out []map[string]any
	require.NoError(p.t, p.Engine.Scan(p.t.Context(), "SELECT to_json(t)::VARCHAR FROM "+from+" t", func(v []driver.Value) error {
		var row map[string]any
		err := json.Unmarshal([]byte(v[0].(string)), &row)
		out = append(out, row)
		return err
	}))
	return out
}

func TestFilesGiveTheSameAsRequests(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "1", 0.5))
	expected := want(0.5)
	_, _, parquet := p.predict("late/predict", events.ContentNDJSON, "", ndjson())
	files := map[string][]byte{events.ContentNDJSON: ndjson(), events.ContentCSV: csvFile(), events.ContentParquet: p.without(parquet)}
	for contentType, body := range files {
		for _, accept := range []string{"", "*/*", events.ContentParquet, events.ContentNDJSON + "; q=0.9", events.ContentCSV} {
			status, got, answer := p.predict("late/predict", contentType+"; charset=utf-8", accept, body)
			require.Equal(t, http.StatusOK, status, "%s: %s", contentType, answer)
			if formats := strings.Split(accept, ";")[0]; strings.Contains(formats, "/x-") || strings.Contains(formats, "csv") {
				require.Equal(t, formats, got)
			} else {
				require.Equal(t, events.ContentParquet, got)
			}
			rows := p.rowsOf(got, answer)
			require.Len(t, rows, len(expected))
			for i, row := range rows {
				require.InDelta(t, expected[i], row["probability"], 1e-5, "%s to %s, row %d", contentType, got, i)
				require.Equal(t, fmt.Sprint(expected[i] >= 0.5), fmt.Sprint(row["predicted"]))
				require.Equal(t, fmt.Sprint("row ", i), row["id"])
				require.NotContains(t, row, "delay")
				if got != events.ContentCSV { // which doesn't tell "" from null
					require.Equal(t, flightRows[i].origin, text(row["origin"]))
				}
			}
			require.Len(t, rows[0], 8)
		}
	}
	require.Equal(t, "2001-06-29T22:00:00.000000Z", p.rowsOf(events.ContentNDJSON, p.ndjsonOf(ndjson()))[2]["date"])
	left, err := os.ReadDir(p.Blobs.Scratch())
	require.NoError(t, err)
	for _, f := range left {
		require.NotContains(t, f.Name(), "predict", "nothing stays behind")
	}
}

func text(x any) string {
	s, _ := x.(string)
	return s
}

func (p *place) ndjsonOf(body []byte) []byte {
	_, _, b := p.predict("late/predict", events.ContentNDJSON, events.ContentNDJSON, body)
	return b
}

// without takes the predictions from an answer in Parquet.
func (p *place) without(parquet []byte) []byte {
	p.t.Helper()
	path := filepath.Join(p.Blobs.Scratch(), "with.parquet")
	require.NoError(p.t, os.WriteFile(path, parquet, 0o600))
	out := path + ".out"
	_, err := p.Engine.DB().Exec("COPY (SELECT * EXCLUDE (probability, predicted) FROM read_parquet(" + lake.Literal(path) + ")) TO " + lake.Literal(out) + " (FORMAT parquet)")
	require.NoError(p.t, err)
	b, err := os.ReadFile(out)
	require.NoError(p.t, err)
	require.NoError(p.t, os.Remove(path))
	require.NoError(p.t, os.Remove(out))
	return b
}

func TestFilesOfManyRowsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(regression(t, "z", "1"))
	const n = 45_001 // more than two parts
	var b bytes.Buffer
	b.WriteString("distance,n\n")
	for i := range n {
		fmt.Fprintf(&b, "%d,%d\n", (i*7919)%1000, i)
	}
	status, _, answer := p.predict("z/predict", events.ContentCSV, events.ContentCSV, b.Bytes())
	require.Equal(t, http.StatusOK, status, "%.200s", answer)
	records, err := csv.NewReader(bytes.NewReader(answer)).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, n+1)
	require.Equal(t, []string{"distance", "n", "prediction"}, records[0])
	for i, r := range records[1:] {
		got, err := strconv.ParseFloat(r[2], 64)
		require.NoError(t, err)
		if r[1] != strconv.Itoa(i) || got < float64((i*7919)%1000)/100-1e-4 || got > float64((i*7919)%1000)/100+1e-4 {
			require.Fail(t, "wrong row", "%d: %v", i, r)
		}
	}
}

func TestFilesWithVersionsAndClasses(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(multiclass(t, "when", "1"))
	p.promote(multiclass(t, "when", "2"))
	status, _, answer := p.predict("when/predict?version=1", events.ContentNDJSON, events.ContentNDJSON, ndjson())
	require.Equal(t, http.StatusOK, status, "%s", answer)
	row := p.rowsOf(events.ContentNDJSON, answer)[0]
	require.InDelta(t, 1, row[`probability_"early"`].(float64)+row["probability_late"].(float64)+row["probability_on time"].(float64), 1e-5)
	require.Equal(t, "late", row["predicted"])
	for _, empty := range []string{"date,origin\n", "date,origin"} {
		status, _, answer = p.predict("when/predict", events.ContentCSV, events.ContentCSV, []byte(empty))
		require.Equal(t, http.StatusOK, status, "%s", answer)
		require.Equal(t, 1, bytes.Count(answer, []byte("\n")), "%s", answer)
	}
}

func TestWrongFilesAreExplained(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "1", 1))
	p.promote(numeric(t, "sum", "1"))
	_, _, parquet := p.predict("late/predict", events.ContentNDJSON, "", ndjson())
	for name, c := range map[string]struct {
		path, contentType, accept string
		body                      string
		status                    int
		words                     []string
	}{
		"unknown type":    {"late/predict", "text/html", "", "", 415, []string{"text/html", events.ContentParquet}},
		"unknown answer":  {"late/predict", events.ContentCSV, "text/html", "", 406, []string{"text/html"}},
		"unknown model":   {"nobody/predict", events.ContentCSV, "", "date\n", 404, []string{"nobody"}},
		"unknown version": {"late/predict?version=7", events.ContentCSV, "", "date\n", 404, []string{`"7"`}},
		"no Parquet":      {"late/predict", events.ContentParquet, "", "hello", 422, []string{"not a complete Parquet file"}},
		"cut Parquet":     {"late/predict", events.ContentParquet, "", string(parquet[:len(parquet)-20]), 422, []string{"cut off"}},
		"empty CSV":       {"late/predict", events.ContentCSV, "", "", 422, []string{"is empty"}},
		"wrong value":     {"late/predict", events.ContentCSV, "", "distance\n1\nfar\n", 422, []string{"row 2", `"distance"`, "far"}},
		"broken line":     {"late/predict", events.ContentNDJSON, "", "{\"distance\":1}\n{\"distance\"\n", 422, []string{"row 2"}},
		"taken name":      {"late/predict", events.ContentCSV, "", "Probability\n1\n", 422, []string{`"Probability"`, "rename"}},
		"column twice":    {"late/predict", events.ContentCSV, "", "x,X\n1,2\n", 422, []string{"twice"}},
		"case":            {"late/predict", events.ContentCSV, "", "Distance\n1\n", 422, []string{"differ by case"}},
		"NaN":             {"sum/predict", events.ContentCSV, "", "distance,seats\n1,1\n1,\n", 422, []string{"row 2", "NaN"}},
	} {
		t.Run(name, func(t *testing.T) {
			status, contentType, body := p.predict(c.path, c.contentType, c.accept, []byte(c.body))
			require.Equal(t, c.status, status, "%s", body)
			require.Equal(t, "application/problem+json", contentType)
			var problem struct{ Detail string }
			require.NoError(t, json.Unmarshal(body, &problem))
			for _, words := range c.words {
				require.Contains(t, problem.Detail, words)
			}
		})
	}
	resp, err := http.Post(p.url+"/api/v1/models/late/predict", events.ContentCSV, strings.NewReader("date\n"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
}
