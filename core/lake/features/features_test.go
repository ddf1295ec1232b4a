package features_test

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/lake/features"
	"github.com/tidemill/tidemill/core/resource"
)

// The machine's zone must not matter: run as if far from UTC.
func TestMain(m *testing.M) {
	if err := os.Setenv("TZ", "America/New_York"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

const (
	flightsFile = "../../../examples/flights/flights.parquet"
	flightsSQL  = "hour(date)::VARCHAR AS hour, dayofweek(date)::VARCHAR AS dow, distance, origin, destination"
	late        = "delay >= 15"
)

func flights() *resource.DatasetSpec {
	return &resource.DatasetSpec{Columns: []resource.Column{
		{Name: "date", Type: resource.TypeTimestamp, EventTime: true}, {Name: "delay", Type: resource.TypeFloat64},
		{Name: "distance", Type: resource.TypeFloat64}, {Name: "origin", Type: resource.TypeString}, {Name: "destination", Type: resource.TypeString}}}
}

func engine(t testing.TB) (*lake.Engine, string) {
	t.Helper()
	dir := t.TempDir()
	examples, err := filepath.Abs(filepath.Dir(flightsFile))
	require.NoError(t, err)
	e, err := lake.OpenEngine(context.Background(), lake.EngineOptions{Threads: 2, Dirs: []string{dir, examples}, Scratch: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e, dir
}

func real(t testing.TB) []string {
	t.Helper()
	path, err := filepath.Abs(flightsFile)
	require.NoError(t, err)
	return []string{path}
}

func compile(t testing.TB, e *lake.Engine, featuresSQL, labelSQL, task string) *features.Features {
	t.Helper()
	f, err := features.Compile(context.Background(), e, flights(), featuresSQL, labelSQL, task)
	require.NoError(t, err)
	return f
}

func TestCompileFlights(t *testing.T) {
	t.Parallel()
	e, _ := engine(t)
	f := compile(t, e, flightsSQL+" -- the end", late+" -- fifteen", resource.TaskBinary)
	require.Equal(t, []string{"hour", "dow", "distance", "origin", "destination"}, f.Names)
	require.Equal(t, []features.Kind{features.Text, features.Text, features.Number, features.Text, features.Text}, f.Kinds)
	require.Equal(t, []string{"date", "distance", "origin", "destination"}, f.Used)
	require.Equal(t, []string{"delay"}, f.LabelUsed)
	require.Equal(t, features.Boolean, f.LabelKind)
}

func TestAllowedExpressions(t *testing.T) {
	t.Parallel()
	e, _ := engine(t)
	for _, sql := range []string{
		"Distance", "t.distance", `"distance" AS "a.b-c"`, "distance + 1 AS a, -distance AS b, distance % 7 AS c, distance ** 2 AS d",
		"CASE WHEN distance > 100 THEN 'far' ELSE 'near' END AS a", "distance BETWEEN 1 AND 2 AS a", "origin IN ('SFO', 'JFK') AS a",
		"coalesce(distance, 0) AS a", "distance IS NULL AS a", "NOT (distance > 1 AND distance < 5 OR origin = 'x') AS a",
		"origin LIKE 'S%' AS a", "origin || '-' || destination AS route", "lower(origin) AS a", "ln(distance + 1)::FLOAT AS a",
		"nullif(distance, 0) AS a", "date_trunc('day', date)::VARCHAR AS a", "extract(hour FROM date) AS a", "TRY_CAST(origin AS INTEGER) AS a",
		"distance::DECIMAL(9,2) AS a", "age(date, TIMESTAMP '2000-01-01')::VARCHAR AS a", "epoch(date - INTERVAL 1 DAY) AS a",
		"origin IS NOT DISTINCT FROM destination AS a", "sin(2*pi()*hour(date)/24) AS a", "regexp_matches(origin, '^S') AS a", "1 AS one",
	} {
		_, err := features.Compile(context.Background(), e, flights(), sql, late, resource.TaskBinary)
		require.NoError(t, err, sql)
	}
}

func TestRefusedExpressions(t *testing.T) {
	t.Parallel()
	e, dir := engine(t)
	secret := filepath.Join(dir, "x.csv")
	require.NoError(t, os.WriteFile(secret, []byte("a\n1\n"), 0o600))
	for sql, text := range map[string]string{
		"":                                                "empty",
		"epoch(now()) AS a":                               `features near "now()) AS a": now() depends on when or where it runs`,
		"current_date::VARCHAR AS a":                      "no column \"current_date\"",
		"current_timestamp::VARCHAR AS a":                 "no column",
		"today()::VARCHAR AS a":                           "depends on when",
		"random() AS a":                                   "depends on when",
		"uuid()::VARCHAR AS a":                            "depends on when",
		"age(date)::VARCHAR AS a":                         "depends on the clock",
		"getenv('HOME') AS a":                             "there is no function getenv()",
		"current_setting('threads')::VARCHAR AS a":        "depends on more than the row",
		"getvariable('x') AS a":                           "depends on more than the row",
		"current_user AS a":                               "no column",
		"current_database() AS a":                         "depends on when or where",
		"nextval('s') AS a":                               "depends on when or where",
		"error('x') AS a":                                 "depends on when or where",
		"read_text('" + secret + "') AS a":                "makes tables",
		"(SELECT a FROM read_csv('" + secret + "')) AS a": "subqueries",
		"distance IN (SELECT 1) AS a":                     "subqueries",
		"EXISTS (SELECT 1) AS a":                          "subqueries",
		"sum(distance) AS a":                              "is an aggregate",
		"count(*) AS a":                                   "is an aggregate",
		"count(DISTINCT origin) AS a":                     "aggregate",
		"sum(distance) FILTER (distance > 1) AS a":        "aggregate",
		"row_number() OVER () AS a":                       "windows",
		"lag(distance) OVER (ORDER BY date) AS a":         "windows",
		"*":                  "name the columns",
		"columns('d.*')":     "name the columns",
		"unnest([1,2]) AS a": "unnest",
		"list_transform([1], lambda x: x + 1)[1] AS a": "lambda",
		"distance + ? AS a":                            "parameters",
		"distance + $1 AS a":                           "parameters",
		"distance > delay AS a":                        "the label is made of delay, so no feature may use it",
		"DELAY":                                        "the label is made of delay",
		"t.delay":                                      "the label is made of delay",
		"distance + 1":                                 "no name; write … AS name",
		"distance AS a, origin AS A":                   "two features \"A\"",
		"distance AS \"a b\"":                          "is not allowed; begin with a letter",
		"distance AS label":                            "is the label's",
		"date":                                         "date is a TIMESTAMP, which a model cannot take",
		"[distance] AS a":                              "DOUBLE[]",
		"{'a': distance} AS a":                         "STRUCT",
		"origin COLLATE nocase AS a":                   "collations",
		"origin::JSON AS a":                            "cast to this type",
		"'t'::regclass AS a":                           "cast to this type",
		"pg_catalog.lower(origin) AS a":                "without a schema",
		"speed":                                        `no column "speed"; its columns are date, delay, distance`,
		"distance FROM t; DROP TABLE t":                "",
		"distance; SELECT origin":                      "only a list of expressions",
		"distance FROM t WHERE true UNION SELECT 1":    "",
		"distance FROM read_csv('" + secret + "') AS t WHERE distance IN (SELECT 1": "features:",
		"distance FROM t, t AS u --": "features:",
		"distance ORDER BY":          "",
		"distance +":                 `features: syntax error at or near "FROM" near the end`,
		"distance /* open":           "features:",
		"hour(origin) AS a":          "features:",
	} {
		_, err := features.Compile(context.Background(), e, flights(), sql, late, resource.TaskBinary)
		require.ErrorContains(t, err, text, sql)
		require.True(t, strings.HasPrefix(err.Error(), "features"), "%s: %v", sql, err)
	}
	for label, text := range map[string]string{
		"delay":                "a binary task needs a boolean, the label is DOUBLE",
		"delay > 1, delay > 2": "one expression",
		"avg(delay) > 1":       "is an aggregate",
		"delay > 1) OR (true":  "label:",
		"now() > date":         "depends on when",
	} {
		_, err := features.Compile(context.Background(), e, flights(), "origin", label, resource.TaskBinary)
		require.ErrorContains(t, err, text, label)
		require.True(t, strings.HasPrefix(err.Error(), "label"), "%s: %v", label, err)
	}
	_, err := features.Compile(context.Background(), e, flights(), "origin", "delay", resource.TaskMulticlass)
	require.ErrorContains(t, err, "cast it to VARCHAR or INTEGER")
	_, err = features.Compile(context.Background(), e, flights(), "origin", "delay > 1", resource.TaskRegression)
	require.ErrorContains(t, err, "cast it to DOUBLE")
}

func TestExtractFlights(t *testing.T) {
	t.Parallel()
	e, _ := engine(t)
	ctx := context.Background()
	f := compile(t, e, flightsSQL, late, resource.TaskBinary)
	r := lake.Range{From: time.Date(2001, 1, 8, 0, 0, 0, 0, time.UTC), To: time.Date(2001, 1, 15, 0, 0, 0, 0, time.UTC)}
	m, err := f.Extract(ctx, parts(real(t)), features.Options{Range: r, Labels: true})
	require.NoError(t, err)
	var n int
	var positives float64
	require.NoError(t, e.DB().QueryRow("SELECT count(*), count(*) FILTER (delay >= 15) FROM "+lake.ReadParquet(real(t))+
		" WHERE date >= '2001-01-08' AND date < '2001-01-15' AND delay IS NOT NULL").Scan(&n, &positives))
	require.Equal(t, n, m.Rows)
	require.Len(t, m.Times, n)
	require.Len(t, m.Labels.Numbers, n)
	sum := 0.0
	for i := range m.Rows {
		sum += m.Labels.Numbers[i]
		at := time.UnixMicro(m.Times[i]).UTC()
		require.True(t, r.Contains(at))
		if m.Columns[0].Texts[i] != fmt.Sprint(at.Hour()) || m.Columns[1].Texts[i] != fmt.Sprint(int(at.Weekday())) {
			t.Fatalf("row %d at %v has hour %s and weekday %s", i, at, m.Columns[0].Texts[i], m.Columns[1].Texts[i])
		}
	}
	require.Equal(t, positives, sum)
	again, err := f.Extract(ctx, parts(real(t)), features.Options{Range: r, Labels: true})
	require.NoError(t, err)
	require.Equal(t, m, again, "the order of rows is always the same")

	whole, err := f.Extract(ctx, parts(real(t)), features.Options{})
	require.NoError(t, err)
	require.Equal(t, 300_000, whole.Rows)
	require.Empty(t, whole.Labels.Numbers)
	newest, err := f.Extract(ctx, parts(real(t)), features.Options{Range: lake.Range{Newest: 1000}})
	require.NoError(t, err)
	require.Equal(t, 1000, newest.Rows)
	require.Equal(t, whole.Times[299_000:], newest.Times)
	require.Equal(t, whole.Columns[3].Texts[299_000:], newest.Columns[3].Texts)

	none, err := f.Extract(ctx, nil, features.Options{Labels: true})
	require.NoError(t, err)
	require.Zero(t, none.Rows)
}

// write stores rows given as SQL VALUES of (date, delay, distance, origin, destination).
func write(t testing.TB, e *lake.Engine, dir, name, values string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	_, err := e.DB().Exec("COPY (SELECT v.date::TIMESTAMP AS date, delay::DOUBLE AS delay, distance::DOUBLE AS distance, origin, destination FROM (VALUES " +
		values + ") v(date, delay, distance, origin, destination)) TO " + lake.Literal(path) + " (FORMAT parquet)")
	require.NoError(t, err)
	return path
}

func TestExtractKeepsFileAndRowOrder(t *testing.T) {
	t.Parallel()
	e, dir := engine(t)
	a := write(t, e, dir, "a.parquet", "('2001-01-02', 20, 1, 'b', NULL), ('2001-01-01', NULL, 2, NULL, 'x'), ('2001-01-02', 3, NULL, 'c', 'x')")
	b := write(t, e, dir, "b.parquet", "('2001-01-02', 4, 1e300, 'd', 'x'), ('2001-01-01 12:00:00', 40, 'inf'::DOUBLE, 'e', 'x')")
	f := compile(t, e, "distance, origin, distance > 1.5 AS far", late, resource.TaskBinary)
	m, err := f.Extract(context.Background(), parts([]string{b, a, b}), features.Options{Labels: true})
	require.NoError(t, err)
	require.Equal(t, []string{"d", "e", "b", "c", "d", "e"}, m.Columns[1].Texts, "the same segment twice is its rows twice")
	require.Equal(t, int64(1), m.Unlabelled)
	require.Equal(t, []float64{0, 1, 1, 0, 0, 1}, m.Labels.Numbers)
	require.Equal(t, float32(1), m.Columns[0].Numbers[2])
	for _, i := range []int{0, 1, 3} {
		require.True(t, math.IsNaN(float64(m.Columns[0].Numbers[i])), "overflow, infinity and null are NaN")
	}
	require.Equal(t, float32(1), m.Columns[2].Numbers[0])
	require.True(t, math.IsNaN(float64(m.Columns[2].Numbers[3])))

	// Newest by (time, place): two rows of the same time are told apart by their place.
	m, err = f.Extract(context.Background(), parts([]string{a, b}), features.Options{Range: lake.Range{Newest: 2}})
	require.NoError(t, err)
	require.Equal(t, []string{"c", "d"}, m.Columns[1].Texts)

	// Half-open, to the microsecond.
	at := time.Date(2001, 1, 2, 0, 0, 0, 0, time.UTC)
	m, err = f.Extract(context.Background(), parts([]string{a}), features.Options{Range: lake.Range{To: at}})
	require.NoError(t, err)
	require.Equal(t, []string{""}, m.Columns[1].Texts)
	m, err = f.Extract(context.Background(), parts([]string{a}), features.Options{Range: lake.Range{From: at, To: at.Add(time.Nanosecond)}})
	require.NoError(t, err)
	require.Equal(t, 2, m.Rows)
}

func TestMulticlassAndRegressionLabels(t *testing.T) {
	t.Parallel()
	e, dir := engine(t)
	a := write(t, e, dir, "a.parquet", "('2001-01-02', 20, 1, 'b', 'x'), ('2001-01-01', 3, 2, 'a', 'x')")
	m, err := compile(t, e, "origin", "delay::INTEGER", resource.TaskMulticlass).Extract(context.Background(), parts([]string{a}), features.Options{Labels: true})
	require.NoError(t, err)
	require.Equal(t, []string{"20", "3"}, m.Labels.Texts)
	m, err = compile(t, e, "distance", "delay / 2", resource.TaskRegression).Extract(context.Background(), parts([]string{a}), features.Options{Labels: true})
	require.NoError(t, err)
	require.Equal(t, []float64{10, 1.5}, m.Labels.Numbers)
}

func TestExport(t *testing.T) {
	t.Parallel()
	e, dir := engine(t)
	ctx := context.Background()
	a := write(t, e, dir, "a.parquet", "('2001-01-02', 20, 1.5, NULL, 'x'), ('2001-01-01', NULL, 2, 'a', 'x'), ('2001-01-03', 1, 'inf'::DOUBLE, 'b', 'y')")
	f := compile(t, e, "distance, origin, distance > 1 AS far", late, resource.TaskBinary)
	out := filepath.Join(dir, "train.csv")
	n, err := f.Export(ctx, parts([]string{a}), features.Options{Range: lake.Range{}, Labels: true}, out, lake.FormatCSV)
	require.NoError(t, err)
	require.Equal(t, int64(2), n)
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, "distance,origin,far,label\n1.5,\"\",1.0,1\n,b,1.0,0\n", string(b))
	n, err = f.Export(ctx, parts([]string{a}), features.Options{Range: lake.Range{From: time.Date(2001, 1, 3, 0, 0, 0, 0, time.UTC)}, Labels: true}, filepath.Join(dir, "o.parquet"), lake.FormatParquet)
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	var types []string
	require.NoError(t, e.Scan(ctx, "DESCRIBE SELECT * FROM "+lake.ReadParquet([]string{filepath.Join(dir, "o.parquet")}), func(v []driver.Value) error {
		types = append(types, v[1].(string))
		return nil
	}))
	require.Equal(t, []string{"FLOAT", "VARCHAR", "FLOAT", "INTEGER"}, types)
	_, err = f.Export(ctx, parts([]string{a}), features.Options{Range: lake.Range{}, Labels: true}, "/etc/out.csv", lake.FormatCSV)
	require.Error(t, err)
}

// One row at a time, many at once, or from Parquet: the features are the same.
func TestOnlineEqualsBatch(t *testing.T) {
	t.Parallel()
	e, dir := engine(t)
	ctx := context.Background()
	sql := flightsSQL + ", distance / 3 AS third, TRY(ln(distance + 1)) AS log, upper(origin) = 'SFO' AS sfo, TRY(coalesce(distance, -1)::BIGINT) AS whole"
	f := compile(t, e, sql, late, resource.TaskBinary)
	o, err := f.Online(context.Background())
	require.NoError(t, err)
	defer func() { require.NoError(t, o.Close()) }()
	odd := write(t, e, dir, "odd.parquet", "('2001-02-28 23:59:59.999999', NULL, NULL, NULL, NULL), ('1969-12-31', 1, -5, 'Zürich', ''), ('2001-01-01', 1, 1e300, 'XXX', 'YYY'), ('2001-01-01', 1, -1, 'O''Hare', '\"')")
	part := filepath.Join(dir, "part.parquet")
	_, err = e.DB().Exec("COPY (SELECT * FROM " + lake.ReadParquet(real(t)) + " USING SAMPLE 400 ROWS (reservoir, 7)) TO " + lake.Literal(part))
	require.NoError(t, err)
	paths := []string{odd, part}
	batch, err := f.Extract(ctx, parts(paths), features.Options{})
	require.NoError(t, err)
	batch.Times = nil
	require.Equal(t, 404, batch.Rows)
	compute := func(chunk int) *features.Matrix {
		whole := &features.Matrix{Columns: make([]features.Column, len(f.Names))}
		rows := raw(t, e, paths)
		for len(rows) > 0 {
			n := min(chunk, len(rows))
			m, err := o.Compute(ctx, bind(t, o, rows[:n]))
			require.NoError(t, err)
			require.Equal(t, n, m.Rows)
			for i, c := range m.Columns {
				w := &whole.Columns[i]
				w.Name, w.Kind, w.Numbers, w.Texts = c.Name, c.Kind, append(w.Numbers, c.Numbers...), append(w.Texts, c.Texts...)
			}
			whole.Rows += n
			rows = rows[n:]
		}
		return whole
	}
	for _, chunk := range []int{1, 7, 404} {
		got := compute(chunk)
		for i := range f.Names {
			require.Equal(t, batch.Columns[i].Texts, got.Columns[i].Texts, "%s in chunks of %d", f.Names[i], chunk)
			for j, x := range batch.Columns[i].Numbers {
				if math.Float32bits(x) != math.Float32bits(got.Columns[i].Numbers[j]) {
					t.Fatalf("%s of row %d in chunks of %d: %v, not %v", f.Names[i], j, chunk, got.Columns[i].Numbers[j], x)
				}
			}
		}
	}
}

// raw reads rows as a client would send them: JSON maps.
func raw(t testing.TB, e *lake.Engine, paths []string) (out []map[string]any) {
	t.Helper()
	require.NoError(t, e.Scan(context.Background(), "SELECT date, distance, origin, destination FROM "+lake.ReadParquet(paths), func(v []driver.Value) error {
		b, err := json.Marshal(map[string]any{"date": v[0], "distance": v[1], "origin": v[2], "destination": v[3]})
		require.NoError(t, err)
		var row map[string]any
		require.NoError(t, json.Unmarshal(b, &row))
		out = append(out, row)
		return nil
	}))
	return out
}

func TestBindRefuses(t *testing.T) {
	t.Parallel()
	e, _ := engine(t)
	o, err := compile(t, e, flightsSQL, late, resource.TaskBinary).Online(context.Background())
	require.NoError(t, err)
	defer func() { require.NoError(t, o.Close()) }()
	_, bad := o.Bind(map[string]any{"date": "2001-01-01", "distanse": 1.0})
	require.ErrorContains(t, bad, `did you mean "distance"?`)
	_, bad = o.Bind(map[string]any{"distance": "far"})
	require.ErrorContains(t, bad, "the column is float64")
	vals, bad := o.Bind(map[string]any{"delay": "not looked at", "distance": json.Number("5")})
	require.Nil(t, bad)
	require.Equal(t, 5.0, vals[1].F)
	require.True(t, vals[0].Null)
	m, err := o.Compute(context.Background(), nil)
	require.NoError(t, err)
	require.Zero(t, m.Rows)
}

func TestOnlineIsConcurrent(t *testing.T) {
	t.Parallel()
	e, _ := engine(t)
	ctx := context.Background()
	o, err := compile(t, e, "distance * 2 AS twice, 1 AS one", late, resource.TaskBinary).Online(context.Background())
	require.NoError(t, err)
	var wg sync.WaitGroup
	for g := range 20 {
		wg.Go(func() {
			for i := range 50 {
				vals, _ := o.Bind(map[string]any{"distance": float64(g*100 + i)})
				m, err := o.Compute(ctx, append(make([][]rowsValue, 0, 1), vals))
				if err != nil || m.Columns[0].Numbers[0] != float32(2*(g*100+i)) {
					t.Errorf("%v %v", m, err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, o.Close())
	_, err = o.Compute(ctx, nil)
	require.ErrorContains(t, err, "closed")
}

func TestRuntimeErrorsAdvise(t *testing.T) {
	t.Parallel()
	e, _ := engine(t)
	f := compile(t, e, "origin::INTEGER AS a", late, resource.TaskBinary)
	_, err := f.Extract(context.Background(), parts(real(t)), features.Options{})
	require.ErrorContains(t, err, "TRY_CAST")
	o, err := f.Online(context.Background())
	require.NoError(t, err)
	defer func() { require.NoError(t, o.Close()) }()
	vals, _ := o.Bind(map[string]any{"origin": "x"})
	_, err = o.Compute(context.Background(), [][]rowsValue{vals})
	require.ErrorContains(t, err, "TRY_CAST")
	vals, _ = o.Bind(map[string]any{"origin": "7"})
	m, err := o.Compute(context.Background(), [][]rowsValue{vals})
	require.NoError(t, err)
	require.Equal(t, float32(7), m.Columns[0].Numbers[0])
}

// A dataset that gets a column later keeps its old segments: the column is null there.
func TestColumnsAddedLater(t *testing.T) {
	t.Parallel()
	e, dir := engine(t)
	old := filepath.Join(dir, "old.parquet")
	_, err := e.DB().Exec("COPY (SELECT TIMESTAMP '2001-01-01' AS date, 20::DOUBLE AS delay, 'a' AS origin) TO " + lake.Literal(old) + " (FORMAT parquet)")
	require.NoError(t, err)
	fresh := write(t, e, dir, "fresh.parquet", "('2001-01-02', 20, 1.5, 'b', 'x')")
	f := compile(t, e, "distance, origin", late, resource.TaskBinary)
	m, err := f.Extract(context.Background(), parts([]string{old, fresh}), features.Options{Labels: true})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, m.Columns[1].Texts)
	require.True(t, math.IsNaN(float64(m.Columns[0].Numbers[0])))
	require.Equal(t, float32(1.5), m.Columns[0].Numbers[1])
	_, err = f.Extract(context.Background(), parts([]string{old}), features.Options{})
	require.ErrorContains(t, err, "added to the dataset after them")
}
