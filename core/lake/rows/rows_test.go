package rows_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
)

func ptr[T any](v T) *T { return &v }

var now = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func flights() *resource.DatasetSpec {
	return &resource.DatasetSpec{
		Columns: []resource.Column{
			{Name: "date", Type: resource.TypeTimestamp, EventTime: true},
			{Name: "delay", Type: resource.TypeFloat64, Required: true, Min: ptr(-120.0), Max: ptr(1440.0)},
			{Name: "distance", Type: resource.TypeInt64, Min: ptr(0.0)},
			{Name: "origin", Type: resource.TypeString, Values: []string{"SFO", "JFK", "Zürich"}},
			{Name: "cancelled", Type: resource.TypeBoolean},
		},
		Clock: resource.Clock{MaxFuture: events.Duration(10 * time.Minute)},
	}
}

func compile(t testing.TB, spec *resource.DatasetSpec) *rows.Checker {
	t.Helper()
	c, err := rows.Compile(spec)
	require.NoError(t, err)
	return c
}

func TestAcceptedRows(t *testing.T) {
	t.Parallel()
	c := compile(t, flights())
	r := c.NewRow()
	jan := time.Date(2001, 1, 1, 6, 30, 0, 0, time.UTC)
	for body, want := range map[string][]any{
		`{"date":"2001-01-01T06:30:00Z","delay":1.5,"distance":300,"origin":"SFO","cancelled":true}`:               {jan, 1.5, int64(300), "SFO", true},
		` { "cancelled" : false , "delay":-1e1, "date":"2001-01-01 06:30:00" } `:                                   {jan, -10.0, nil, nil, false},
		`{"date":"2001-01-01T08:30:00.000001+02:00","delay":0,"origin":null,"distance":3.0}`:                       {jan.Add(time.Microsecond), 0.0, int64(3), nil, nil},
		`{"date":978330600000,"delay":0,"origin":"Z\u00fcrich"}`:                                                   {jan, 0.0, nil, "Zürich", nil},
		`{"da\u0074e":"2001-01-01T06:30:00\u002b00:00","delay":0,"origin":"Zürich"}`:                               {jan, 0.0, nil, "Zürich", nil},
		`{"date":"2001-01-01","delay":1440}`:                                                                       {jan.Add(-390 * time.Minute), 1440.0, nil, nil, nil},
		`{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"date":"2001-01-01T06:30:00Z","delay":2}}`: {jan, 2.0, nil, nil, nil},
		`{"data_base64":"eyJkYXRlIjoiMjAwMS0wMS0wMSIsImRlbGF5IjoxfQ==","specversion":"1.0"}`:                       {jan.Add(-390 * time.Minute), 1.0, nil, nil, nil},
		`{"date":"2024-05-01T12:10:00Z","delay":1}`:                                                                {now.Add(10 * time.Minute), 1.0, nil, nil, nil},
	} {
		bad := c.JSON([]byte(body), now, r)
		require.Nil(t, bad, body)
		for i, w := range want {
			require.Equal(t, w, r.Any(c, i), "%s column %d", body, i)
		}
		require.Equal(t, want[0].(time.Time).UnixMicro(), r.Time)
	}
}

func TestRefusedRows(t *testing.T) {
	t.Parallel()
	c := compile(t, flights())
	r := c.NewRow()
	for _, x := range []struct {
		body, column, detail string
		reason               rows.Reason
	}{
		{``, "", "empty", rows.Malformed},
		{`[]`, "", "begins with", rows.Malformed},
		{`{"date":"2001-01-01","delay":1`, "", "ends in the middle", rows.Malformed},
		{`{"date":"2001-01-01","delay":1}{}`, "", "more follows", rows.Malformed},
		{`{"date":"2001-01-01","delay":1,"delay":2}`, "", "twice", rows.Malformed},
		{`{"date":"2001-01-01","delay":01}`, "", "unexpected", rows.Malformed},
		{`{"date":"2001-01-01","delay":NaN}`, "", "unexpected", rows.Malformed},
		{"{\"origin\":\"\xff\"}", "", "UTF-8", rows.Malformed},
		{`{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "", "nests deeper", rows.Malformed},
		{`{"specversion":"1.0","id":"1"}`, "", "no data", rows.Malformed},
		{`{"date":"2001-01-01","dealy":1}`, "dealy", `did you mean "delay"?`, rows.UnknownColumn},
		{`{"date":"2001-01-01","colour_of_plane":1}`, "colour_of_plane", "no such column", rows.UnknownColumn},
		{`{"date":"2001-01-01","delay":"1"}`, "delay", `"1" is a text, the column is float64`, rows.WrongType},
		{`{"date":"2001-01-01","delay":{"a":1}}`, "delay", "an object", rows.WrongType},
		{`{"date":"2001-01-01","delay":1e999}`, "delay", "finite", rows.WrongType},
		{`{"date":"2001-01-01","delay":1,"distance":1.5}`, "distance", "whole number", rows.WrongType},
		{`{"date":"2001-01-01","delay":1,"distance":9223372036854775808}`, "distance", "whole number", rows.WrongType},
		{`{"date":"2001-02-29","delay":1}`, "date", "RFC 3339", rows.WrongType},
		{`{"date":1.5,"delay":1}`, "date", "milliseconds", rows.WrongType},
		{`{"date":"2001-01-01","delay":1,"origin":"S\u0000O"}`, "origin", "NUL", rows.WrongType},
		{`{"date":"2001-01-01"}`, "delay", "required", rows.Missing},
		{`{"date":null,"delay":1}`, "date", "required", rows.Missing},
		{`{"date":"2001-01-01","delay":-1116}`, "delay", "-1116 is below the minimum -120", rows.BelowMin},
		{`{"date":"2001-01-01","delay":1440.5}`, "delay", "1440.5 is above the maximum 1440", rows.AboveMax},
		{`{"date":"2001-01-01","delay":1,"distance":-1}`, "distance", "below", rows.BelowMin},
		{`{"date":"2001-01-01","delay":1,"origin":"SFX"}`, "origin", `did you mean "SFO"?`, rows.NotInDomain},
		{`{"date":"2099-01-01","delay":1}`, "date", "maxFuture", rows.Future},
		{`{"date":"2024-05-01T12:10:00.000001Z","delay":1}`, "date", "maxFuture", rows.Future},
		{`{"date":"2001-01-01","delay":1,"origin":"` + strings.Repeat("x", rows.MaxText+1) + `"}`, "origin", "at most", rows.TooLong},
	} {
		bad := c.JSON([]byte(x.body), now, r)
		require.NotNil(t, bad, x.body)
		require.Equal(t, x.reason, bad.Reason, "%s: %v", x.body, bad)
		require.Equal(t, x.column, bad.Column, x.body)
		require.Contains(t, bad.Error(), x.detail, x.body)
	}
}

func TestLenientLetsValueViolationsPass(t *testing.T) {
	t.Parallel()
	spec := flights()
	spec.OnViolation = "warn"
	c := compile(t, spec)
	r := c.NewRow()
	require.Nil(t, c.JSON([]byte(`{"date":"2001-01-01","delay":-1116,"origin":"LAX"}`), now, r))
	require.Len(t, r.Warnings, 2)
	require.Equal(t, rows.BelowMin, r.Warnings[0].Reason)
	require.Equal(t, -1116.0, r.Values[1].F)
	require.Nil(t, c.JSON([]byte(`{"date":"2001-01-01","delay":1}`), now, r))
	require.Empty(t, r.Warnings)
	require.Equal(t, rows.Missing, c.JSON([]byte(`{"date":"2001-01-01"}`), now, r).Reason)
	require.Equal(t, rows.Future, c.JSON([]byte(`{"date":"2099-01-01","delay":1}`), now, r).Reason)
}

func TestTextsAndValues(t *testing.T) {
	t.Parallel()
	c := compile(t, flights())
	r := c.NewRow()
	at := []int{4, 0, 1, 2}
	text := func(f ...string) [][]byte {
		var out [][]byte
		for _, s := range f {
			out = append(out, []byte(s))
		}
		return out
	}
	require.Nil(t, c.Texts(at, text("TRUE", "2001-01-01 00:00:00.5", " 1.5", ""), now, r))
	require.Equal(t, []any{time.Date(2001, 1, 1, 0, 0, 0, 5e8, time.UTC), 1.5, nil, nil, true},
		[]any{r.Any(c, 0), r.Any(c, 1), r.Any(c, 2), r.Any(c, 3), r.Any(c, 4)})
	require.Equal(t, rows.WrongType, c.Texts(at, text("yes", "2001-01-01", "1", ""), now, r).Reason)
	require.Equal(t, rows.WrongType, c.Texts(at, text("", "2001-01-01", "Inf", ""), now, r).Reason)
	require.Equal(t, rows.Missing, c.Texts(at, text("", "2001-01-01", "nan", ""), now, r).Reason)

	require.Nil(t, c.Values(at, []any{false, now, int32(7), 3.0}, now, r))
	require.Equal(t, 7.0, r.Values[1].F)
	require.Equal(t, int64(3), r.Values[2].I)
	require.Equal(t, rows.Missing, c.Values(at, []any{nil, now, math.NaN(), nil}, now, r).Reason)
	require.Equal(t, rows.WrongType, c.Values(at, []any{nil, now, "x", nil}, now, r).Reason)
}

func TestCompileRefusesAmbiguousColumns(t *testing.T) {
	t.Parallel()
	for text, change := range map[string]func(s *resource.DatasetSpec){
		"differ by case":     func(s *resource.DatasetSpec) { s.Columns[2].Name = "Delay" },
		"exactly one column": func(s *resource.DatasetSpec) { s.Columns[0].Type = resource.TypeString },
		"eventTime: true":    func(s *resource.DatasetSpec) { s.Columns[0].EventTime = false },
		`has type "decimal"`: func(s *resource.DatasetSpec) { s.Columns[1].Type = "decimal" },
	} {
		spec := flights()
		change(spec)
		_, err := rows.Compile(spec)
		require.ErrorContains(t, err, text)
	}
}

func TestTimesAgreeWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	c := compile(t, flights())
	r := c.NewRow()
	rapid.Check(t, func(t *rapid.T) {
		zone := time.FixedZone("", 60*rapid.IntRange(-14*60, 14*60).Draw(t, "minutes"))
		want := time.UnixMicro(rapid.Int64Range(-62135510400_000000, 1714564800_000000).Draw(t, "µs")).In(zone)
		body, err := json.Marshal(map[string]any{"date": want, "delay": 1})
		require.NoError(t, err)
		require.Nil(t, c.JSON(body, now, r), string(body))
		require.Equal(t, want.UnixMicro(), r.Time, string(body))
	})
}

// FuzzJSON holds the decoder against encoding/json: what it calls malformed is no JSON object, and what it accepts has the
// same values there.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"date":"2001-01-01T06:30:00Z","delay":1.5,"distance":300,"origin":"SFO","cancelled":true}`,
		`{"date":978330600000,"delay":-0.0e-2,"origin":"Z\u00fcrich"}`, `{"specversion":"1.0","data":{"date":1,"delay":1}}`,
		`{"date":"2001-01-01","delay":1,"x":[1,{"a":null}]}`, `{"a":"\ud800"}`, `{`, `{"a":1,}`, "\ufeff{}"} {
		f.Add([]byte(s))
	}
	spec := flights()
	spec.Columns[3].Values = nil
	c := compile(f, spec)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := c.NewRow()
		bad := c.JSON(b, now, r)
		var plain map[string]any
		err := json.Unmarshal(b, &plain)
		if bad != nil {
			if bad.Reason != rows.Malformed && err != nil {
				t.Fatalf("%q is refused as %v, but is no JSON: %v", b, bad, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q is accepted, but is no JSON: %v", b, err)
		}
		if data, ok := plain["data"].(map[string]any); ok {
			plain = data
		} else if _, ok := plain["data_base64"]; ok {
			return
		}
		if want, ok := plain["delay"].(float64); !ok || want != r.Values[1].F {
			t.Fatalf("%q: delay %v, not %v", b, r.Values[1].F, plain["delay"])
		}
		if want, _ := plain["origin"].(string); want != r.Values[3].S {
			t.Fatalf("%q: origin %q, not %q", b, r.Values[3].S, want)
		}
		if want, _ := plain["cancelled"].(bool); want != (r.Values[4].I == 1) {
			t.Fatalf("%q: cancelled", b)
		}
	})
}

func BenchmarkJSON(b *testing.B) {
	c := compile(b, flights())
	r := c.NewRow()
	body := []byte(`{"date":"2001-01-01T06:30:00Z","delay":-12,"distance":1300,"origin":"SFO","cancelled":true}`)
	b.ReportAllocs()
	for b.Loop() {
		if bad := c.JSON(body, now, r); bad != nil {
			b.Fatal(bad)
		}
	}
}
