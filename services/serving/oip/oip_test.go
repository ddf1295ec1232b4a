package oip_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/services/serving/oip"
)

func TestReadsRequests(t *testing.T) {
	t.Parallel()
	var r oip.Request
	require.NoError(t, r.Decode([]byte(` { "id" : "a\u00e9\n", "unknown": [{"x":[null,1.5e-3,"]"]}], "parameters":{"b":1,"input":"columns"},
		"outputs":[{"parameters":{},"name":"y"}],
		"inputs":[{"name":"x","shape":[2,2],"datatype":"FP64","data":[[1,-2.5],[null,NaN]]},
		          {"data":["]","\"[",null],"datatype":"BYTES","shape":[3],"name":"t"},
		          {"name":"b","shape":[2],"datatype":"BOOL","data":[true,false]}]} `)))
	require.Equal(t, "aé\n", string(r.ID))
	require.Equal(t, "columns", string(r.Input))
	require.Equal(t, [][]byte{[]byte("y")}, r.Outputs)
	require.Len(t, r.Inputs, 3)
	n, err := r.Inputs[0].Matrix(2)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	floats := make([]float32, 4)
	require.NoError(t, r.Inputs[0].Floats(floats))
	require.Equal(t, []float32{1, -2.5}, floats[:2])
	require.True(t, math.IsNaN(float64(floats[2])) && math.IsNaN(float64(floats[3])))
	texts := make([]string, 3)
	require.NoError(t, r.Inputs[1].Texts(texts))
	require.Equal(t, []string{"]", "\"[", ""}, texts)
	require.NoError(t, r.Inputs[2].Floats(floats[:2]))
	require.Equal(t, []float32{1, 0}, floats[:2])
	var values []any
	require.NoError(t, r.Inputs[0].Values(4, func(i int, v any) error { values = append(values, v); return nil }))
	require.Equal(t, []any{json.Number("1"), json.Number("-2.5"), nil, nil}, values)

	require.NoError(t, r.Decode([]byte(`{"id":null,"parameters":null,"outputs":null,"inputs":[{"name":"x","shape":[],"datatype":"FP64","data":[]}]}`)))
	require.Nil(t, r.ID)
	require.Empty(t, r.Outputs, "nothing stays from the request before")
	require.Empty(t, r.Input)
	_, err = r.Inputs[0].Rows()
	require.ErrorContains(t, err, "[N,1]")
}

func TestWritesJSON(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "plain", "quo\"te", "line\n", "é ✈", "back\\slash", "\x01"} {
		var back string
		require.NoError(t, json.Unmarshal(oip.AppendString(nil, s), &back))
		require.Equal(t, s, back)
	}
	for _, f := range []float32{0, 1, -1, 0.1, 1e-30, 3.4e38, math.SmallestNonzeroFloat32, 1.0 / 3} {
		var back float32
		require.NoError(t, json.Unmarshal(oip.AppendFloat(nil, f), &back))
		require.Equal(t, f, back)
	}
	b := append(oip.AppendFloats(oip.AppendTensor(nil, "y", oip.FP32, 2, 1), []float32{1, 2}), "]}"...)
	require.JSONEq(t, `{"name":"y","datatype":"FP32","shape":[2,1],"data":[1,2]}`, string(b))
}

// FuzzDecode holds the decoder against encoding/json: what it takes is JSON (but for NaN), and no input makes it panic.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"id":"1","inputs":[{"name":"x","shape":[2,1],"datatype":"FP32","data":[[1],[2.5e3]]}],"outputs":[{"name":"y"}]}`,
		`{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","data":["\u00e9\ud83d\ude00"]}]}`,
		`{"inputs":[{"name":"x","shape":[1],"datatype":"INT8","data":[-7]},{"name":"b","shape":[1],"datatype":"BOOL","data":[true]}]}`,
		`{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1,]}]}`, `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[[1]}]}`,
		`{`, `[]`, `{"a":` + strings.Repeat("[", 100), `{"inputs":[{"name":"x","shape":[0],"datatype":"FP32","data":[]}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var r oip.Request
		if r.Decode(body) != nil {
			return
		}
		whole := true // every tensor was read
		for i := range r.Inputs {
			x := &r.Inputs[i]
			n, err := x.Rows()
			if err != nil || n > 1<<16 {
				whole = false
				continue
			}
			a, b := x.Floats(make([]float32, n)), x.Texts(make([]string, n))
			c := x.Values(n, func(int, any) error { return nil })
			if c == nil && a != nil && b != nil && !strings.Contains(a.Error(), "does not fit") {
				t.Fatalf("%s: read as values, but neither as numbers (%v) nor as text (%v)", body, a, b)
			}
			whole = whole && c == nil
		}
		if whole && !strings.Contains(string(body), "NaN") && !json.Valid(body) {
			t.Fatalf("%q is no JSON", body)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(`{"inputs":[{"name":"hour","datatype":"BYTES","shape":[1,1],"data":["7"]},{"name":"pages","datatype":"FP32","shape":[1,1],"data":[12]}]}`)
	var r oip.Request
	dst, texts := make([]float32, 1), make([]string, 1)
	b.ReportAllocs()
	for b.Loop() {
		err := r.Decode(body)
		if err == nil {
			err = r.Inputs[0].Texts(texts)
		}
		if err == nil {
			err = r.Inputs[1].Floats(dst)
		}
		if err != nil {
			b.Fatal(fmt.Errorf("decode: %w", err))
		}
	}
}
