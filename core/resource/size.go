package resource

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes that people write with a unit: "512Mi", "2Gi", "1500M", "4096".
type Size int64

// sizeUnits are powers of 1024 with an i, powers of 1000 without. Longer names come first.
var sizeUnits = []struct {
	name  string
	bytes float64
}{
	{"Ti", 1 << 40}, {"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10}, {"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3}, {"", 1},
}

// ParseSize reads a Size.
func ParseSize(s string) (Size, error) {
	for _, u := range sizeUnits {
		text, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) || n < 0 || n*u.bytes > 1<<60 {
			break
		}
		return Size(n * u.bytes), nil
	}
	return 0, fmt.Errorf("%q is not a size; write a number and a unit (Ki, Mi, Gi, k, M, G), for example 512Mi or 2Gi", s)
}

// String writes the largest unit that gives a whole number.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if n := int64(u.bytes); s >= Size(n) && int64(s)%n == 0 {
			return strconv.FormatInt(int64(s)/n, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText writes String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads ParseSize's form.
func (s *Size) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSize(string(b))
	return err
}
