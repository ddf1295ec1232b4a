package events

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSnapshotIDNamesSegmentsAndWindow(t *testing.T) {
	t.Parallel()
	one := NextChain("", "aa")
	// Pinned with sha256sum over the bytes "\naa" and "<chain>\nexpanding": an id that changes breaks every stored lineage.
	require.Equal(t, "bcdd088f7dd93cb0852d2cfc299f8ef3a7326b118046a7944a3bcf1045af84bd", one)
	require.Equal(t, "62eff947420f252a948680e9f65f35eedee8d5a3f74c000ef5c224d8c6c21f7e", SnapshotID(one, Window{}))
	require.NotEqual(t, NextChain(one, "bb"), NextChain(NextChain("", "bb"), "aa"), "order matters")

	week := Window{Duration: Duration(7 * 24 * time.Hour)}
	require.NotEqual(t, SnapshotID(one, Window{}), SnapshotID(one, week))
	require.Equal(t, SnapshotID(one, week), SnapshotID(one, Window{Duration: Duration(168 * time.Hour)}))
}
