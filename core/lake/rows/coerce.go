package rows

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/tidemill/tidemill/core/resource"
)

// Values decodes a row of typed values, as Parquet readers give them: at[j] is the column of vals[j]. nil and NaN are null.
// Numbers become float64 or int64 columns where nothing is lost.
func (c *Checker) Values(at []int, vals []any, now time.Time, r *Row) *Refusal {
	c.reset(r)
	for j, x := range vals {
		i := at[j]
		if bad := c.columns[i].fromAny(x, r, &r.Values[i]); bad != nil {
			return bad
		}
	}
	return c.finish(r, now)
}

// Texts decodes a row of text fields, as CSV readers give them: at[j] is the column of fields[j]. An empty field is null.
func (c *Checker) Texts(at []int, fields [][]byte, now time.Time, r *Row) *Refusal {
	c.reset(r)
	for j, f := range fields {
		i := at[j]
		if bad := c.columns[i].fromText(f, r, &r.Values[i]); bad != nil {
			return bad
		}
	}
	return c.finish(r, now)
}

// Coerce turns one value (nil, a number of Go or encoding/json, bool, string or time.Time) into the type of column i, without its rules.
func (c *Checker) Coerce(i int, x any) (Value, *Refusal) {
	v := Value{Null: true}
	r := Row{texts: map[string]string{}}
	bad := c.columns[i].fromAny(x, &r, &v)
	return v, bad
}

func (col *column) fromAny(x any, r *Row, v *Value) *Refusal {
	switch x := x.(type) {
	case nil:
		return nil
	case float64:
		return col.fromFloat(x, v)
	case float32:
		return col.fromFloat(float64(x), v)
	case int64:
		return col.fromInt(x, v)
	case int:
		return col.fromInt(int64(x), v)
	case int32:
		return col.fromInt(int64(x), v)
	case int16:
		return col.fromInt(int64(x), v)
	case int8:
		return col.fromInt(int64(x), v)
	case uint64:
		return col.fromBig(new(big.Int).SetUint64(x), v)
	case uint32:
		return col.fromInt(int64(x), v)
	case uint16:
		return col.fromInt(int64(x), v)
	case uint8:
		return col.fromInt(int64(x), v)
	case *big.Int:
		return col.fromBig(x, v)
	case bool:
		if col.Type == resource.TypeBoolean {
			v.Null = false
			if x {
				v.I = 1
			}
			return nil
		}
	case time.Time:
		if col.Type == resource.TypeTimestamp {
			micros, ok := fromTime(x)
			if !ok {
				return col.wrong("a time outside the years 1 to 9999")
			}
			v.Null, v.I = false, micros
			return nil
		}
	case string:
		switch col.Type {
		case resource.TypeString:
			return col.setText(v, x)
		case resource.TypeTimestamp:
			if micros, ok := parseTimestamp([]byte(x)); ok {
				v.Null, v.I = false, micros
				return nil
			}
			return col.wrong("%q is not a time; write RFC 3339 like \"2001-01-31T23:59:59Z\"", short(x))
		}
	case json.Number:
		switch col.Type {
		case resource.TypeFloat64, resource.TypeInt64, resource.TypeTimestamp:
			return col.fromText([]byte(x), r, v)
		}
	case []byte:
		if col.Type == resource.TypeString {
			return col.setText(v, r.intern(x))
		}
	}
	return col.wrong("%s is a %T, the column is %s", short(fmt.Sprint(x)), x, col.Type)
}

func (col *column) fromFloat(x float64, v *Value) *Refusal {
	if math.IsNaN(x) {
		return nil
	}
	switch col.Type {
	case resource.TypeFloat64:
		if math.IsInf(x, 0) {
			return col.wrong("infinity is not a number to learn from")
		}
		v.Null, v.F = false, x
		return nil
	case resource.TypeInt64:
		if x != math.Trunc(x) || math.Abs(x) >= 1<<63 {
			return col.wrong("%v is not a whole number of 64 bits", x)
		}
		v.Null, v.I = false, int64(x)
		return nil
	case resource.TypeTimestamp:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return col.fromInt(int64(x), v)
		}
	}
	return col.wrong("%v is a number, the column is %s", x, col.Type)
}

func (col *column) fromInt(x int64, v *Value) *Refusal {
	switch col.Type {
	case resource.TypeInt64:
		v.Null, v.I = false, x
		return nil
	case resource.TypeFloat64:
		v.Null, v.F = false, float64(x)
		return nil
	case resource.TypeTimestamp:
		return col.setMillis(v, strconv.FormatInt(x, 10))
	}
	return col.wrong("%d is a number, the column is %s", x, col.Type)
}

func (col *column) fromBig(x *big.Int, v *Value) *Refusal {
	if x.IsInt64() {
		return col.fromInt(x.Int64(), v)
	}
	if col.Type == resource.TypeFloat64 {
		f, _ := new(big.Float).SetInt(x).Float64()
		return col.fromFloat(f, v)
	}
	return col.wrong("%v does not fit 64 bits", x)
}

func (col *column) fromText(f []byte, r *Row, v *Value) *Refusal {
	if len(f) == 0 {
		return nil
	}
	switch col.Type {
	case resource.TypeString:
		return col.setText(v, r.intern(f))
	case resource.TypeTimestamp:
		t := bytes.TrimSpace(f)
		if micros, ok := parseTimestamp(t); ok {
			v.Null, v.I = false, micros
			return nil
		}
		return col.setMillis(v, string(t))
	case resource.TypeBoolean:
		switch strings.ToLower(string(bytes.TrimSpace(f))) {
		case "true", "t", "1":
			v.Null, v.I = false, 1
			return nil
		case "false", "f", "0":
			v.Null = false
			return nil
		}
		return col.wrong("%q is not a boolean; write true or false", short(string(f)))
	case resource.TypeInt64:
		return col.setInt(v, bytes.TrimSpace(f))
	}
	return col.setFloat(v, bytes.TrimSpace(f))
}

func (col *column) setText(v *Value, s string) *Refusal {
	if len(s) > MaxText {
		return &Refusal{TooLong, col.Name, fmt.Sprintf("%d bytes of text, at most %d are allowed", len(s), MaxText)}
	}
	if strings.IndexByte(s, 0) >= 0 {
		return col.wrong("the text holds a NUL character")
	}
	v.Null, v.S = false, s
	return nil
}

func (col *column) setMillis(v *Value, s string) *Refusal {
	micros, ok := epochMillis(s)
	if !ok {
		return col.wrong("%q is neither RFC 3339 nor whole milliseconds since 1970", short(s))
	}
	v.Null, v.I = false, micros
	return nil
}

func (col *column) setFloat(v *Value, b []byte) *Refusal {
	f, err := strconv.ParseFloat(borrow(b), 64)
	if err != nil || math.IsInf(f, 0) {
		return col.wrong("%q is not a finite number", short(string(b)))
	}
	if math.IsNaN(f) {
		return nil
	}
	v.Null, v.F = false, f
	return nil
}

func (col *column) setInt(v *Value, b []byte) *Refusal {
	if n, err := strconv.ParseInt(borrow(b), 10, 64); err == nil {
		v.Null, v.I = false, n
		return nil
	}
	// 3.0 and 1e3 are whole numbers too.
	f, err := strconv.ParseFloat(borrow(b), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		return col.wrong("%q is not a whole number of 64 bits", short(string(b)))
	}
	v.Null, v.I = false, int64(f)
	return nil
}

// borrow views bytes as a string for a parser that keeps nothing of it (its error does, and is dropped).
func borrow(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
