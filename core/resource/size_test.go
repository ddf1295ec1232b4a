package resource_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
)

func TestSizesReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]resource.Size{"0": 0, "4096": 4096, "512Mi": 512 << 20, "2Gi": 2 << 30, "1.5Gi": 3 << 29, "1500M": 1_500_000_000, "3k": 3000} {
		got, err := resource.ParseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		again, err := resource.ParseSize(got.String())
		require.NoError(t, err, got.String())
		require.Equal(t, want, again, text)
	}
	for _, text := range []string{"", "Gi", "2GB", "-1", "NaN", "1e30Ti", "two"} {
		_, err := resource.ParseSize(text)
		require.Error(t, err, text)
	}
}
