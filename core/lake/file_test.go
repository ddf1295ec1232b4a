package lake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/rows"
	"github.com/tidemill/tidemill/core/resource"
)

func put(t testing.TB, b bench, name, body string) lake.File {
	t.Helper()
	format, err := lake.FormatOf(name)
	require.NoError(t, err)
	path := filepath.Join(b.store.Dir(), name)
	require.NoError(t, os.WriteFile(path, []byte(body), 0o600))
	return lake.File{Path: path, Name: name, Format: format}
}

type outcome struct {
	accepted []string // date, delay and origin
	refused  []lake.Refused
}

func readAll(t testing.TB, b bench, f lake.File, c *rows.Checker, offset int64) (out outcome) {
	t.Helper()
	r, err := lake.OpenFile(context.Background(), b.engine, f, c, offset)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	into := c.NewRow()
	for {
		bad, err := r.Next(context.Background(), now, into)
		if errors.Is(err, io.EOF) {
			require.Equal(t, offset+int64(len(out.accepted)+len(out.refused)), r.Offset())
			return out
		}
		require.NoError(t, err)
		if bad != nil {
			require.Equal(t, r.Offset()-1, bad.Offset)
			out.refused = append(out.refused, *bad)
			continue
		}
		out.accepted = append(out.accepted, fmt.Sprintf("%s %v %v", into.Any(c, 0).(time.Time).Format(time.RFC3339Nano), into.Any(c, 1), into.Any(c, 3)))
	}
}

func TestCSV(t *testing.T) {
	t.Parallel()
	b := room(t, 1, "")
	c := compile(t, flights())
	f := put(t, b, "f.csv", "\ufeffdelay;date;origin\r\n1.5;2001-01-01;\"a;\"\"b\"\"\nc\"\r\n\n;2001-01-02;x\n2;2001-01-03\n3;978307200000;\n-999;2001-01-04;SFO\n"+
		"4;2001-01-05;\"open\n5;2001-01-06;\n6;2001-01-07;\"x\"y\nx;2001-01-08;z")
	got := readAll(t, b, f, c, 0)
	require.Equal(t, []string{"2001-01-01T00:00:00Z 1.5 a;\"b\"\nc", "2001-01-01T00:00:00Z 3 <nil>", "2001-01-06T00:00:00Z 5 <nil>"}, got.accepted)
	want := []struct {
		reason      rows.Reason
		raw, detail string
		offset      int64
	}{
		{rows.Missing, `{"delay":null,"date":"2001-01-02","origin":"x"}`, "required", 1},
		{rows.Malformed, "2;2001-01-03", "2 fields, the header has 3", 2},
		{rows.BelowMin, `{"delay":-999,"date":"2001-01-04","origin":"SFO"}`, "below", 4},
		{rows.Malformed, `4;2001-01-05;"open`, "quote", 5},
		{rows.Malformed, `6;2001-01-07;"x"y`, "quote", 7},
		{rows.WrongType, `{"delay":"x","date":"2001-01-08","origin":"z"}`, "finite number", 8},
	}
	require.Len(t, got.refused, len(want))
	for i, w := range want {
		require.Equal(t, w.reason, got.refused[i].Refusal.Reason)
		require.Equal(t, w.raw, got.refused[i].Raw)
		require.Contains(t, got.refused[i].Refusal.Detail, w.detail)
		require.Equal(t, w.offset, got.refused[i].Offset)
	}
}

func TestNDJSON(t *testing.T) {
	t.Parallel()
	b := room(t, 1, "")
	c := compile(t, flights())
	f := put(t, b, "f.ndjson", row(1)+"\r\n\n{\n"+row(2)+"\n{\"x\":\""+strings.Repeat("x", 2<<20)+"\"}\n"+row(3))
	got := readAll(t, b, f, c, 0)
	require.Len(t, got.accepted, 3)
	require.Len(t, got.refused, 2)
	require.Equal(t, "{", got.refused[0].Raw)
	require.Contains(t, got.refused[1].Refusal.Detail, "longer than")
}

// Whatever was done before a crash, the rest of a file is the same rows.
func TestFilesResumeAtAnyRow(t *testing.T) {
	t.Parallel()
	b := room(t, 1, "")
	c := compile(t, flights())
	var nd, csv strings.Builder
	csv.WriteString("date,delay,origin\n")
	for i := range 300 {
		if i%7 == 3 {
			nd.WriteString("broken\n")
			csv.WriteString("broken\n")
			continue
		}
		nd.WriteString(row(i) + "\n")
		fmt.Fprintf(&csv, "2001-01-01,%d,\"A\n%d\"\n", i, i)
	}
	files := []lake.File{put(t, b, "r.ndjson", nd.String()), put(t, b, "r.csv", csv.String()), flightsPart(t, b, 300)}
	for _, f := range files {
		whole := readAll(t, b, f, c, 0)
		rapid.Check(t, func(rt *rapid.T) {
			k := rapid.Int64Range(0, 301).Draw(rt, "offset")
			rest := readAll(t, b, f, c, k)
			var refused []lake.Refused
			for _, x := range whole.refused {
				if x.Offset >= k {
					refused = append(refused, x)
				}
			}
			require.Equal(rt, refused, rest.refused)
			require.ElementsMatch(rt, whole.accepted[len(whole.accepted)-len(rest.accepted):], rest.accepted)
			require.Equal(rt, max(0, int(300-k)), len(rest.accepted)+len(rest.refused))
		})
	}
}

// flightsPart is the first n flights as a file of their own.
func flightsPart(t testing.TB, b bench, n int) lake.File {
	t.Helper()
	abs, err := filepath.Abs(flightsFile)
	require.NoError(t, err)
	path := filepath.Join(b.store.Dir(), fmt.Sprintf("part%d.parquet", n))
	_, err = b.engine.DB().Exec(fmt.Sprintf("COPY (SELECT * FROM %s LIMIT %d) TO %s (FORMAT parquet)", lake.ReadParquet([]string{abs}), n, lake.Literal(path)))
	require.NoError(t, err)
	return lake.File{Path: path, Name: "part.parquet", Format: lake.FormatParquet}
}

func TestRealFlights(t *testing.T) {
	t.Parallel()
	b := room(t, 2, "")
	c := compile(t, flights())
	path, err := filepath.Abs(flightsFile)
	require.NoError(t, err)
	f := lake.File{Path: path, Format: lake.FormatParquet}
	info, err := lake.Inspect(context.Background(), b.engine, f, c)
	require.NoError(t, err)
	require.Equal(t, int64(300_000), info.Rows)
	got := readAll(t, b, f, c, 0)
	require.Len(t, got.accepted, 300_000-len(got.refused))
	require.NotEmpty(t, got.refused, "the data has flights outside the contract")
	for _, x := range got.refused {
		require.Contains(t, []rows.Reason{rows.BelowMin, rows.AboveMax, rows.Missing}, x.Refusal.Reason)
		r := c.NewRow()
		require.Equal(t, &x.Refusal, c.JSON([]byte(x.Raw), now, r), "the raw row is refused alike when it comes as JSON")
	}
}

func TestReleaseReadsQuarantine(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := room(t, 1, "")
	c := compile(t, flights())
	w := lake.NewQuarantineWriter(b.engine, b.store)
	for _, raw := range []string{`{"date":"2001-01-01","delay":-999}`, "{", `{"date":"2001-01-02","delay":5}`} {
		w.Add(lake.Refused{Raw: raw, Refusal: rows.Refusal{Reason: rows.BelowMin}})
	}
	blob, err := w.Write(ctx)
	require.NoError(t, err)
	path, err := b.store.Local(ctx, *blob)
	require.NoError(t, err)
	f := lake.File{Path: path, Format: lake.FormatQuarantine}
	got := readAll(t, b, f, c.Lenient(), 0)
	require.Equal(t, []string{"2001-01-01T00:00:00Z -999 <nil>", "2001-01-02T00:00:00Z 5 <nil>"}, got.accepted)
	require.Len(t, got.refused, 1)
	require.Len(t, readAll(t, b, f, c, 1).accepted, 1)
}

func TestBadFilesSayWhatToDo(t *testing.T) {
	t.Parallel()
	b := room(t, 1, "")
	c := compile(t, flights())
	good, err := os.ReadFile(flightsPart(t, b, 1000).Path)
	require.NoError(t, err)
	cases := map[string]lake.File{
		"cut.parquet is not a complete Parquet file: its footer is missing":           put(t, b, "cut.parquet", string(good[:len(good)/2])),
		"text.parquet is not a complete Parquet file: it does not begin with PAR1":    put(t, b, "text.parquet", "date,delay\n2001-01-01,1\n"),
		"empty.parquet is not a complete Parquet file":                                put(t, b, "empty.parquet", ""),
		"junk.parquet is not a complete Parquet file":                                 put(t, b, "junk.parquet", "PAR1xxxxxxxxxxxxxxxxPAR1"),
		`typo.csv has a column "dealy": the dataset has no such column; did you mean`: put(t, b, "typo.csv", "date,dealy\n"),
		`less.csv has no column "delay", which the dataset requires`:                  put(t, b, "less.csv", "date,origin\n"),
		`twice.csv has the column "date" twice`:                                       put(t, b, "twice.csv", "date,date,delay\n"),
		`nothing.csv is empty`:                                                        put(t, b, "nothing.csv", ""),
		`broken.csv has a broken first line`:                                          put(t, b, "broken.csv", "date,\"delay\n"),
		`x.xlsx has the unknown format "xlsx"`:                                        {Path: put(t, b, "x.csv", "").Path, Name: "x.xlsx", Format: "xlsx"},
	}
	wrong := filepath.Join(b.store.Dir(), "wrong.parquet")
	_, err = b.engine.DB().Exec("COPY (SELECT now()::TIMESTAMP AS date, '1' AS delay) TO " + lake.Literal(wrong))
	require.NoError(t, err)
	cases[`wrong.parquet has the column "delay" as VARCHAR, but it is float64 in the dataset`] = lake.File{Path: wrong, Format: lake.FormatParquet}
	for text, f := range cases {
		_, err := lake.OpenFile(context.Background(), b.engine, f, c, 0)
		require.ErrorContains(t, err, text)
		require.ErrorIs(t, err, lake.ErrBadFile)
		_, err = lake.Inspect(context.Background(), b.engine, f, c)
		require.ErrorContains(t, err, text)
	}
	_, err = lake.FormatOf("x.xlsx")
	require.ErrorContains(t, err, "name it .parquet")
	// Bytes changed in the middle of a complete file: found when they are read.
	spoiled := bytes.Clone(good)
	for i := 100; i < 2000; i++ {
		spoiled[i] ^= 0x5a
	}
	r, err := lake.OpenFile(context.Background(), b.engine, put(t, b, "spoiled.parquet", string(spoiled)), c, 0)
	require.NoError(t, err)
	_, err = r.Next(context.Background(), now, c.NewRow())
	require.ErrorIs(t, err, lake.ErrBadFile)
	require.ErrorContains(t, err, "spoiled.parquet cannot be read from row 0 on")
}

func TestParquetTypesAreConverted(t *testing.T) {
	t.Parallel()
	b := room(t, 1, "")
	spec := &resource.DatasetSpec{Columns: []resource.Column{{Name: "t", Type: resource.TypeTimestamp, EventTime: true},
		{Name: "f", Type: resource.TypeFloat64}, {Name: "i", Type: resource.TypeInt64}, {Name: "s", Type: resource.TypeString}}}
	c := compile(t, spec)
	path := filepath.Join(b.store.Dir(), "types.parquet")
	for _, sel := range []string{"DATE '2001-01-01' AS t, 1.5::DECIMAL(9,2) AS f, 2::UBIGINT AS i, 'x'::ENUM('x') AS s",
		"TIMESTAMPTZ '2001-01-01 00:00:00+00' AS t, 1.5::FLOAT AS f, 2.0::DOUBLE AS i, 'x' AS s",
		"978307200000::BIGINT AS t, 1.5 AS f, 2::TINYINT AS i, 'x' AS s",
		"'2001-01-01T01:00:00+01:00' AS t, 1.5::DOUBLE AS f, 2::HUGEINT AS i, 'x' AS s",
		"TIMESTAMP_NS '2001-01-01' AS t, 1.5::DOUBLE AS f, 2 AS i, 'x' AS s"} {
		_, err := b.engine.DB().Exec("COPY (SELECT " + sel + ") TO " + lake.Literal(path) + " (FORMAT parquet)")
		require.NoError(t, err)
		r, err := lake.OpenFile(context.Background(), b.engine, lake.File{Path: path, Format: lake.FormatParquet}, c, 0)
		require.NoError(t, err, sel)
		into := c.NewRow()
		bad, err := r.Next(context.Background(), now, into)
		require.NoError(t, err)
		require.Nil(t, bad, "%s: %v", sel, bad)
		require.Equal(t, []any{time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), 1.5, int64(2), "x"},
			[]any{into.Any(c, 0), into.Any(c, 1), into.Any(c, 2), into.Any(c, 3)}, sel)
	}
}

func TestInfer(t *testing.T) {
	t.Parallel()
	b := room(t, 2, "")
	ctx := context.Background()
	path, err := filepath.Abs(flightsFile)
	require.NoError(t, err)
	columns, n, err := lake.Infer(ctx, b.engine, lake.File{Path: path, Format: lake.FormatParquet})
	require.NoError(t, err)
	require.Equal(t, int64(300_000), n)
	require.Equal(t, []string{"date", "delay", "distance", "origin", "destination"},
		[]string{columns[0].Name, columns[1].Name, columns[2].Name, columns[3].Name, columns[4].Name})
	require.Equal(t, resource.TypeTimestamp, columns[0].Type)
	require.Equal(t, resource.TypeString, columns[3].Type)
	require.InDelta(t, 229, columns[3].Distinct, 40)
	require.True(t, strings.HasPrefix(columns[0].Min, "2001-01-01"), columns[0].Min)

	for _, f := range []lake.File{put(t, b, "i.csv", "at,n,x,ok,kind\n2001-01-01 10:00:00,1,1.5,true,b\n2001-01-02 10:00:00,2,2,false,a\n2001-01-03 10:00:00,,3,true,a\n"),
		put(t, b, "i.ndjson", `{"at":"2001-01-01 10:00:00","n":1,"x":1.5,"ok":true,"kind":"b"}`+"\n"+`{"at":"2001-01-02 10:00:00","n":2,"x":2,"ok":false,"kind":"a"}`+"\n"+`{"at":"2001-01-03 10:00:00","n":null,"x":3,"ok":true,"kind":"a"}`)} {
		columns, n, err = lake.Infer(ctx, b.engine, f)
		require.NoError(t, err)
		require.Equal(t, int64(3), n)
		var types []string
		for _, c := range columns {
			types = append(types, c.Type)
		}
		require.Equal(t, []string{"timestamp", "int64", "float64", "boolean", "string"}, types)
		require.Equal(t, int64(1), columns[1].Nulls)
		require.Equal(t, []string{"a", "b"}, columns[4].Values)
	}
	_, _, err = lake.Infer(ctx, b.engine, put(t, b, "nested.ndjson", `{"a":{"b":1}}`))
	require.ErrorContains(t, err, "flatten it")
	_, _, err = lake.Infer(ctx, b.engine, put(t, b, "cut.parquet", "PAR1"))
	require.ErrorIs(t, err, lake.ErrBadFile)
}

func FuzzCSV(f *testing.F) {
	f.Add("date,delay\n2001-01-01,1\n")
	f.Add("date,delay\n\"2001-01-01\",\"1\n2\"\"\n\"\n,\r\n")
	f.Add("a;b\n\"")
	b := room(f, 1, "")
	c := compile(f, flights())
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, body string) {
		path := filepath.Join(dir, "x.csv")
		require.NoError(t, os.WriteFile(path, []byte("date,delay\n"+body), 0o600))
		file := lake.File{Path: path, Format: lake.FormatCSV}
		got := readAll(t, b, file, c, 0)
		if most := strings.Count(body, "\n") + 1; len(got.accepted)+len(got.refused) > most {
			t.Fatalf("%q: %d rows in %d lines", body, len(got.accepted)+len(got.refused), most)
		}
	})
}

func BenchmarkFlightsFile(b *testing.B) {
	x := room(b, 2, "")
	c := compile(b, flights())
	path, err := filepath.Abs(flightsFile)
	require.NoError(b, err)
	for b.Loop() {
		r, err := lake.OpenFile(context.Background(), x.engine, lake.File{Path: path, Format: lake.FormatParquet}, c, 0)
		require.NoError(b, err)
		into := c.NewRow()
		for err == nil {
			_, err = r.Next(context.Background(), now, into)
		}
		require.ErrorIs(b, err, io.EOF)
	}
}
