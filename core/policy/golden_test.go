package policy

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

var update = flag.Bool("update", false, "write testdata/sentences.golden")

// TestSentences keeps what people read. Regenerate with: go test ./core/policy -run TestSentences -update
func TestSentences(t *testing.T) {
	t.Parallel()
	all := policyOf(anyOf(fraction(0.25), allOf(newRows(90_000), resource.Trigger{NewData: &resource.NewData{Bytes: 1 << 20}}), maxAge(28*day), entropy(),
		resource.Trigger{Drift: &resource.DriftTrigger{}}, resource.Trigger{Schedule: &resource.Schedule{Cron: "30 3 * * *", Timezone: "Europe/Berlin"}},
		resource.Trigger{Schedule: &resource.Schedule{Cron: "never", Timezone: "UTC"}}), cooldown(24*time.Hour, 48*time.Hour), budget(2, day), untilRows(5000))
	var out strings.Builder
	s := New("m")
	say := func(title string, o Observation, at time.Duration) {
		next, d := Evaluate(s, o, wall0.Add(at))
		s = next
		out.WriteString("## " + title + ": " + brief(d) + "\n")
		if d.End != nil {
			out.WriteString("ended: " + d.End.Reason + "\n")
		}
		if d.Refused != "" {
			out.WriteString("refused: " + d.Refused + "\n")
		}
		out.WriteString(sentences(d.Reasons, "") + "\n")
	}
	say("the model is applied", flights(1), 0)
	say("the policy is applied", all, 0)
	say("the 27th day", seen(27, ""), 0)
	say("one more while it trains", seen(28, ""), 0)
	say("the first model", promoted("m-1", 1, 27), time.Minute)
	say("a person asks too early", asked(""), time.Minute)
	say("alerts open", seen(30, "1", entropyAlert(), driftAlert("delay")), time.Hour)
	say("cooled down", seen(42, "1", entropyAlert(), driftAlert("delay")), time.Hour)
	say("a person asks meanwhile", asked("sliding 7d"), time.Hour)
	say("the candidate is refused", rejected("m-2", 2), time.Hour)
	say("the timer of the budget", TimerFired{Kind: TimerBudget}, 24*time.Hour)
	say("its deadline", TimerFired{Kind: TimerDeadline, Key: "m-3", Due: wall0.Add(26 * time.Hour)}, 26*time.Hour)
	say("a pause", Paused{By: "ada", Reason: "audit"}, 26*time.Hour)
	say("a rollback", ModelReady{Version: events.Version{Model: "m", Version: "0"}, Reason: events.ReadyRolledBack}, 27*time.Hour)

	const file = "testdata/sentences.golden"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(out.String()), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), out.String())
}

func TestWords(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		require.Equal(t, want, count(n))
	}
	for d, want := range map[time.Duration]string{0: "0s", 45 * time.Second: "45s", 90 * time.Second: "1m30s", 3*time.Hour + 12*time.Minute + time.Second: "3h12m",
		76 * time.Hour: "3d4h", day: "1d", -time.Hour: "-1h", 5 * time.Millisecond: "5ms"} {
		require.Equal(t, want, span(d))
	}
	require.Equal(t, "24.5 %", percent(0.2451))
	require.Equal(t, maxText+len("…"), len(clip(strings.Repeat("x", 500))))
	require.Equal(t, strings.Repeat("é", maxText/2), strings.TrimSuffix(clip(strings.Repeat("é", 500)), "…"))
}
