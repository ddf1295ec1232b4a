package events

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFactRoundTrip(t *testing.T) {
	t.Parallel()
	cause := Fact{ID: DeriveID("a", "b"), Seq: 1 << 40, CycleID: "flight-delay-1", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	f, err := NewFact(DeriveID(cause.ID, "ready"), ModelReadyType, "deployment", "flight-delay", time.Unix(5, 7), ModelReady{
		Version: Version{Model: "flight-delay", Version: "3", SHA256: "ab"}, Reason: ReadyPromoted})
	require.NoError(t, err)
	f = f.Caused(cause)
	b, err := json.Marshal(f)
	require.NoError(t, err)
	var g Fact
	require.NoError(t, json.Unmarshal(b, &g))
	require.Equal(t, f, g)
	require.Equal(t, "facts.model.flight-delay.ready", g.Where())
	p, err := PayloadOf[ModelReady](g)
	require.NoError(t, err)
	require.Equal(t, "3", p.Version.Version)
	require.Contains(t, string(g.Data), `"version":"3"`)
}

func TestToldFactCarriesItsSequence(t *testing.T) {
	t.Parallel()
	f, err := NewFact(DeriveID("x"), ModelResumedType, "gateway", "flight-delay", time.Unix(5, 0), ModelResumed{Model: "flight-delay"})
	require.NoError(t, err)
	f.Seq = 1 << 40
	b, err := f.Told("Policy goes on.")
	require.NoError(t, err)
	require.Contains(t, string(b), `"text":"Policy goes on."`)
	var g Fact
	require.NoError(t, json.Unmarshal(b, &g))
	require.Equal(t, f, g)
	b, err = json.Marshal(g)
	require.NoError(t, err)
	require.NotContains(t, string(b), "sequence", "the ledger doesn't store what only it can know")
}

func TestFactRefusesWhatIsNoFact(t *testing.T) {
	t.Parallel()
	for _, s := range []string{``, `{}`, `[]`, `{"specversion":"1.0","id":"1","source":"/x","type":"t"}`,
		`{"specversion":"1.0","id":"1","source":"/x","type":"t","subject":"s","causationseq":"x"}`} {
		var f Fact
		require.Error(t, json.Unmarshal([]byte(s), &f), s)
	}
}

func TestEveryTypeHasOneHome(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, ty := range Types() {
		require.False(t, seen[ty.Short()], ty)
		seen[ty.Short()] = true
		back, ok := TypeFromShort(ty.Short())
		require.True(t, ok)
		require.Equal(t, ty, back)
		require.NotEmpty(t, ty.Verb())
	}
}

func TestWindowForms(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"expanding", "sliding 7d", "sliding 36h0m0s", "sliding 50000rows", "sliding 12segments"} {
		w, err := ParseWindow(s)
		require.NoError(t, err, s)
		require.Equal(t, s, w.String())
		b, err := json.Marshal(w)
		require.NoError(t, err)
		var back Window
		require.NoError(t, json.Unmarshal(b, &back), string(b))
		require.Equal(t, w, back)
	}
	for _, s := range []string{"", "sliding", "sliding x", "sliding -3d", "sliding 0rows", "7d", "tumbling 3d"} {
		_, err := ParseWindow(s)
		require.Error(t, err, s)
	}
}

func FuzzParseDuration(f *testing.F) {
	f.Add("7d")
	f.Add("1d12h")
	f.Add("x")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err != nil {
			return
		}
		back, err := ParseDuration(d.String())
		if err != nil || back != d {
			t.Fatalf("%q -> %v -> %v %v", s, d, back, err)
		}
	})
}

func FuzzFact(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/x","type":"t","subject":"s","data":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var x Fact
		if json.Unmarshal(b, &x) != nil {
			return
		}
		if _, err := json.Marshal(x); err != nil {
			t.Fatalf("decoded but not encodable: %v", err)
		}
	})
}
