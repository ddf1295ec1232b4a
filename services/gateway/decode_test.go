package gateway

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func count(csv bool, parts ...string) int64 {
	c := &counter{csv: csv}
	for _, p := range parts {
		_, _ = c.Write([]byte(p))
	}
	return c.rows()
}

func TestRecordsAreCounted(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"": 0, "\n \r\n": 0, "{}": 1, "{}\n\n{}\r\n": 2, "{}\n{}": 2} {
		require.Equal(t, want, count(false, text), "%q", text)
	}
	for text, want := range map[string]int64{"": 0, "a,b": 0, "a,b\n1,2": 1, "a\n\n1\n \n2\n": 2, "a\n\"x\ny\"\n2\n": 2, "a\n\"x\"\"\n\"\n": 1, "a\n\"x\n2\n": -1} {
		require.Equal(t, want, count(true, text), "%q", text)
	}
}

// FuzzCounter: how a body is cut into reads doesn't matter.
func FuzzCounter(f *testing.F) {
	f.Add("a,b\n\"x\n\",2\n", uint8(4), true)
	f.Add("{}\n\n{}", uint8(3), false)
	f.Fuzz(func(t *testing.T, text string, at uint8, csv bool) {
		cut := min(int(at), len(text))
		if whole, parts := count(csv, text), count(csv, text[:cut], text[cut:]); whole != parts {
			t.Fatalf("%q has %d records, cut at %d it has %d", text, whole, cut, parts)
		}
	})
}

// FuzzDocuments: whatever is taken as rows is JSON, and a body of JSON alone is never lost.
func FuzzDocuments(f *testing.F) {
	f.Add([]byte(`[{"a":1},2]`), formatJSON)
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/x","type":"t","data":{"a":1}}`), formatEvent)
	f.Fuzz(func(t *testing.T, body []byte, format string) {
		rows, err := documents(body, format)
		if err != nil {
			return
		}
		for _, r := range rows {
			if format == formatJSON && !json.Valid(r) {
				t.Fatalf("%q is no JSON", r)
			}
		}
		if len(rows) == 0 && !bytes.Equal(bytes.TrimSpace(body), []byte("null")) && bytes.ContainsAny(body, "0123456789") {
			t.Fatalf("%q has no rows", body)
		}
	})
}
