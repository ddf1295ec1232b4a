package lake_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/resource"
)

func TestInferLabel(t *testing.T) {
	t.Parallel()
	b := room(t, 2, "")
	f := put(t, b, "labels.csv", "at,order,x\n2001-01-01,1,1.5\n2001-01-02,2,2.5\n2001-01-03,,3.5\n")
	columns, _, err := lake.Infer(t.Context(), b.engine, f)
	require.NoError(t, err)
	for label, want := range map[string]lake.InferredLabel{
		"x > 2":  {Type: resource.TypeBoolean, Distinct: 2},
		"x":      {Type: resource.TypeFloat64, Distinct: 3},
		"order":  {Type: resource.TypeInt64, Distinct: 2}, // a reserved word, as the name of a column
		"[x]":    {Distinct: 3},
		"NULL":   {},
		"x > 99": {Type: resource.TypeBoolean, Distinct: 1},
	} {
		got, err := lake.InferLabel(t.Context(), b.engine, f, columns, label)
		require.NoError(t, err, label)
		require.Equal(t, want, got, label)
	}
	for _, label := range []string{"y", "x >", "sum(x) OVER", "(SELECT content FROM read_text('/etc/hostname'))"} {
		_, err := lake.InferLabel(t.Context(), b.engine, f, columns, label)
		require.ErrorIs(t, err, lake.ErrBadFile, label)
		require.ErrorContains(t, err, label)
	}
}
