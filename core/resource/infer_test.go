package resource_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
)

func ptr[T any](v T) *T { return &v }

func flightsInput() resource.InferInput {
	return resource.InferInput{
		Rows: 300_000, From: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2001, 7, 1, 0, 0, 0, 0, time.UTC),
		Columns: []resource.InferColumn{
			{Name: "date", Type: resource.TypeTimestamp, Distinct: 150_000},
			{Name: "delay", Type: resource.TypeFloat64, Min: ptr(-1116.0), Max: ptr(1688.0), Distinct: 700},
			{Name: "distance", Type: resource.TypeFloat64, Min: ptr(21.0), Max: ptr(4962.0), Distinct: 1200, Nulls: 3},
			{Name: "origin", Type: resource.TypeString, Distinct: 229},
			{Name: "destination", Type: resource.TypeString, Distinct: 230},
			{Name: "tail number", Type: resource.TypeString, Distinct: 4000},
			{Name: "flight_id", Type: resource.TypeInt64, Min: ptr(1.0), Max: ptr(3e5), Distinct: 300_000},
			{Name: "carrier", Type: resource.TypeString, Distinct: 1},
			{Name: "landed", Type: resource.TypeTimestamp, Distinct: 150_000},
			{Name: "order", Type: resource.TypeInt64, Distinct: 12},
		},
		LabelColumns: []string{"delay"}, LabelType: resource.TypeBoolean, LabelDistinct: 2,
	}
}

func TestInfer(t *testing.T) {
	t.Parallel()
	text, err := resource.Infer(flightsInput(), "US Flights (2001)", "date", "delay >= 15")
	require.NoError(t, err)
	golden(t, "testdata/init.golden", text)
	rs, err := resource.Parse([]byte(text), "flights.yaml")
	require.NoError(t, err)
	require.Equal(t, "us-flights-2001", rs[0].Metadata.Name)
	m := rs[1].Model
	require.Equal(t, resource.TaskBinary, m.Task)
	require.Equal(t, "delay >= 15", m.Label)
	require.NotContains(t, m.Features, "delay")
	require.Contains(t, m.Features, `"order"`)
	require.Equal(t, "9d", m.Split.Validation.String())
	require.Equal(t, "18d", m.Split.Test.String())
	require.Equal(t, int64(150_000), rs[2].Policy.Initial.Rows)
}

func TestInferNeverLearnsFromTheAnswer(t *testing.T) {
	t.Parallel()
	in := flightsInput()
	in.LabelColumns = nil
	text, err := resource.Infer(in, "d", "date", `delay>=15 AND "order" > 2`)
	require.NoError(t, err)
	rs, err := resource.Parse([]byte(text), "d.yaml")
	require.NoError(t, err)
	require.NotContains(t, rs[1].Model.Features, "delay")
	require.NotContains(t, rs[1].Model.Features, "order")
	require.Contains(t, rs[1].Model.Features, "origin")
}

func TestInferTasks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		column resource.InferColumn
		label  string
		want   string
	}{
		"boolean":         {resource.InferColumn{Type: resource.TypeBoolean, Distinct: 2}, "y", resource.TaskBinary},
		"0 or 1":          {resource.InferColumn{Type: resource.TypeInt64, Distinct: 2}, "y", resource.TaskBinary},
		"few whole":       {resource.InferColumn{Type: resource.TypeInt64, Distinct: 5}, "y", resource.TaskMulticlass},
		"many whole":      {resource.InferColumn{Type: resource.TypeInt64, Distinct: 500}, "y", resource.TaskRegression},
		"text":            {resource.InferColumn{Type: resource.TypeString, Distinct: 4}, "y", resource.TaskMulticlass},
		"number":          {resource.InferColumn{Type: resource.TypeFloat64, Distinct: 5000}, "y", resource.TaskRegression},
		"condition":       {resource.InferColumn{Type: resource.TypeFloat64, Distinct: 5000}, "y > 3", resource.TaskBinary},
		"quoted and hard": {resource.InferColumn{Type: resource.TypeFloat64, Distinct: 5000}, `"y" * 2 -- it's: #1`, resource.TaskRegression},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.column.Name = "y"
			in := resource.InferInput{Rows: 10_000, LabelColumns: []string{"y"},
				Columns: []resource.InferColumn{{Name: "hour", Type: resource.TypeTimestamp}, c.column, {Name: "x: {y}", Type: resource.TypeFloat64, Distinct: 7}}}
			text, err := resource.Infer(in, "d", "hour", c.label)
			require.NoError(t, err)
			rs, err := resource.Parse([]byte(text), "d.yaml")
			require.NoError(t, err, text)
			require.Equal(t, c.want, rs[1].Model.Task)
			require.Equal(t, c.label, rs[1].Model.Label)
			require.Equal(t, "x: {y}", rs[0].Dataset.Columns[2].Name)
			require.Contains(t, rs[1].Model.Features, "AS event_hour")
			require.NotRegexp(t, `(?m)(^|, )"?y"?,?$`, rs[1].Model.Features)
		})
	}
}

func TestInferSplits(t *testing.T) {
	t.Parallel()
	for span, want := range map[time.Duration][2]string{
		0: {"1d", "2d"}, 30 * time.Second: {"2s", "3s"}, 3 * time.Hour: {"9m0s", "18m0s"}, 3 * 24 * time.Hour: {"4h0m0s", "7h0m0s"},
		60 * 24 * time.Hour: {"3d", "6d"}, 10 * 365 * 24 * time.Hour: {"183d", "365d"},
	} {
		in := flightsInput()
		in.To = in.From.Add(span)
		text, err := resource.Infer(in, "d", "date", "delay >= 15")
		require.NoError(t, err)
		rs, err := resource.Parse([]byte(text), "d.yaml")
		require.NoError(t, err)
		s := rs[1].Model.Split
		require.Equal(t, want, [2]string{s.Validation.String(), s.Test.String()}, span)
	}
}

func TestInferRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, time, label, want string }{
		{"d", "dte", "delay >= 15", `did you mean "date"?`},
		{"d", "delay", "delay >= 15", "holds a float64, not a timestamp; its timestamps: date, landed"},
		{"d", "date", " ", "a label is needed"},
		{"---", "date", "delay", "no name can be made"},
	} {
		_, err := resource.Infer(flightsInput(), c.name, c.time, c.label)
		require.ErrorContains(t, err, c.want)
	}
	in := flightsInput()
	in.LabelColumns = []string{"dely"}
	_, err := resource.Infer(in, "d", "date", "dely >= 15")
	require.ErrorContains(t, err, `did you mean "delay"?`)
}

// TestDeepFilesAreRefused: what would exhaust the parser's stack is an error with a line.
func TestDeepFilesAreRefused(t *testing.T) {
	t.Parallel()
	for _, src := range []string{repeat("[", 200_000), repeat("{a: ", 200_000), repeat("- ", 200_000), repeat("? ", 200_000), repeat("# x\n", 300_000)} {
		_, err := resource.Parse([]byte(src), "f.yaml")
		var all resource.Errors
		require.ErrorAs(t, err, &all)
		require.Positive(t, all[0].Line)
	}
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + repeat("*"+string(c-1)+", ", 9) + "x]\n"
	}
	_, err := resource.Parse([]byte(bomb), "f.yaml")
	require.ErrorContains(t, err, "more than 200000 values")
}

func repeat(s string, n int) string {
	b := make([]byte, 0, len(s)*n)
	for range n {
		b = append(b, s...)
	}
	return string(b)
}
