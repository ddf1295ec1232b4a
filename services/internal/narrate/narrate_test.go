package narrate_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/schemas"
	"github.com/tidemill/tidemill/services/internal/narrate"
)

// TestEveryTypeHasASentence tells the golden example of every fact type.
func TestEveryTypeHasASentence(t *testing.T) {
	t.Parallel()
	want := map[events.Type]string{
		events.ModelReadyType:      "Version 3 of flight-delay is champion instead of version 2 (auc 0.641, logloss 0.489 on the rows it was judged on).",
		events.SegmentWrittenType:  "Segment 27 of flights was written with 2,000 rows, 3 refused (2 range, 1 type).",
		events.CycleRequestedType:  "Cycle flight-delay-3 was requested to train on the 54,000 rows of flights (sliding 28d): 11,000 new rows are 25.6% of the champion's 43,000.",
		events.TrialFinishedType:   "Candidate logistic was stopped early after 2.500 s: others did better.",
		events.PolicyEvaluatedType: "The policy of flight-delay requested flight-delay-3.",
	}
	for _, ty := range events.Types() {
		b, err := schemas.Example(ty.Short())
		require.NoError(t, err)
		var f events.Fact
		require.NoError(t, json.Unmarshal(b, &f))
		text := narrate.Text(f)
		require.Greater(t, len(text), 20, ty)
		require.NotContains(t, text, "of "+f.Subject+".", "%s has no sentence of its own: %s", ty, text)
		require.NotContains(t, text, "%!", ty)
		require.NotContains(t, text, "..", ty)
		if w := want[ty]; w != "" {
			require.Equal(t, w, text)
		}
	}
}

func TestWhatCannotBeReadIsToldByItsType(t *testing.T) {
	t.Parallel()
	f := events.Fact{Type: events.ModelReadyType, Subject: "m", Data: json.RawMessage(`[]`)}
	require.Equal(t, "Model.ready of m.", narrate.Text(f))
}

func TestWords(t *testing.T) {
	t.Parallel()
	require.Equal(t, "-1,234,567", narrate.Count(-1234567))
	require.Equal(t, "12", narrate.Count(12))
	require.Equal(t, "1 row", narrate.Rows(1))
	require.Equal(t, "0.0012", narrate.Figure(0.0012))
	require.Equal(t, "0.487", narrate.Figure(0.4871))
	require.Equal(t, "logloss 0.487, auc 0.600", narrate.Figures(map[string]float64{"auc": .6, "logloss": .487}, "logloss"))
	require.Equal(t, "12 belowMin, 3 wrongType", narrate.Reasons(map[string]int64{"wrongType": 3, "belowMin": 12}))
}
