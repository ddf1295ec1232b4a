package resource_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/schemas"
)

func TestCanonicalIsAFixedPoint(t *testing.T) {
	t.Parallel()
	both, err := resource.Parse([]byte(minimal), "minimal.yaml")
	require.NoError(t, err)
	for _, r := range append(both, load(t, flights)...) {
		again, err := resource.FromJSON(r.Canonical)
		require.NoError(t, err)
		require.Equal(t, string(r.Canonical), string(again.Canonical))
		require.Equal(t, r.Digest, again.Digest)
		require.Len(t, r.Digest, 64)
		require.NoError(t, schemas.ValidateResource(r.Kind, r.Canonical))
		require.Equal(t, r.Dataset, again.Dataset)
		require.Equal(t, r.Model, again.Model)
		require.Equal(t, r.Policy, again.Policy)

		// The ledger's encoder escapes and reorders nothing that matters.
		stored, err := json.Marshal(r.Canonical)
		require.NoError(t, err)
		fromLedger, err := resource.FromJSON(stored)
		require.NoError(t, err)
		require.Equal(t, r.Digest, fromLedger.Digest)

		yaml, err := resource.ToYAML(r)
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(yaml, []byte("apiVersion: tidemill.dev/v1\nkind: "+r.Kind+"\n")), string(yaml))
		back, err := resource.Parse(yaml, "got.yaml")
		require.NoError(t, err, string(yaml))
		require.Equal(t, r.Digest, back[0].Digest, string(yaml))
	}
}

func TestDigestIsOfTheMeaning(t *testing.T) {
	t.Parallel()
	digest := func(src string) string {
		t.Helper()
		rs, err := resource.Parse([]byte(src), "f")
		require.NoError(t, err)
		return rs[1].Digest
	}
	want := digest(minimal)
	require.Equal(t, want, digest(strings.Replace(minimal, "{validation: 1d, test: 2d}", "{test: 48h, validation: 24h, gap: 0s, by: time}", 1)))
	require.Equal(t, want, digest("# a comment\n"+minimal))
	require.NotEqual(t, want, digest(strings.Replace(minimal, "test: 2d", "test: 3d", 1)))
}

func TestYAMLOfHardTexts(t *testing.T) {
	t.Parallel()
	r := load(t, flights)[1]
	for _, text := range []string{"a\nb\n", "x = 'it''s' # no comment", "true", "12", "null", "- a", "a: b", "  lead", "trail ", "\ttab", "é\u2028\"\\", "|", "a\n\n  b", "2001-01-01", "~", "0x1f", "*x", "&x", "!x", "%x", "@x", "`x`", "a\r\nb", "\n", "-1.5e3"} {
		b, err := json.Marshal(text)
		require.NoError(t, err)
		changed := strings.Replace(string(r.Canonical), `"name":"flight-delay"`, `"name":"flight-delay","labels":{"l":`+string(b)+`}`, 1)
		one, err := resource.FromJSON([]byte(changed))
		require.NoError(t, err)
		yaml, err := resource.ToYAML(one)
		require.NoError(t, err)
		back, err := resource.Parse(yaml, "f")
		require.NoError(t, err, string(yaml))
		require.Equal(t, text, back[0].Metadata.Labels["l"], string(yaml))
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile(flights)
	require.NoError(t, err)
	old, err := resource.Parse(src, "old.yaml")
	require.NoError(t, err)
	edited := strings.NewReplacer(
		"max: 1440", "max: 2000",
		"- {name: distance, type: float64, min: 0}", "- {name: km, type: float64}",
		"{metric: auc, min: 0.55}", "{metric: auc, min: 0.61}",
		"l2: 1.0", "l2: 2",
		"- maxAge: 28d", "- maxAge: 27d",
		"lateness: 0s", "lateness: 0m",
	).Replace(string(src))
	new, err := resource.Parse([]byte(edited), "new.yaml")
	require.NoError(t, err)

	changes := func(i int) []resource.Change {
		t.Helper()
		c, err := resource.Diff(old[i], new[i])
		require.NoError(t, err)
		return c
	}
	require.Equal(t, []resource.Change{
		{Path: "spec.columns[delay].max", Old: 1440.0, New: 2000.0},
		{Path: "spec.columns[distance]", Old: map[string]any{"name": "distance", "type": "float64", "min": 0.0}},
		{Path: "spec.columns[km]", New: map[string]any{"name": "km", "type": "float64"}},
	}, changes(0))
	model := changes(1)
	require.Len(t, model, 2)
	require.Equal(t, resource.Change{Path: "spec.candidates[logistic].params.l2", Old: 1.0, New: 2.0}, model[0])
	require.Equal(t, "spec.evaluation.gates", model[1].Path)
	require.Equal(t, "spec.when.any", changes(2)[0].Path)

	same, err := resource.Diff(old[0], old[0])
	require.NoError(t, err)
	require.Empty(t, same)
	created, err := resource.Diff(resource.Resource{}, new[0])
	require.NoError(t, err)
	require.Len(t, created, 1)
	require.Nil(t, created[0].Old)
	moved, err := resource.Parse([]byte(strings.Replace(string(src), "    - {name: origin, type: string}\n    - {name: destination, type: string}", "    - {name: destination, type: string}\n    - {name: origin, type: string}", 1)), "f")
	require.NoError(t, err)
	order, err := resource.Diff(old[0], moved[0])
	require.NoError(t, err)
	require.Len(t, order, 1)
	require.Equal(t, "spec.columns", order[0].Path)
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/wrong/*.yaml")
	require.NoError(f, err)
	for _, name := range append(files, flights) {
		src, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(src)
	}
	f.Add([]byte(minimal))
	f.Add([]byte(strings.Repeat("[", 300)))
	f.Add([]byte("a: &a [*a, *a]"))
	f.Add([]byte("? a\n: b\n? [c]\n: d"))
	f.Fuzz(func(t *testing.T, src []byte) {
		rs, err := resource.Parse(src, "f.yaml")
		if err == nil {
			for _, r := range rs {
				again, err := resource.FromJSON(r.Canonical)
				if err != nil || again.Digest != r.Digest {
					t.Fatalf("canonical form of %s %s is not stable: %v\n%s", r.Kind, r.Metadata.Name, err, r.Canonical)
				}
				yaml, err := resource.ToYAML(r)
				if err != nil {
					t.Fatal(err)
				}
				back, err := resource.Parse(yaml, "got.yaml")
				if err != nil || len(back) != 1 || back[0].Digest != r.Digest {
					t.Fatalf("read back otherwise: %v\n%s", err, yaml)
				}
			}
			return
		}
		var all resource.Errors
		if !errors.As(err, &all) || len(all) == 0 {
			t.Fatalf("not Errors: %v", err)
		}
		for _, e := range all {
			if e.Line < 1 || e.Column < 1 || e.Message == "" {
				t.Fatalf("an error without a place: %+v", e)
			}
		}
	})
}

func FuzzFromJSON(f *testing.F) {
	for _, r := range load(f, flights) {
		f.Add([]byte(r.Canonical))
	}
	f.Add([]byte(`{"kind":"Model","spec":1e999}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := resource.FromJSON(src)
		if err != nil {
			return
		}
		if again, err := resource.FromJSON(r.Canonical); err != nil || again.Digest != r.Digest {
			t.Fatalf("not stable: %v\n%s", err, r.Canonical)
		}
	})
}
