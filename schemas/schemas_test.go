package schemas_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/schemas"
)

func TestEverySchemaIsJSONSchema2020(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, len(schemas.Names()), len(schemas.Facts())+len(schemas.Kinds())+1)
	for _, name := range schemas.Names() {
		b, err := schemas.File(name)
		require.NoError(t, err)
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
		require.NoError(t, err, name)
		meta, err := jsonschema.NewCompiler().Compile("https://json-schema.org/draft/2020-12/schema")
		require.NoError(t, err)
		require.NoError(t, meta.Validate(doc), name)
		require.Equal(t, "https://json-schema.org/draft/2020-12/schema", doc.(map[string]any)["$schema"], name)
	}
	_, err := schemas.File("facts/examples/model.ready.v1.json")
	require.Error(t, err, "an example is no schema")
}

// TestEveryFieldIsExplained keeps the resource schemas useful in an editor: every property says what it is.
func TestEveryFieldIsExplained(t *testing.T) {
	t.Parallel()
	for _, kind := range schemas.Kinds() {
		b, err := schemas.Resource(kind)
		require.NoError(t, err)
		var root map[string]any
		require.NoError(t, json.Unmarshal(b, &root))
		explained := func(s map[string]any) bool {
			if _, ok := s["description"]; ok {
				return true
			}
			ref, ok := s["$ref"].(string)
			if !ok {
				return false
			}
			_, ok = root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)["description"]
			return ok
		}
		var walk func(path string, v any)
		walk = func(path string, v any) {
			m, ok := v.(map[string]any)
			if !ok {
				return
			}
			props, ok := m["properties"].(map[string]any)
			if ok {
				require.Equal(t, false, m["additionalProperties"], "%s%s takes unknown fields", kind, path)
			}
			for name, p := range props {
				require.True(t, explained(p.(map[string]any)), "%s%s.%s has no description", kind, path, name)
			}
			for k, c := range m {
				if k != "examples" && k != "default" {
					walk(path+"."+k, c)
				}
			}
		}
		walk("", root)
	}
}

func TestResourceExamplesKeepTheirSchema(t *testing.T) {
	t.Parallel()
	for _, kind := range schemas.Kinds() {
		b, err := schemas.Resource(kind)
		require.NoError(t, err)
		var s struct{ Examples []json.RawMessage }
		require.NoError(t, json.Unmarshal(b, &s))
		require.NotEmpty(t, s.Examples, kind)
		for _, e := range s.Examples {
			require.NoError(t, schemas.ValidateResource(kind, e), kind)
			require.NoError(t, schemas.ValidateAny(e), kind)
			broken := strings.Replace(string(e), `"spec":`, `"sepc":`, 1)
			require.Error(t, schemas.ValidateResource(kind, []byte(broken)), kind)
			require.Error(t, schemas.ValidateAny([]byte(broken)), kind)
		}
	}
	require.Error(t, schemas.ValidateAny([]byte(`{"apiVersion":"tidemill.dev/v1","kind":"Modle","metadata":{"name":"a"},"spec":{}}`)))
	require.ErrorContains(t, schemas.ValidateResource("Modle", []byte(`{}`)), "must be one of Dataset, Model, RetrainingPolicy")
	require.ErrorContains(t, schemas.ValidateResource("Model", []byte(`{`)), "not JSON")
}

func TestFactExamplesKeepTheirSchema(t *testing.T) {
	t.Parallel()
	require.Len(t, schemas.Facts(), 30)
	for _, short := range schemas.Facts() {
		t.Run(short, func(t *testing.T) {
			t.Parallel()
			b, err := schemas.Example(short)
			require.NoError(t, err)
			require.NoError(t, schemas.ValidateFact(short, b))

			grown := change(t, b, func(e map[string]any) {
				e["extension"] = "x"
				e["data"].(map[string]any)["fieldOfNextYear"] = map[string]any{"a": 1}
			})
			require.NoError(t, schemas.ValidateFact(short, grown), "unknown fields are welcome")
			require.Error(t, schemas.ValidateFact(short, change(t, b, func(e map[string]any) { e["type"] = "dev.tidemill.other.thing.v1" })))
			require.Error(t, schemas.ValidateFact(short, change(t, b, func(e map[string]any) { e["time"] = "yesterday" })))
			require.Error(t, schemas.ValidateFact(short, change(t, b, func(e map[string]any) { e["causationseq"] = 12 })))
			for _, attr := range []string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"} {
				require.Error(t, schemas.ValidateFact(short, change(t, b, func(e map[string]any) { delete(e, attr) })), "without %s", attr)
			}
			for _, field := range required(t, short) {
				require.Error(t, schemas.ValidateFact(short, change(t, b, func(e map[string]any) { delete(e["data"].(map[string]any), field) })), "without data.%s", field)
				require.Error(t, schemas.ValidateFact(short, change(t, b, func(e map[string]any) {
					e["data"].(map[string]any)[field] = []any{struct{}{}, 1, "x"}
				})), "with a list for data.%s", field)
			}
		})
	}
	require.ErrorContains(t, schemas.ValidateFact("model.reday", nil), `no fact "model.reday"`)
}

// change returns the event with an edit.
func change(t *testing.T, b []byte, edit func(map[string]any)) []byte {
	t.Helper()
	var e map[string]any
	require.NoError(t, json.Unmarshal(b, &e))
	edit(e)
	out, err := json.Marshal(e)
	require.NoError(t, err)
	return out
}

// required lists the required fields of a fact's payload.
func required(t *testing.T, short string) []string {
	t.Helper()
	b, err := schemas.Fact(short)
	require.NoError(t, err)
	var s struct {
		Properties struct{ Data struct{ Required []string } }
	}
	require.NoError(t, json.Unmarshal(b, &s))
	require.NotEmpty(t, s.Properties.Data.Required, short)
	return s.Properties.Data.Required
}
