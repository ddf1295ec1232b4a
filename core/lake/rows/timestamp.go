package rows

import (
	"strconv"
	"time"
)

// Event times are kept within years 1 to 9999: what RFC 3339 can write and every reader of the Parquet can show.
const (
	minMicros = -62135596800 * 1_000_000
	maxMicros = 253402300799*1_000_000 + 999_999
)

// parseTimestamp reads a date with an optional time ('T' or a blank between), fraction (digits beyond µs are cut) and
// offset (Z or ±hh:mm); without an offset it is UTC.
func parseTimestamp(s []byte) (micros int64, ok bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	year, okY := digits(s[0:4])
	month, okM := digits(s[5:7])
	day, okD := digits(s[8:10])
	if !okY || !okM || !okD || year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	seconds := daysSince1970(year, month, day) * 86400
	if s = s[10:]; len(s) == 0 {
		return seconds * 1_000_000, true
	}
	if len(s) < 6 || (s[0] != 'T' && s[0] != 't' && s[0] != ' ') || s[3] != ':' {
		return 0, false
	}
	hour, okH := digits(s[1:3])
	minute, okMin := digits(s[4:6])
	if !okH || !okMin || hour > 23 || minute > 59 {
		return 0, false
	}
	seconds += hour*3600 + minute*60
	s = s[6:]
	var fraction int64
	if len(s) >= 3 && s[0] == ':' {
		second, okS := digits(s[1:3])
		if !okS || second > 59 {
			return 0, false
		}
		seconds += second
		if fraction, s, ok = cutFraction(s[3:]); !ok {
			return 0, false
		}
	}
	offset, ok := parseOffset(s)
	micros = (seconds-offset)*1_000_000 + fraction
	return micros, ok && micros >= minMicros && micros <= maxMicros
}

func cutFraction(s []byte) (micros int64, rest []byte, ok bool) {
	if len(s) == 0 || s[0] != '.' {
		return 0, s, true
	}
	i := 1
	for scale := int64(100_000); i < len(s) && s[i] >= '0' && s[i] <= '9'; i, scale = i+1, scale/10 {
		micros += int64(s[i]-'0') * scale
	}
	return micros, s[i:], i > 1
}

func parseOffset(s []byte) (seconds int64, ok bool) {
	if len(s) == 0 || (len(s) == 1 && (s[0] == 'Z' || s[0] == 'z')) {
		return 0, true
	}
	if len(s) != 6 || s[3] != ':' || (s[0] != '+' && s[0] != '-') {
		return 0, false
	}
	h, okH := digits(s[1:3])
	m, okM := digits(s[4:6])
	if !okH || !okM || h > 23 || m > 59 {
		return 0, false
	}
	if seconds = h*3600 + m*60; s[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}

func digits(s []byte) (n int64, ok bool) {
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func daysIn(year, month int64) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSince1970 counts days of the proleptic Gregorian calendar. Years begin in March, so that the leap day is the last.
func daysSince1970(year, month, day int64) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468
}

// epochMillis reads whole milliseconds since 1970.
func epochMillis(s string) (micros int64, ok bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < minMicros/1000 || n > maxMicros/1000 {
		return 0, false
	}
	return n * 1000, true
}

// fromTime is the µs of a time, or false when it is outside years 1 to 9999.
func fromTime(t time.Time) (int64, bool) {
	if y := t.UTC().Year(); y < 1 || y > 9999 {
		return 0, false
	}
	return t.UnixMicro(), true
}
