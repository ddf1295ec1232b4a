package command

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/modeltest"
)

// Whatever is in the rows, a request is one line of JSON that says just that.
func TestRequestsAreLinesOfJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 4).Draw(t, "rows")
		b := model.Batch{N: n, Columns: []model.Column{{Numeric: make([]float32, n)}, {Text: make([]string, n)}}}
		for i := range n {
			b.Columns[0].Numeric[i], b.Columns[1].Text[i] = rapid.Float32().Draw(t, "number"), rapid.String().Draw(t, "text")
		}
		line := request(7, keysOf(modeltest.Features), b)
		require.NotContains(t, string(line[:len(line)-1]), "\n")
		var got struct {
			ID   int64
			Rows []struct {
				Distance *float32
				Origin   string
			}
		}
		require.NoError(t, json.Unmarshal(line, &got), "%s", line)
		require.Equal(t, int64(7), got.ID)
		require.Len(t, got.Rows, n)
		for i, row := range got.Rows {
			require.Equal(t, b.Columns[1].Text[i], row.Origin)
			if v := float64(b.Columns[0].Numeric[i]); math.IsNaN(v) || math.IsInf(v, 0) {
				require.Nil(t, row.Distance)
			} else {
				require.Equal(t, b.Columns[0].Numeric[i], *row.Distance)
			}
		}
	})
}

func TestNumbersThatAreNone(t *testing.T) {
	t.Parallel()
	for _, line := range []string{`{"id":1,"prediction":[1,NaN]}`, `{"id":1,"prediction":[1,-Infinity]}`, `{"id":1,"prediction":[1,null]}`, `{"id":1,"prediction":[1,1e99]}`} {
		_, err := decode([]byte(line), 1, modeltest.Regression, 2)
		var nan *model.NotFinite
		require.ErrorAs(t, err, &nan, line)
		require.Equal(t, 1, nan.Row)
	}
	out, err := decode([]byte(`{"id":1,"prediction":[1,-2.5e-3],"more":{}}`), 1, modeltest.Regression, 2)
	require.NoError(t, err)
	require.Equal(t, []float32{1, -2.5e-3}, out)
	_, err = decode([]byte(`{"id":1,"prediction":[1,"2"]}`), 1, modeltest.Regression, 2)
	var lost *outOfStep
	require.ErrorAs(t, err, &lost)
}

func FuzzDecode(f *testing.F) {
	for _, line := range []string{`{"id":1,"probabilities":[[0.5,0.5],[1,0]]}`, `{"id":1,"prediction":[1,NaN]}`, `{"id":1,"error":"no"}`, `[`, `{"id":1,"probabilities":null}`} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, c := range []model.Contract{modeltest.Binary, modeltest.Regression} {
			out, err := decode(line, 1, c, 2)
			if err == nil {
				require.Len(t, out, 2*c.Width())
				require.NoError(t, model.Finite(out, c.Width()))
			}
		}
	})
}
