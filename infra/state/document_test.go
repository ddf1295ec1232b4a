package state

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tidemill/tidemill/events"
)

func TestAppliedIsABoundedRing(t *testing.T) {
	t.Parallel()
	var a Applied
	assert.False(t, a.Has(""))
	for i := range AppliedSize + 3 {
		before := a
		a = a.with(events.Fact{ID: strconv.Itoa(i), Seq: uint64(i)})
		assert.Len(t, before.IDs, min(i, AppliedSize), "with leaves the ring it came from alone")
	}
	assert.Len(t, a.IDs, AppliedSize)
	assert.False(t, a.Has("2"))
	assert.True(t, a.Has("3"))
	assert.True(t, a.Has(strconv.Itoa(AppliedSize+2)))
	assert.EqualValues(t, AppliedSize+2, a.Seq)
	assert.Equal(t, a, a.with(events.Fact{}))
}
