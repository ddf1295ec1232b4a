package serving_test

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/services/internal/hosttest"
)

// flight is a row with what the model should make of it.
type flight struct {
	date     string
	distance any
	origin   string
	seats    any
	weekend  any
}

var flightRows = []flight{
	{"2001-01-01T07:30:00Z", 250.5, "SFO", 100, true},
	{"2001-03-01T23:59:59.999999Z", 0.0, "JFK", 0, false},
	{"2001-06-30T00:00:00+02:00", 1999.25, "Zürich ✈ \"q\"", 416, nil},
	{"2001-06-30 12:00:00", nil, "", nil, nil},
}

func number(x any) float64 {
	switch x := x.(type) {
	case float64:
		return x
	case int:
		return float64(x)
	}
	return 0
}

var flightHours = []float64{7, 23, 22, 12}

// features are the columns of the batch that SQL should give.
func features() (far, hour, size []float64, origin []string) {
	for i, f := range flightRows {
		weekend := 0.0
		if f.weekend == true {
			weekend = 1
		}
		far, hour, size, origin = append(far, number(f.distance)/100), append(hour, flightHours[i]), append(size, number(f.seats)+weekend), append(origin, f.origin)
	}
	return far, hour, size, origin
}

func featureTensors() []tensor {
	far, hour, size, origin := features()
	n := len(far)
	return []tensor{{"far", "FP64", []int{n, 1}, far}, {"hour", "FP32", []int{n}, hour}, {"size", "INT64", []int{n, 1}, size}, {"origin", "BYTES", []int{n, 1}, origin}}
}

func columnTensors() []tensor {
	list := []tensor{{Name: "date", Datatype: "BYTES"}, {Name: "distance", Datatype: "FP64"}, {Name: "origin", Datatype: "BYTES"},
		{Name: "seats", Datatype: "INT64"}, {Name: "weekend", Datatype: "BOOL"}, {Name: "delay", Datatype: "FP64"}}
	data := make([][]any, len(list))
	for _, f := range flightRows {
		for i, x := range []any{f.date, f.distance, f.origin, f.seats, f.weekend, nil} {
			data[i] = append(data[i], x)
		}
	}
	for i := range list {
		list[i].Shape, list[i].Data = []int{len(flightRows)}, data[i]
	}
	return list
}

func want(slope float64) (p []float64) {
	far, hour, size, origin := features()
	for i := range far {
		p = append(p, sigmoid(score(slope, far[i], hour[i], size[i], origin[i])))
	}
	return p
}

func TestFeaturesAndColumnsGiveTheSame(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "1", 0.25))
	expected := want(0.25)
	for name, inputs := range map[string][]tensor{"features": featureTensors(), "columns": columnTensors()} {
		status, a := p.infer("late", map[string]any{"id": "x \"1\"", "inputs": inputs})
		require.Equal(t, http.StatusOK, status, "%s: %s", name, a.Error)
		require.Equal(t, "late", a.Model)
		require.Equal(t, "1", a.Version)
		require.Equal(t, "x \"1\"", *a.ID)
		require.Equal(t, []int{len(expected), 2}, a.Outputs[0].Shape)
		require.Equal(t, "FP32", a.Outputs[0].Datatype)
		got := a.numbers(t, "probabilities")
		for i, q := range expected {
			require.InDelta(t, q, got[2*i+1], 1e-5, "%s, row %d", name, i)
			require.InDelta(t, 1-q, got[2*i], 1e-5, "%s, row %d", name, i)
			require.Equal(t, fmt.Sprint(q >= 0.5), a.Outputs[1].Data.([]any)[i], "%s, row %d", name, i)
		}
		require.Equal(t, tensor{"label", "BYTES", []int{len(expected)}, a.Outputs[1].Data}, a.Outputs[1])
	}
}

func TestOneRowAndManyGiveTheSame(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "1", 1))
	const n = 2000 // beyond where SQL changes its way
	dates, distances := make([]string, n), make([]float64, n)
	for i := range n {
		dates[i], distances[i] = fmt.Sprintf("2001-01-%02dT%02d:00:00Z", 1+i%28, i%24), float64(i%300)
	}
	status, a := p.infer("late", map[string]any{"inputs": []tensor{{"date", "BYTES", []int{n}, dates}, {"distance", "FP64", []int{n}, distances}}})
	require.Equal(t, http.StatusOK, status, a.Error)
	all := a.numbers(t, "probabilities")
	require.Len(t, all, 2*n)
	for i := 0; i < n; i += 97 {
		_, one := p.infer("late", map[string]any{"inputs": []tensor{{"date", "BYTES", []int{1, 1}, dates[i : i+1]}, {"distance", "FP64", []int{1, 1}, distances[i : i+1]}}})
		require.Equal(t, all[2*i:2*i+2], one.numbers(t, "probabilities"), "row %d", i)
		require.InDelta(t, sigmoid(score(1, distances[i]/100, float64(i%24), 0, "")), all[2*i+1], 1e-5)
	}
}

func TestTimestampsAreTextOrMilliseconds(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(regression(t, "z", "1"))
	_, text := p.infer("z", `{"inputs":[{"name":"date","datatype":"BYTES","shape":[1],"data":["2001-01-01T05:00:00Z"]}]}`)
	_, millis := p.infer("z", `{"inputs":[{"name":"date","datatype":"INT64","shape":[1],"data":[978325200000]}]}`)
	require.InDelta(t, 0.5, text.numbers(t, "prediction")[0], 1e-6)
	require.Equal(t, text.Outputs, millis.Outputs)
	require.Equal(t, []int{1, 1}, text.Outputs[0].Shape)
}

func TestOutputsOfOtherTasks(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(multiclass(t, "when", "1"))
	p.promote(numeric(t, "sum", "1"))
	status, a := p.infer("when", map[string]any{"inputs": featureTensors(), "outputs": []map[string]any{{"name": "label"}}})
	require.Equal(t, http.StatusOK, status, a.Error)
	require.Len(t, a.Outputs, 1)
	require.Contains(t, a.Outputs[0].Data, "late")
	require.Nil(t, a.ID)
	status, a = p.infer("when", map[string]any{"inputs": featureTensors()})
	require.Equal(t, http.StatusOK, status, a.Error)
	require.Equal(t, []int{len(flightRows), 3}, a.Outputs[0].Shape)
	for _, body := range []string{
		`{"inputs":[{"name":"features","datatype":"FP32","shape":[2,2],"data":[1,2,3,4]}]}`,
		`{"inputs":[{"name":"features","datatype":"INT32","shape":[2,2],"data":[[1,2],[3,4]]}]}`,
		`{"outputs":[{"name":"prediction"}],"inputs":[{"data":[[1],[3]],"name":"distance","shape":[2,1],"datatype":"FP32","parameters":{"a":[{}]}},{"name":"seats","datatype":"UINT8","shape":[2],"data":[2,4]}]}`,
	} {
		status, a = p.infer("sum", body)
		require.Equal(t, http.StatusOK, status, a.Error)
		require.Equal(t, []float64{21, 43}, a.numbers(t, "prediction"))
		require.Len(t, a.Outputs, 1)
	}
	var m metadata
	require.Equal(t, http.StatusOK, p.get("/v2/models/when", &m))
	require.Equal(t, []tensor{{Name: "probabilities", Datatype: "FP32", Shape: []int{-1, 3}}, {Name: "label", Datatype: "BYTES", Shape: []int{-1}}}, m.Outputs)
}

// one is a request of one input.
func one(name, datatype, shape, data string) string {
	return fmt.Sprintf(`{"inputs":[{"name":%q,"datatype":%q,"shape":%s,"data":%s}]}`, name, datatype, shape, data)
}

func TestWrongInputsAreExplained(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "1", 1))
	p.promote(numeric(t, "sum", "1"))
	all := func(far string) string {
		return `{"inputs":[` + far + `,{"name":"hour","datatype":"FP32","shape":[1],"data":[1]},{"name":"size","datatype":"FP32","shape":[1],"data":[1]},{"name":"origin","datatype":"BYTES","shape":[1],"data":["SFO"]}]}`
	}
	for name, c := range map[string]struct {
		model, body string
		status      int
		words       []string
	}{
		"empty":               {"late", "", 400, []string{"empty", "inputs"}},
		"no JSON":             {"late", "{", 400, []string{"ends in the middle"}},
		"a list":              {"late", "[]", 400, []string{"expected an object"}},
		"no UTF-8":            {"late", "{\"inputs\":\"\xff\"}", 400, []string{"UTF-8"}},
		"more after":          {"late", one("date", "BYTES", "[1]", `["2001-01-01"]`) + "x", 400, []string{"expected the end"}},
		"no inputs":           {"late", `{"id":"1"}`, 400, []string{`"inputs" is missing`}},
		"no name":             {"late", `{"inputs":[{"datatype":"FP32","shape":[1],"data":[1]}]}`, 400, []string{`no "name"`}},
		"no data":             {"late", `{"inputs":[{"name":"far","datatype":"FP32","shape":[1]}]}`, 400, []string{`"far"`, `no "data"`, "binary"}},
		"no shape":            {"late", `{"inputs":[{"name":"far","datatype":"FP32","data":[1]}]}`, 400, []string{`no "shape"`}},
		"unknown name":        {"late", one("distanse", "FP64", "[1]", "[1]"), 400, []string{`"distanse"`, "flights", `did you mean "distance"?`, "far"}},
		"missing features":    {"late", one("far", "FP32", "[1]", "[1]"), 400, []string{"hour, size, origin are missing", "columns"}},
		"twice":               {"sum", `{"inputs":[{"name":"seats","datatype":"FP32","shape":[1],"data":[1]},{"name":"seats","datatype":"FP32","shape":[1],"data":[1]}]}`, 400, []string{`"seats"`, "twice"}},
		"wrong datatype":      {"late", all(`{"name":"far","datatype":"BYTES","shape":[1],"data":["1"]}`), 400, []string{`"far"`, "BYTES", "number"}},
		"unknown datatype":    {"late", all(`{"name":"far","datatype":"FP8","shape":[1],"data":[1]}`), 400, []string{`"far"`, "FP8", "FP32"}},
		"text in numbers":     {"late", all(`{"name":"far","datatype":"FP32","shape":[1],"data":["1"]}`), 400, []string{`"far"`, "element 0 is a string"}},
		"fraction as integer": {"late", all(`{"name":"far","datatype":"INT64","shape":[1],"data":[1.5]}`), 400, []string{"1.5 is no INT64"}},
		"out of range":        {"late", all(`{"name":"far","datatype":"INT8","shape":[1],"data":[300]}`), 400, []string{"300 is no INT8"}},
		"too large":           {"late", all(`{"name":"far","datatype":"FP64","shape":[1],"data":[1e300]}`), 400, []string{"1e300", "32 bits"}},
		"no number":           {"late", all(`{"name":"far","datatype":"FP64","shape":[1],"data":[01]}`), 400, []string{"01"}},
		"nested":              {"late", all(`{"name":"far","datatype":"FP64","shape":[1],"data":[[[[[[1]]]]]]}`), 400, []string{"deeper"}},
		"wrong shape":         {"late", all(`{"name":"far","datatype":"FP32","shape":[1,2],"data":[1,2]}`), 400, []string{`"far"`, "[1 2]", "[N,1]"}},
		"negative shape":      {"late", all(`{"name":"far","datatype":"FP32","shape":[-1],"data":[1]}`), 400, []string{`"far"`, "-1"}},
		"huge shape":          {"late", all(`{"name":"far","datatype":"FP32","shape":[9000000000],"data":[1]}`), 400, []string{"less data"}},
		"too few":             {"late", all(`{"name":"far","datatype":"FP32","shape":[1],"data":[]}`), 400, []string{"0 elements"}},
		"too many":            {"late", all(`{"name":"far","datatype":"FP32","shape":[1],"data":[1,2]}`), 400, []string{"more than the 1"}},
		"rows disagree":       {"late", all(`{"name":"far","datatype":"FP32","shape":[2],"data":[1,2]}`), 400, []string{`"hour"`, "1 rows", "2"}},
		"matrix of text":      {"late", one("features", "FP32", "[1,4]", "[1,2,3,4]"), 400, []string{"origin is text"}},
		"matrix too wide":     {"sum", one("features", "FP32", "[1,3]", "[1,2,3]"), 400, []string{"[N,2]", "distance", "seats"}},
		"column of a type":    {"late", one("distance", "BYTES", "[1]", `["far"]`), 400, []string{`"distance"`, "row 0", "float64"}},
		"no time":             {"late", one("date", "BYTES", "[2]", `["2001-01-01","yesterday"]`), 400, []string{`"date"`, "row 1", "RFC 3339"}},
		"unknown output":      {"late", `{"outputs":[{"name":"logits"}],"inputs":[]}`, 400, []string{"inputs"}},
		"wrong output":        {"sum", `{"outputs":[{"name":"label"}],"inputs":[{"name":"features","datatype":"FP32","shape":[1,2],"data":[1,2]}]}`, 400, []string{`"label"`, "prediction"}},
		"unknown kind":        {"late", `{"parameters":{"input":"rows"},"inputs":[{"name":"date","datatype":"BYTES","shape":[1],"data":["2001-01-01"]}]}`, 400, []string{"rows", "features", "columns"}},
		"features asked for":  {"late", `{"parameters":{"input":"features"},"inputs":[{"name":"date","datatype":"BYTES","shape":[1],"data":["2001-01-01"]}]}`, 400, []string{`"date"`, "no such feature"}},
		"null":                {"late", all(`{"name":"far","datatype":"FP32","shape":[1],"data":[null]}`), 422, []string{"row 0", "NaN", "handle nulls"}},
		"NaN":                 {"late", all(`{"name":"far","datatype":"FP32","shape":[1],"data":[NaN]}`), 422, []string{"row 0", "NaN"}},
		"infinity":            {"late", all(`{"name":"far","datatype":"FP32","shape":[1],"data":[Infinity]}`), 400, []string{"element 0"}},
		"unknown model":       {"nobody", one("far", "FP32", "[1]", "[1]"), 404, []string{`"nobody"`, "late"}},
		"unknown version":     {"late/versions/9", one("far", "FP32", "[1]", "[1]"), 404, []string{`"9"`, "champion"}},
		"too much":            {"late", `{"id":"` + strings.Repeat("x", 17<<20) + `"}`, 413, []string{"16 MiB", "predict"}},
	} {
		t.Run(name, func(t *testing.T) {
			status, a := p.infer(c.model, c.body)
			require.Equal(t, c.status, status, a.Error)
			for _, words := range c.words {
				require.Contains(t, a.Error, words)
			}
			require.Nil(t, a.Outputs)
		})
	}
	require.Equal(t, 1.0, p.metric("tidemill_serving_request_seconds", "model", "", "status", "404"))
	require.Equal(t, 2.0, p.metric("tidemill_serving_request_seconds", "model", "late", "status", "422"))
	status, a := p.infer("late", map[string]any{"inputs": featureTensors()})
	require.Equal(t, http.StatusOK, status, "what was wrong leaves nothing behind: %s", a.Error)
	require.InDelta(t, want(1)[0], a.numbers(t, "probabilities")[1], 1e-5)
}

func TestBinaryDataIsRefused(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "1", 1))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/v2/models/late/infer", bytes.NewReader([]byte("{}")))
	require.NoError(t, err)
	req.Header.Set("Inference-Header-Content-Length", "2")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
}

func TestNoRowsAreAnsweredWithNone(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.promote(binary(t, "late", "1", 1))
	status, a := p.infer("late", one("date", "BYTES", "[0]", "[]"))
	require.Equal(t, http.StatusOK, status, a.Error)
	require.Equal(t, []int{0, 2}, a.Outputs[0].Shape)
	require.Empty(t, a.numbers(t, "probabilities"))
}

func TestColumnsThatSQLCannotCompute(t *testing.T) {
	t.Parallel()
	p := open(t)
	m := manifest("late", "1")
	m.FeatureSQL = "origin::INTEGER AS far, hour(date) AS hour, seats AS size, origin"
	g := binary(t, "late", "1", 1)
	pkg := rebuilt(t, m, g)
	p.promote(pkg)
	status, a := p.infer("late", one("origin", "BYTES", "[1]", `["x"]`))
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, a.Error, "TRY_CAST")
	require.False(t, math.IsNaN(p.metric("tidemill_serving_loaded_versions")))
	hosttest.Await(t, "it is still served", func() bool {
		status, _ := p.infer("late", map[string]any{"inputs": featureTensors()})
		return status == http.StatusOK
	})
}
