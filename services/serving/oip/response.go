package oip

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// AppendString appends a JSON string.
func AppendString(b []byte, s string) []byte {
	for i := range len(s) {
		if ch := s[i]; ch < 0x20 || ch == '"' || ch == '\\' || ch >= utf8.RuneSelf {
			quoted, _ := json.Marshal(s) // strings always encode
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// AppendTensor appends an output up to the bracket that opens its data: shape is [rows], or with width [rows,width].
func AppendTensor(b []byte, name, datatype string, rows, width int) []byte {
	b = append(b, `{"name":"`...)
	b = append(b, name...)
	b = append(b, `","datatype":"`...)
	b = append(b, datatype...)
	b = append(b, `","shape":[`...)
	b = strconv.AppendInt(b, int64(rows), 10)
	if width > 0 {
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(width), 10)
	}
	return append(b, `],"data":[`...)
}

// AppendFloats appends numbers, separated by commas.
func AppendFloats(b []byte, values []float32) []byte {
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendFloat(b, v)
	}
	return b
}

// AppendFloat appends a finite number with the fewest digits that tell it from its neighbours.
func AppendFloat(b []byte, v float32) []byte { return strconv.AppendFloat(b, float64(v), 'g', -1, 32) }
