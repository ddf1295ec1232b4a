package linear_test

import (
	"math"
	"strconv"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/workers/trainer/linear"
)

// golden is fr(iφ): evenly spread in [0, 1), the same everywhere.
func golden(i int, step float64) float64 {
	x := float64(i+1) * step
	return x - math.Floor(x)
}

var stepA, stepB, stepC = 0.6180339887498949, 0.4142135623730951, 0.7320508075688772

// synthetic is n rows with two numeric features (one with nulls and a far-away mean) and two string features.
func synthetic(task string, n int) linear.Data {
	d := linear.Data{Contract: model.Contract{Task: task, Features: []model.Feature{
		{Name: "x", Kind: model.KindNumeric}, {Name: "city", Kind: model.KindString},
		{Name: "y", Kind: model.KindNumeric}, {Name: "day", Kind: model.KindString}}}}
	switch task {
	case resource.TaskBinary:
		d.Contract.Classes = []string{"false", "true"}
	case resource.TaskMulticlass:
		d.Contract.Classes = []string{"high", "low", "middle"}
	}
	d.Batch = model.Batch{N: n, Columns: []model.Column{
		{Numeric: make([]float32, n)}, {Text: make([]string, n)}, {Numeric: make([]float32, n)}, {Text: make([]string, n)}}}
	for i := range n {
		a, b, c := golden(i, stepA), golden(i, stepB), golden(i, stepC)
		city, day := int(a*a*12), int(b*7)
		x, y := float32(1000+50*c), float32(b-0.5)
		d.Batch.Columns[0].Numeric[i] = x
		d.Batch.Columns[1].Text[i] = "c" + strconv.Itoa(city)
		d.Batch.Columns[2].Numeric[i] = y
		d.Batch.Columns[3].Text[i] = strconv.Itoa(day)
		if i%11 == 0 {
			d.Batch.Columns[2].Numeric[i] = float32(math.NaN())
		}
		if i%13 == 0 {
			d.Batch.Columns[3].Text[i] = ""
		}
		score := (float64(x)-1025)/15 + float64(city%3) - 1 + float64(day)/5 - 1 + 2*(golden(i, 0.3247179572447461)-0.5)
		switch task {
		case resource.TaskRegression:
			score = 500 + 40*score
		case resource.TaskBinary:
			if score > 0.5 {
				score = 1
			} else {
				score = 0
			}
		default:
			switch {
			case score > 1:
				score = 0
			case score < -0.5:
				score = 1
			default:
				score = 2
			}
		}
		d.Label = append(d.Label, score)
	}
	return d
}
