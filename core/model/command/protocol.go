package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"unicode/utf8"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
)

// request is one line for the command: {"id":1,"rows":[{"distance":1.5,"origin":"SFO"},…]}.
func request(id int64, keys [][]byte, b model.Batch) []byte {
	out := strconv.AppendInt([]byte(`{"id":`), id, 10)
	out = append(out, `,"rows":[`...)
	for row := range b.N {
		if row > 0 {
			out = append(out, ',')
		}
		out = append(out, '{')
		for i, c := range b.Columns {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, keys[i]...)
			if c.Numeric != nil {
				out = appendNumber(out, c.Numeric[row])
			} else {
				out = append(out, quoted(c.Text[row])...)
			}
		}
		out = append(out, '}')
	}
	return append(out, "]}\n"...)
}

// keysOf are the features' names with a colon, as they begin a member of a row.
func keysOf(features []model.Feature) [][]byte {
	out := make([][]byte, len(features))
	for i, f := range features {
		out[i] = append(quoted(f.Name), ':')
	}
	return out
}

// appendNumber writes a float32 by its shortest digits. JSON has no NaN and no infinity: both are null.
func appendNumber(out []byte, v float32) []byte {
	if v-v != 0 {
		return append(out, "null"...)
	}
	return strconv.AppendFloat(out, float64(v), 'g', -1, 32)
}

func quoted(s string) []byte {
	b, _ := json.Marshal(s) // a string has no way to fail
	return b
}

// answer is one line of the command.
type answer struct {
	ID            *int64     `json:"id"`
	Probabilities [][]number `json:"probabilities"`
	Prediction    []number   `json:"prediction"`
	Error         *string    `json:"error"`
}

// number is a number of an answer; null is NaN.
type number float32

// UnmarshalJSON reads a number or null.
func (n *number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = number(math.NaN())
		return nil
	}
	v, err := strconv.ParseFloat(string(b), 32)
	if err != nil && !(math.IsInf(v, 0)) { // too large a number is an infinity, which is refused as such
		return fmt.Errorf("%s is no number", b)
	}
	*n = number(v)
	return nil
}

// Python and others write these, which JSON doesn't have.
var notJSON = regexp.MustCompile(`-?\b(NaN|Infinity)\b`)

// outOfStep says that a line is no answer to the request: nothing that follows can be matched to a request any more.
type outOfStep struct{ problem string }

func (e *outOfStep) Error() string { return e.problem }

// decode reads the answer to request id over n rows: [n*width] values, finite. An [*outOfStep] is no answer at all; a
// [*model.BrokenContract] is one that doesn't fit.
func decode(line []byte, id int64, c model.Contract, n int) ([]float32, error) {
	var a answer
	err := json.Unmarshal(line, &a)
	if err != nil {
		err = json.Unmarshal(notJSON.ReplaceAll(line, []byte("null")), &a)
	}
	switch {
	case err != nil:
		return nil, &outOfStep{fmt.Sprintf("it printed %s on standard output, which is no answer (%v): print answers there, one JSON object per line, and all else on standard error", excerpt(line), err)}
	case a.ID == nil || *a.ID != id:
		return nil, &outOfStep{fmt.Sprintf("it answered %s, which doesn't name the request's id %d", excerpt(line), id)}
	case a.Error != nil:
		return nil, broken("it answered with an error: %s", *a.Error)
	}
	rows, name := a.Probabilities, "probabilities"
	if c.Task == resource.TaskRegression {
		name, rows = "prediction", make([][]number, len(a.Prediction))
		for i := range a.Prediction {
			rows[i] = a.Prediction[i : i+1]
		}
	}
	if len(rows) != n {
		return nil, broken("it was asked for %q of %d rows and answered %d: %s", name, n, len(rows), excerpt(line))
	}
	out := make([]float32, 0, n*c.Width())
	for i, row := range rows {
		if len(row) != c.Width() {
			return nil, broken("row %d of its %q has %d values, not %d, one for each class (%v)", i, name, len(row), c.Width(), c.Classes)
		}
		for _, v := range row {
			out = append(out, float32(v))
		}
	}
	return out, model.Finite(out, c.Width())
}

func broken(format string, args ...any) error {
	return &model.BrokenContract{Problem: "its predict command: " + fmt.Sprintf(format, args...)}
}

// excerpt is the beginning of a line, for a message.
func excerpt(line []byte) string {
	const most = 120
	line = bytes.TrimSpace(line)
	if len(line) <= most {
		return strconv.Quote(string(line))
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(line[cut]) {
		cut--
	}
	return strconv.Quote(string(line[:cut]) + "…")
}
