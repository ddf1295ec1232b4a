package resource_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

const withSource = `apiVersion: tidemill.dev/v1
kind: Model
metadata: {name: m}
spec:
  dataset: d
  task: regression
  features: a
  label: b
  split: {by: time, validation: 1d, test: 1d}
  candidates:
    - {name: own, trainer: process, command: [sh, train.sh], source: ./own}
  evaluation: {primary: rmse, gates: [{metric: rmse, max: 1}]}
`

func TestPinnedCodeIsPartOfTheDigest(t *testing.T) {
	t.Parallel()
	all, err := resource.Parse([]byte(withSource), "m.yaml")
	require.NoError(t, err)
	sum := events.SHA256([]byte("packed"))
	pinned, err := all[0].Pinned(map[int]events.Blob{0: {Key: "code/" + sum + ".tar.gz", SHA256: sum, Bytes: 6}})
	require.NoError(t, err)
	require.NotEqual(t, all[0].Digest, pinned.Digest)
	require.Nil(t, all[0].Model.Candidates[0].Code, "the one before is as it was")
	require.Equal(t, "m.yaml:11:70", pinned.At("spec.candidates[0].source", "", "").Where())
	same, err := all[0].Pinned(nil)
	require.NoError(t, err)
	require.Equal(t, all[0].Digest, same.Digest)

	// As JSON, alone and in a list, it is the same resource.
	for _, text := range []string{string(pinned.Canonical), "[" + string(pinned.Canonical) + "]"} {
		again, err := resource.ParseJSON([]byte(text))
		require.NoError(t, err)
		require.Len(t, again, 1)
		require.Equal(t, pinned.Digest, again[0].Digest)
	}
}

func TestPlacesInListsOfJSON(t *testing.T) {
	t.Parallel()
	all, err := resource.Parse([]byte(withSource), "")
	require.NoError(t, err)
	good := string(all[0].Canonical)
	_, err = resource.ParseJSON([]byte("[" + good + `,{"kind":"Model","apiVersion":"tidemill.dev/v1","metadata":{"name":"x"},"spec":{"dataset":7}},3]`))
	var found resource.Errors
	require.ErrorAs(t, err, &found)
	where := []string{}
	for _, e := range found {
		where = append(where, e.Where())
	}
	require.Contains(t, where, "[1].spec.dataset")
	require.Contains(t, where, "[2]")
	list, err := resource.ParseJSON([]byte("[" + good + "]"))
	require.NoError(t, err)
	require.Equal(t, "[0].spec.label", list[0].At("spec.label", "", "").Where())
}
